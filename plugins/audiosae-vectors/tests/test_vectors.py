"""Options resolved from the files, and pictures of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from audiosae_vectors import Vectors
from audiosae_vectors.pictures import fold
from matplotlib.figure import Figure
from pyarrow import parquet

from audiosae.domain import load_domain
from audiosae.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_entry_point_names_the_domain() -> None:
    assert load_domain("vectors") is Vectors


def test_the_most_common_width_is_chosen_and_others_are_refused(tmp_path: Path) -> None:
    widths = {"a": 8, "b": 4, "c": 4}
    for name, width in widths.items():
        np.save(tmp_path / f"{name}.npy", np.ones((3, width)))
    (tmp_path / "d.npy").write_bytes(b"broken")
    paths = sorted(tmp_path.iterdir())
    domain = Vectors().resolve(paths)
    assert domain.window == domain.stride == (1, 4)
    assert domain.resolve([]) == domain
    assert Vectors(width=8).resolve(paths).width == 8
    with pytest.raises(InputError, match="another width: rows of 8 numbers, wanted 4"):
        list(domain.field(tmp_path / "a.npy"))
    with pytest.raises(InputError, match="another width"):
        domain.probe(tmp_path / "a.npy")


def test_tables_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mean, std\n1,2\n")
    (tmp_path / "b.csv").write_text("std,mean\n1,2\n")
    np.save(tmp_path / "c.npy", np.ones((3, 2)))
    domain = Vectors().resolve([tmp_path / "a.csv", tmp_path / "c.npy"])
    assert domain.names == "mean,std"
    assert len(next(domain.field(tmp_path / "c.npy"))) == 3
    with pytest.raises(InputError, match="column 0 is 'std', wanted 'mean'"):
        list(domain.field(tmp_path / "b.csv"))


def test_a_row_beyond_the_end_has_no_excerpt(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    domain = Vectors(width=2)
    with pytest.raises(InputError, match="no row 7"):
        domain.excerpt(tmp_path / "a.npy", domain.span(tmp_path / "a.npy", (7, 0)))


def test_probe_reads_only_the_header(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2), np.float16))
    probe = Vectors().probe(tmp_path / "a.npy")
    assert (probe.rows, probe.facts) == (3, {"width": 2, "format": "npy float16"})
    (tmp_path / "a.csv").write_text("a,b\n" + "1.5,2.5\n" * 1000)
    assert 900 <= Vectors().probe(tmp_path / "a.csv").rows <= 1100


@pytest.mark.parametrize(
    ("width", "shape"), [(64, (8, 8)), (768, (24, 32)), (40, (5, 8)), (97, (9, 11)), (1, (1, 1)), (3, (1, 3))]
)
def test_a_tile_is_nearly_square_and_contains_the_vector(width: int, shape: tuple[int, int]) -> None:
    tile = fold(np.arange(1, width + 1))
    assert tile.shape == shape
    np.testing.assert_array_equal(tile.reshape(-1)[:width], np.arange(1, width + 1))
    assert not tile.reshape(-1)[width:].any()


def test_bars_name_the_strongest_dimensions() -> None:
    atom = np.zeros((1, 40))
    atom[0, [3, 4, 30]] = (1, -0.9, -2)
    names = ",".join(f"band {i}" for i in range(40))
    for domain, labels in ((Vectors(width=40), ["30", "3"]), (Vectors(width=40, names=names), ["band 30", "band 3"])):
        ax = Figure().subplots()
        domain.draw(atom, ax, limit=2.0)
        shown = [text.get_text() for text in ax.texts]
        assert shown[:2] == labels
        assert not {"4", "band 4"} & set(shown)  # too near to 3 to be read
        assert [text.xy[0] for text in ax.texts][:2] == [30, 3]


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="2 names for 3 columns"):
        Vectors(width=3, names="a,b")
    with pytest.raises(InputError, match="width=-1: wanted at least 0"):
        Vectors(width=-1)


def embeddings(*, seconds: bool, text: bool) -> str:
    """Return a table of 60 rows: name of a recording, start and end in seconds, 12 features."""
    rng = np.random.default_rng(0)
    head = ["file"] * text + ["start_time", "end_time"] * seconds + [f"f{i}" for i in range(12)]
    lines = [",".join(head)]
    for row in range(60):
        keys = ["site0.wav"] * text + [f"{5 * row}", f"{5 * row + 5}"] * seconds
        lines.append(",".join([*keys, *(f"{value:.3f}" for value in rng.normal(size=12))]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "parquet"])
def test_numbers_of_rows_and_large_columns_are_reported_in_every_format(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table, path = rng.normal(size=(50, 10)), tmp_path / f"a.{suffix}"
    for column, values in ((None, None), (3, np.arange(50) // 1.5), (7, 11 * rng.normal(size=50))):
        if column is not None:
            table[:, column] = values
        if suffix == "npy":
            np.save(path, table)
        elif suffix == "npz":
            np.savez(path, table)
        elif suffix == "csv":
            np.savetxt(path, table, delimiter=",")
        else:
            parquet.write_table(pa.table({str(i): table[:, i] for i in range(10)}), path)
        remark = Vectors().probe(path).remark
        expected = {None: "", 3: "3", 7: "3, 7"}[column]
        assert remark.partition(" as times do: ")[2].partition(" (")[0] == expected


def test_features_that_vary_alike_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(embeddings(seconds=False, text=False))
    assert not Vectors().probe(tmp_path / "a.csv").remark
    np.save(tmp_path / "b.npy", np.eye(30))
    assert not Vectors().probe(tmp_path / "b.npy").remark
