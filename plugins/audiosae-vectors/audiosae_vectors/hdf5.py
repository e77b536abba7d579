"""Rows of HDF5 files, such as those of avex; read by h5py in blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from audiosae.errors import InputError
from audiosae_vectors.arrays import Header, rows_and_width
from audiosae_vectors.rows import ReadOptions, Rows, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import h5py  # type: ignore[import-untyped,unused-ignore]
    from numpy.typing import NDArray

_PREFIX = "embedding"  # of the datasets of avex: embeddings, embeddings_LAYER; the others are labels
_CHUNK_BYTES = 2**28  # limit for a chunk, which is decompressed completely
_SHOWN = 8  # names of datasets in a message
_TABLE_AXES = 2


def open_hdf5(path: Path, options: ReadOptions) -> Rows:
    """Open one dataset of an .h5 file as rows: `options.array`, or the only one with two axes."""
    try:
        import h5py
    except ImportError as error:
        raise InputError("h5py is missing: to read .h5, pip install 'audiosae-vectors[hdf5]'") from error
    if options.skip:
        raise InputError(
            f"--set skip={options.skip} is for tables only: columns of a dataset have no names; leave it out"
        )
    with h5py.File(path, "r") as file:
        name, dataset = _choose(_datasets(file), options)
        header = Header(dataset.shape, by_columns=False, dtype=dataset.dtype)
        _check_storage(name, dataset)
    rows, width = rows_and_width(header, options.flatten)
    group = 1 if options.flatten == "width" or not header.shape[:-1] else math.prod(header.shape[1:-1])

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        with h5py.File(path, "r") as file, readable():
            dataset, step = file[name], max(1, at_once // group)
            first = start // group  # entry of the first axis, with `group` rows
            for entry in range(first, max(1, rows // group), step):
                part = dataset[entry : entry + step] if header.shape[1:] else dataset[:]
                block = part.reshape(-1, width)[start - entry * group if entry == first else 0 :]
                yield from (block[at : at + at_once] for at in range(0, len(block), at_once))

    return Rows(rows, width, f"h5 {header.dtype}", read)


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the datasets of a file by name, including those in groups; links to other files are not followed."""
    import h5py

    found: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def _choose(datasets: dict[str, h5py.Dataset], options: ReadOptions) -> tuple[str, h5py.Dataset]:
    shown = ", ".join(f"{name} {item.dtype} {item.shape}" for name, item in list(datasets.items())[:_SHOWN]) or "none"
    if options.array:
        if options.array not in datasets:
            raise InputError(f"no dataset {options.array}: the file has {shown}")
        return options.array, datasets[options.array]
    axes = range(_TABLE_AXES, _TABLE_AXES + 1 if options.flatten == "no" else 64)
    tables = {name: item for name, item in datasets.items() if item.shape is not None and len(item.shape) in axes}
    tables = {name: item for name, item in tables.items() if name.startswith(_PREFIX)} or tables
    if len(tables) == 1:
        return next(iter(tables.items()))
    if len(datasets) == 1:
        return next(iter(datasets.items()))
    raise InputError(f"no dataset chosen: {len(tables)} have two axes; name one with --set array=NAME, one of {shown}")


def _check_storage(name: str, dataset: h5py.Dataset) -> None:
    """Refuse numbers that are in other files, and chunks that may not fit into memory."""
    if dataset.shape is None:
        raise InputError(f"empty: the dataset {name} has no values")
    if dataset.external or dataset.is_virtual:
        raise InputError(f"outside the file: the numbers of {name} are in other files; copy them into one file")
    if dataset.chunks and (size := math.prod(dataset.chunks) * dataset.dtype.itemsize) > _CHUNK_BYTES:
        raise InputError(
            f"too large when unpacked: {name} has chunks of {size / 2**20:.0f} MiB, wanted {_CHUNK_BYTES >> 20} at most"
        )
