"""The file format of models and checkpoints: named tensors and one JSON object, in a safetensors file."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import check_regular, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.domain import Json

_KEY, _CHECKSUM = "audiosae", "checksum"
_LARGEST_HEADER = 2**25  # bytes; enough for a long history and long file names
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError, OverflowError)


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> None:
    """Write tensors and facts to a file; an existing file is replaced when the new one is complete.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_file(path, tensor_bytes(tensors, facts))


def tensor_bytes(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> bytes:
    """Return the bytes of the file that `write_tensors` writes."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    described = {**facts, _CHECKSUM: _checksum(arrays, facts)}
    return bytes(save(arrays, {_KEY: json.dumps(described, sort_keys=True)}))  # one key: the order of several is random


class Content(NamedTuple):
    """Tensors and facts of a file."""

    tensors: dict[str, NDArray[Any]]
    facts: dict[str, Any]


def read_tensors(path: Path) -> Content:
    """Read a file that `write_tensors` wrote.

    Raises
    ------
    InputError
        The file cannot be read, is damaged or changed, or contains numbers that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    if path.exists() and not path.is_file():  # opening a named pipe would block
        raise InputError(f"cannot read {path}: wanted a regular file, found a folder or a device")
    try:
        with check_regular(path).open("rb") as header:
            length = int.from_bytes(header.read(8), "little")
        if length > _LARGEST_HEADER:  # not parsed: it would take as much memory as it claims
            raise InputError(
                f"{path} is damaged or not a safetensors file: its header claims a length of {length} bytes"
            )
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise InputError(f"{path} was not written by audiosae: it lacks the key {_KEY!r}")
            facts = {**json.loads(metadata[_KEY])}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            if facts.pop(_CHECKSUM, None) not in (None, _checksum(tensors, facts)):
                raise InputError(f"{path} is damaged: its content does not match its checksum")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (*_DAMAGE, SafetensorError) as error:
        reason = " ".join(f"{error or type(error).__name__}".split())[:120]
        raise InputError(f"{path} is damaged or not a safetensors file: {reason}") from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise InputError(f"{path} is damaged: {name} contains NaN or infinite numbers")
    return Content(tensors, facts)


def _checksum(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> str:
    """Return the BLAKE2b digest of the facts, and of the name, type, shape and bytes of every tensor."""
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
