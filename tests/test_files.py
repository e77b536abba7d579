"""Files are written to a temporary name and renamed; the earlier file is unchanged if anything fails."""

from __future__ import annotations

import csv
import errno
import os

import pytest
from matplotlib.figure import Figure

import audiosae
from audiosae.errors import InputError
from audiosae.features.table import open_table
from audiosae.sounds.results import Survey
from audiosae.system import tabular
from audiosae.system.files import create_folder, replacing, write_file
from audiosae.views.atoms import save_figure


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def earlier(tmp_path):
    """An earlier file, alone in its folder."""
    path = tmp_path / "only" / "file.csv"
    path.parent.mkdir()
    path.write_text("earlier")
    return path


def contents(path):
    return {each.name: each.read_text() for each in path.parent.iterdir()}


def test_the_content_is_flushed_to_disk_before_the_rename(earlier, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda _: calls.append(("flush", earlier.read_text())))
    write_file(earlier, b"new")
    assert calls == [("flush", "earlier")]
    assert contents(earlier) == {"file.csv": "new"}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_of_any_step_leaves_the_earlier_file_unchanged(earlier, monkeypatch, call):
    monkeypatch.setattr(os, call, full)
    with pytest.raises(InputError) as found:
        write_file(earlier, b"new")
    assert str(found.value) == (
        f"cannot write {earlier}: No space left on device; an earlier file of that name is unchanged"
    )
    assert contents(earlier) == {"file.csv": "earlier"}


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_an_error_while_writing_is_raised_and_the_temporary_file_removed(earlier, error):
    def write():
        with replacing(earlier) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert contents(earlier) == {"file.csv": "earlier"}


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_an_error_in_computing_the_rows_is_not_reported_as_a_write_error(tmp_path, suffix):
    with pytest.raises(FileNotFoundError), open_table(tmp_path / f"t.{suffix}", ["file"], ["u0"], 1):
        raise FileNotFoundError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_table_that_cannot_be_finished_is_a_clear_error(tmp_path, monkeypatch, suffix, call):
    monkeypatch.setattr(os, call, full)
    path = tmp_path / f"t.{suffix}"
    with (
        pytest.raises(InputError, match=f"cannot write .*t.{suffix}: No space left"),
        open_table(path, ["file"], [], 0),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["png", "SVG", "pdf"])
def test_a_picture_that_fails_while_written_leaves_the_earlier_one(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    save_figure(Figure(), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot write"):
        save_figure(Figure(), path)
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], before)


def test_a_folder_is_created_with_its_parents_which_are_returned(tmp_path):
    (tmp_path / ".writable").write_text("of the user")
    assert create_folder(tmp_path) == []
    assert create_folder(tmp_path / "a" / "b") == [tmp_path / "a" / "b", tmp_path / "a"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".writable", "a", "b"]
    assert (tmp_path / ".writable").read_text() == "of the user"


def test_a_created_folder_that_cannot_be_written_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match=r"^cannot write the run folder .*/a/b: No space left on device; choose anoth"):
        create_folder(tmp_path / "a" / "b", "run folder")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def survey(sounds):
    return audiosae.survey(audiosae.train(sounds, hidden=4, epochs=1).model, sounds, types=2)


def test_events_are_written_to_parquet_by_row_groups(survey, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    size, computed, written = 3, [], []

    class Writer(pq.ParquetWriter):
        def __init__(self, where, schema):
            assert os.fspath(where).startswith(str(tmp_path))  # and no buffer in memory
            super().__init__(where, schema)

        def write_batch(self, table):
            written.append(len(table))
            assert len(computed) == sum(written)  # the rows of later groups are not computed yet
            super().write_batch(table)

    rows = Survey.rows
    monkeypatch.setattr(
        Survey, "rows", lambda *of, **how: (computed.append(event) or event for event in rows(*of, **how))
    )
    monkeypatch.setattr(tabular, "_BATCH_ROWS", size)
    monkeypatch.setattr(pq, "ParquetWriter", Writer)
    survey.table("events").write_parquet(tmp_path / "events.parquet")
    file = pq.ParquetFile(tmp_path / "events.parquet")
    count = len(survey.events)
    assert count > 2 * size
    assert written == [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert written == [size] * (count // size) + ([count % size] if count % size else [])
    assert list(tmp_path.iterdir()) == [tmp_path / "events.parquet"]
    survey.table("events").write_csv(tmp_path / "events.csv")
    with (tmp_path / "events.csv").open(newline="") as text:
        expected = list(csv.DictReader(text))
    found = file.read().to_pylist()
    assert [{key: str(value) for key, value in row.items()} for row in found] == expected
