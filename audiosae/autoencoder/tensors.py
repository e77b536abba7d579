"""The one file format: named tensors and one JSON, in safetensors; written aside and moved into place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.domain import Json

_KEY = "audiosae"
_SUM = "checksum"
_LARGEST_HEADER = 2**25  # a long history and long file names have room
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError, OverflowError)


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> None:
    """Write tensors and facts; what was there stays until the file is whole. InputError where it cannot be written."""
    write_file(path, tensor_bytes(tensors, facts))


def tensor_bytes(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> bytes:
    """Return what `write_tensors` writes."""
    from safetensors.numpy import save

    plain = {name: np.ascontiguousarray(a) for name, a in tensors.items()}
    text = json.dumps({**facts, _SUM: _checksum(plain, facts)}, sort_keys=True)
    return bytes(save(plain, {_KEY: text}))  # one key alone: several would come in a random order


@dataclass(frozen=True)
class Content:
    """What a file holds."""

    tensors: dict[str, NDArray[Any]]
    facts: dict[str, Any]


def read_tensors(path: Path) -> Content:
    """Read what `write_tensors` wrote; InputError where it is not there, damaged, changed or not finite."""
    from safetensors import SafetensorError, safe_open

    try:
        _check_header(path)
        with safe_open(path, "numpy") as file:
            kept = file.metadata() or {}
            if _KEY not in kept:
                raise InputError(f"{path} was not written by audiosae: it lacks the key {_KEY!r}")
            facts = _object(json.loads(kept[_KEY]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            claimed = facts.pop(_SUM, None)
            if claimed not in (None, _checksum(tensors, facts)):
                raise InputError(f"{path} is damaged: its content does not agree with its checksum")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged or no safetensors file: {_short(error)}") from error
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or no safetensors file: {_short(error)}") from error
    bad = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if bad:
        raise InputError(f"{path} is damaged: {bad[0]} holds NaN or infinite numbers")
    return Content(tensors, facts)


def _object(found: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(found, dict):
        raise TypeError("its JSON is no object")
    return found


def _check_header(path: Path) -> None:
    """Refuse a header that is larger than any of ours before it is parsed."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _LARGEST_HEADER:
        raise ValueError(f"a header of {length} bytes, wanted at most {_LARGEST_HEADER}")


def _checksum(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> str:
    """Return the BLAKE2b of the facts, and of every tensor's name, type, shape and bytes."""
    found = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode("utf-8", "surrogatepass"))
        found.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _short(error: Exception) -> str:
    return " ".join(f"{error or type(error).__name__}".split())[:120]
