"""Rows of .npy files (memory-mapped) and of .npz files (streamed); pickled data is never loaded."""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy

from audiosae.errors import InputError
from audiosae_vectors.rows import ReadOptions, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_TABLE_AXES = 2
_MAGIC = b"\x93NUMPY"
_REAL = "biuf"  # kinds of dtype: bool, signed, unsigned, floating
_BOMB_BYTES, _BOMB_RATIO = 2**30, 200  # limits of size and compression ratio; a member may exceed only one
_TRANSPOSED_BYTES = 2**28  # limit for a member stored by columns, which is read completely


class Header(NamedTuple):
    """Header of an .npy file."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Size of the array in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        """Return dtype and shape as text."""
        return f"{self.dtype} {self.shape}"


def open_npy(path: Path, options: ReadOptions) -> Rows:
    """Open an .npy file as rows."""
    if options.skip:
        raise InputError(
            f"--set skip={options.skip} is for tables only: columns of an .npy array have no names; leave it out"
        )
    with path.open("rb") as file:
        header = _read_header(file)
        offset, size = file.tell(), os.fstat(file.fileno()).st_size
    shape = rows_and_width(header, options.flatten)
    if size - offset < header.bytes:
        raise InputError(f"truncated: the header claims {header.bytes} bytes of numbers, the file has {size - offset}")

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        order: Literal["F", "C"] = "F" if header.by_columns else "C"
        array = np.memmap(path, header.dtype, "r", offset=offset, shape=header.shape, order=order).reshape(shape)
        yield from (array[row : row + at_once] for row in range(start, len(array), at_once))

    return Rows(*shape, f"npy {header.dtype}", read)


def open_npz(path: Path, options: ReadOptions) -> Rows:
    """Open one array of an .npz file as rows: `options.array`, or the only one with two axes."""
    with zipfile.ZipFile(path) as archive:
        member, header = _choose(archive, options)
        info = archive.getinfo(member)
    shape = rows_and_width(header, options.flatten)
    ratio = info.file_size // max(1, info.compress_size)
    if info.file_size > _BOMB_BYTES and ratio >= _BOMB_RATIO:
        raise InputError(
            f"too large when unpacked: {member} has {info.file_size / 2**30:.1f} GiB, {ratio} times its packed size; "
            f"if this is intended, unpack it and use the .npy file"
        )
    if info.file_size < header.bytes:
        raise InputError(f"truncated: {member} claims {header.bytes} bytes of numbers, it has {info.file_size}")
    if header.by_columns and header.bytes > _TRANSPOSED_BYTES:
        raise InputError(
            f"stored by columns: {member} is too large to be read in this order; save it with numpy.ascontiguousarray"
        )

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            _read_header(file)
            if header.by_columns:
                whole = np.frombuffer(_exactly(file, header.bytes), header.dtype).reshape(shape, order="F")
                yield from (whole[row : row + at_once] for row in range(start, len(whole), at_once))
                return
            yield from _stream(file, header.dtype, shape, start, at_once)

    return Rows(*shape, f"npz {header.dtype}", read)


def _read_header(file: IO[bytes]) -> Header:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise InputError("undecodable: not an .npy file")
    version = tuple(file.read(2))
    if version == (1, 0):
        header = Header(*npy.read_array_header_1_0(file))
    elif version == (2, 0):
        header = Header(*npy.read_array_header_2_0(file))
    else:
        raise InputError(f"undecodable: .npy of version {version}, wanted (1, 0) or (2, 0)")
    if any(size < 0 for size in header.shape):
        raise InputError(f"undecodable: the header has the shape {header.shape}")
    return header


def rows_and_width(header: Header, flatten: str) -> tuple[int, int]:
    """Return the shape (rows, width) as which an array is read; InputError if it cannot be."""
    if header.dtype.kind not in _REAL:
        hint = " (bfloat16? save it as float32)" if header.dtype == np.dtype("V2") else ""
        raise InputError(f"not real numbers: {header.dtype}{hint}")
    shape = header.shape
    if len(shape) == 0:
        raise InputError("not rows: a single number")
    if len(shape) == 1:
        return 1, shape[0]
    if len(shape) > _TABLE_AXES and flatten == "no":
        raise InputError(
            f"not rows: an array of shape {shape}; --set flatten=rows makes each last axis a row, "
            f"--set flatten=width makes each entry of the first axis one row"
        )
    if len(shape) > _TABLE_AXES and header.by_columns:
        raise InputError(f"stored by columns: an array of shape {shape}; save it with numpy.ascontiguousarray")
    return (shape[0], math.prod(shape[1:])) if flatten == "width" else (math.prod(shape[:-1]), shape[-1])


def _choose(archive: zipfile.ZipFile, options: ReadOptions) -> tuple[str, Header]:
    """Return the member to be read, and its header."""
    members = {}
    for name in archive.namelist():
        if name.endswith(".npy"):
            with archive.open(name) as file:
                members[name.removesuffix(".npy")] = (name, _read_header(file))
    if options.array in members:
        return members[options.array]
    arrays = ", ".join(f"{key} {header}" for key, (_, header) in list(members.items())[:8])
    if options.array or not members:
        raise InputError(
            f"no array {options.array}: the file has {arrays or 'none'}" if options.array else "no array in the file"
        )
    axes = range(2, 3 if options.flatten == "no" else 64)
    flat = [entry for entry in members.values() if entry[1].dtype.kind in _REAL and len(entry[1].shape) in axes]
    if len(flat) == 1 or len(members) == 1:
        return (flat or list(members.values()))[0]
    raise InputError(f"no array chosen: {len(flat)} have two axes; name one with --set array=NAME, one of {arrays}")


def _stream(
    file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, int], start: int, at_once: int
) -> Iterator[NDArray[Any]]:
    size = shape[1] * dtype.itemsize
    for row in range(0, start, at_once):  # a compressed stream cannot seek
        _exactly(file, size * (min(row + at_once, start) - row))
    for row in range(start, shape[0], at_once):
        count = min(at_once, shape[0] - row)
        yield np.frombuffer(_exactly(file, size * count), dtype).reshape(count, shape[1])


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise InputError(f"truncated: {size - len(data)} bytes of numbers are missing")
    return data
