"""The one file format: named tensors and one JSON, in safetensors; written aside and moved into place."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.domain import Json

_KEY = "audiosae"
_LARGEST_JSON = 2**24


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Json]) -> None:
    """Write tensors and facts to `path`; what was there stays until the new file is whole.

    Raises
    ------
    InputError
        The disk is full, the folder has gone or may not be written.
    """
    from safetensors.numpy import save

    whole = save(
        {name: np.ascontiguousarray(a) for name, a in tensors.items()}, {_KEY: json.dumps(facts, sort_keys=True)}
    )
    write_aside(path, whole)


def write_aside(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then move it there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)  # noqa: PTH105 (one atomic call)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}; what was there before is untouched") from error


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the tensors and the facts of a file that `write_tensors` wrote.

    Raises
    ------
    InputError
        It is not there, is not such a file, or holds numbers that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None or len(text) > _LARGEST_JSON:
                raise InputError(f"{path} was not written by audiosae: it lacks the key {_KEY!r}")
            facts = json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"{path} is damaged or no safetensors file: {' '.join(str(error).split())[:120]}") from error
    bad = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if bad or not isinstance(facts, dict):
        fault = f"{bad[0]} holds NaN or infinite numbers" if bad else "its JSON is no object"
        raise InputError(f"{path} is damaged: {fault}")
    return tensors, facts
