"""Formats: all give the same rows, and files without rows are refused with the reason."""

from __future__ import annotations

import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from audiosae_vectors import Vectors

from audiosae.domain import check_domain
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow: install the extra test")
from pyarrow import parquet  # noqa: E402

WIDTH = 7


@pytest.fixture
def rows() -> np.ndarray:
    """Whole numbers that float16 represents exactly."""
    return np.random.default_rng(0).integers(-100, 100, (50, WIDTH)).astype(np.float64)


def _csv(delimiter: str = ",", header: str = "") -> Callable[[Path, np.ndarray], None]:
    return lambda path, a: np.savetxt(path, a, delimiter=delimiter, header=header, comments="")


def _table(path: Path, rows: np.ndarray, *, kind: Any) -> None:
    if kind is None:
        table = pa.table({f"x{i}": column for i, column in enumerate(rows.T)})
    else:
        cells = pa.array([list(row) for row in rows.astype(kind.value_type.to_pandas_dtype())], kind)
        table = pa.table({"id": [f"row {i}" for i in range(len(rows))], "embedding": cells})
    parquet.write_table(table, path, row_group_size=11)


FORMATS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "a.npy": np.save,
    "f2.npy": lambda path, a: np.save(path, a.astype(np.float16)),
    "i8.npy": lambda path, a: np.save(path, a.astype(np.int8)),
    "big-endian.npy": lambda path, a: np.save(path, a.astype(">f4")),
    "by-columns.npy": lambda path, a: np.save(path, np.asfortranarray(a)),
    "a.npz": lambda path, a: np.savez(path, codes=a, labels=np.arange(len(a)), text=np.array(["a", "b"])),
    "packed.npz": lambda path, a: np.savez_compressed(path, a.astype(np.float32)),
    "by-columns.npz": lambda path, a: np.savez(path, np.asfortranarray(a)),
    "bare.csv": _csv(),
    "semicolons.csv": _csv(";", ";".join("abcdefg")),
    "tabs.csv": _csv("\t", "\t".join("abcdefg")),
    "counted.csv": _csv(",", "0,1,2,3,4,5,6"),
    "a.parquet": lambda path, a: _table(path, a, kind=None),
    "lists.parquet": lambda path, a: _table(path, a, kind=pa.list_(pa.float32())),
    "fixed.parquet": lambda path, a: _table(path, a, kind=pa.list_(pa.float16(), WIDTH)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_field_and_passes_the_conformance_check(
    name: str, rows: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    FORMATS[name](path, rows)
    domain = Vectors().resolve([path])
    assert domain.width == WIDTH
    np.testing.assert_array_equal(np.concatenate(list(domain.field(path))), rows)
    for limit in (2**24, 0):
        monkeypatch.setattr("audiosae_vectors.vectors._CACHED_NUMBERS", limit)
        np.testing.assert_array_equal(domain.excerpt(path, domain.span(path, (23, 0))).data, rows[23:24])
    check_domain(Vectors(), [path])


def test_index_columns_of_pandas_are_omitted(rows: np.ndarray, tmp_path: Path) -> None:
    header = "," + ",".join(f"x{i}" for i in range(WIDTH))
    indexed = np.column_stack([np.arange(len(rows)) + 1000, rows])
    _csv(",", header)(tmp_path / "a.csv", indexed)
    table = pa.table({f"x{i}": column for i, column in enumerate(rows.T)} | {"__index_level_0__": indexed[:, 0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        domain = Vectors().resolve([path])
        assert domain.names == "x0,x1,x2,x3,x4,x5,x6"
        np.testing.assert_array_equal(np.concatenate(list(domain.field(path))), rows)


def test_columns_of_text_are_omitted_with_skip(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('file,a,b,kind\n"one, two.wav",1,2,x\nb.wav,3,4,y\n')
    domain = Vectors(skip="file,kind").resolve([path])
    assert (domain.width, domain.names) == (2, "a,b")
    np.testing.assert_array_equal(np.concatenate(list(domain.field(path))), [[1, 2], [3, 4]])
    path.write_text("dog,0.5,0.25\ncat,1,2\n")
    np.testing.assert_array_equal(np.concatenate(list(Vectors(skip="0").field(path))), [[0.5, 0.25], [1, 2]])
    table = pa.table({"file": ["a"], "a": [1.5]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert Vectors(skip="file").resolve([tmp_path / "a.parquet"]).names == "a"


def test_an_array_of_one_axis_is_one_row(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    np.testing.assert_array_equal(next(Vectors().field(tmp_path / "a.npy")), [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize(("flatten", "shape"), [("rows", (6, 4)), ("width", (2, 12))])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_of_three_axes_are_flattened(flatten: Any, shape: Any, suffix: str, tmp_path: Path) -> None:
    array, path = np.arange(24).reshape(2, 3, 4), tmp_path / f"a{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, array)
    np.testing.assert_array_equal(next(Vectors(flatten=flatten).field(path)), array.reshape(shape))
    with pytest.raises(InputError, match=r"shape \(2, 3, 4\).*flatten=rows"):
        list(Vectors().field(path))


def test_a_large_array_is_read_in_blocks_of_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (200_000, 100))[-1] = 3
    tracemalloc.start()
    total = sum(block.sum() for block in Vectors().field(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 300
    assert peak < 8e6


REFUSED: dict[str, tuple[Any, str]] = {
    "nan.npy": (np.array([[1.0, 2], [3, np.nan]]), "NaN or infinite: row 1, column 1 is nan"),
    "inf.npy": (np.array([[1.0, -np.inf]]), "row 0, column 1 is -inf"),
    "huge.npy": (np.array([[1.0, 2], [1e39, 3]]), r"too large for float32: row 1, column 0 is 1e\+39"),
    "complex.npy": (np.ones((2, 2), complex), "not real numbers: complex128"),
    "text.npy": (np.array([["a", "b"]]), "not real numbers: <U1"),
    "pickled.npy": (np.array([[{}, None]], object), "not real numbers: object"),
    "one.npy": (np.float32(3), "not rows: a single number"),
    "none.npy": (np.ones((0, 4)), "empty: no rows"),
    "narrow.npy": (np.ones((4, 0)), "empty: rows without numbers"),
    "wide.npy": (np.zeros((1, 2**20 + 1), bool), "rows of 1048577 numbers"),
    "two.npz": (
        {"a": np.ones((2, 2)), "b": np.ones((3, 2))},
        r"no array chosen: 2 have two axes; name one with --set array=NAME, one of a float64 \(2, 2\), b",
    ),
    "flat.npz": ({"a": np.ones(2), "b": np.ones(2)}, "no array chosen: 0 have two axes"),
    "text.csv": ("a,b\n1,2\n3,dog\n", r"not a number: row 1 \(line 3\), column 'b' is 'dog'; --set skip=b"),
    "bare-text.csv": ("1,2\n3,dog\n", r"not a number: row 1 \(line 2\), column '1' is 'dog'"),
    "gap.csv": ("a,b\n1,\n", r"empty cell: row 0 \(line 2\), column 'b'"),
    "comma.csv": ("a;b\n1,5;2\n", "is '1,5'; write numbers with a decimal point"),
    "ragged.csv": ("a,b\n1,2\n\n3,4,5\n", r"uneven rows: row 1 \(line 4\) has 3 cells, the first line has 2"),
    "nan.csv": ("a,b\n1,2\n3,nan\n", "row 1, column 'b' is nan"),
    "header.csv": ("a,b\n", "empty: no rows"),
    "blank.csv": ("\n\n", "empty: no rows"),
    "latin.csv": (b"gr\xf6\xdfe,b\n1,2\n", "not a text in UTF-8: byte 0xf6"),
    "text.parquet": ({"a": [1.0], "b": ["x"]}, "not a number: column 'b' has the type string; --set skip=b"),
    "gap.parquet": ({"a": [1.0, 2], "b": [1, None]}, "empty cell: row 1, column 'b'"),
    "nan.parquet": ({"a": [1.0, float("nan")]}, "row 1, column 'a' is nan"),
    "ragged.parquet": ({"a": [[1.0, 2], [3]]}, "row 1 has 1 numbers, the first row has 2"),
    "missing.parquet": ({"a": [[1.0, 2], None]}, "row 1 has no list"),
    "two.parquet": (
        {"a": [[1.0]], "b": [[1.0]]},
        "no column chosen: 2 have lists; choose one with --set array=NAME: a, b",
    ),
    "rowless.parquet": ({"a": pa.array([], pa.float32())}, "empty: no rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_not_rows_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    content, reason = REFUSED[name]
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, content)
    elif name.endswith(".npz"):
        np.savez(path, **content)
    elif name.endswith(".parquet"):
        parquet.write_table(pa.table(content), path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=reason):
        list(Vectors().field(path))


@pytest.mark.parametrize("suffix", Vectors.suffixes)
@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 4, b"\x93NUMPY\x01\x00", b"PK\x03\x04 no", b"PAR1PAR1"])
def test_broken_files_of_every_suffix_are_refused_in_one_line(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(Vectors().field(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz", "a.parquet"])
def test_truncated_files_are_refused(name: str, rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / name
    FORMATS[name](path, rows)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError):
        list(Vectors().field(path))


def test_damaged_archives_are_refused(rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, rows)
    data = bytearray(path.read_bytes())
    data[500] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match="CRC"):
        list(Vectors().field(path))


def test_an_archive_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, zeros=np.zeros((2**12, 512), np.float32))
    assert next(Vectors().field(path)).shape == (512, 512)
    monkeypatch.setattr("audiosae_vectors.arrays._BOMB_BYTES", 2**22)
    with pytest.raises(InputError, match=r"zeros.npy has 0.0 GiB, \d{3,4} times its packed size; if this is intended"):
        list(Vectors().field(path))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (b"(40, 3), } ", "truncated: the header claims 960 bytes of numbers, the file has 96"),
        (b"(-4, -3), }", r"the header has the shape \(-4, -3\)"),
        (b"(9**9, 3), ", "undecodable"),
        (b"(4, 3)      ", "undecodable"),
    ],
)
def test_a_wrong_header_is_refused(shape: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.ones((4, 3)))
    data = path.read_bytes()
    at = data.index(b"(4, 3)")
    path.write_bytes(data[:at] + shape + data[at + len(shape) :])
    with pytest.raises(InputError, match=reason):
        list(Vectors().field(path))


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(pa.table({"a": [1.0]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'audiosae-vectors\[parquet\]'"):
        list(Vectors().field(tmp_path / "a.parquet"))


def lists(lengths: list[int]) -> pa.Table:
    """Return a table of lists of zeros, which a file stores in a few bytes."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.table({"v": pa.LargeListArray.from_arrays(offsets, np.zeros(offsets[-1], np.float32))})


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ([2**23], "too wide: 8388608 numbers in 1 rows of column 'v', wanted 1048576 numbers per row at most"),
        ([1, 2**23], "too wide: 8388609 numbers in 2 rows"),
        ([2**23, *[1] * 1000], "uneven rows: 8389608 numbers in 1001 rows of column 'v', wanted the same number"),
    ],
)
def test_a_list_too_long_for_memory_is_refused_before_it_is_decoded(
    lengths: list[int], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(lists(lengths), path)
    assert path.stat().st_size < 2**15
    monkeypatch.setattr("audiosae_vectors.tables._DECODED", 2**20)
    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(InputError, match=reason):
        Vectors().probe(path)


@pytest.mark.parametrize("size", [-1, 6])
def test_the_width_of_lists_is_that_of_the_metadata(size: int, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    kind = pa.list_(pa.float32(), size)  # -1 for lists of any length
    table = pa.table({"a.b": pa.array(rows.tolist(), kind), "a": np.arange(30)})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    assert Vectors().probe(tmp_path / "a.parquet").facts["width"] == 6
    np.testing.assert_array_equal(np.concatenate(list(Vectors(width=6).field(tmp_path / "a.parquet"))), rows)
