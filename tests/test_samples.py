"""`audiosae samples` writes the files of the repository's samples/ and never overwrites a user's files."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY
from PIL import Image

from audiosae import samples

ONES = ["sounds/frog/frog_00.flac", "sounds/wind/wind_11.flac", "pictures/leaves_03.png"]


@pytest.fixture
def few(monkeypatch):
    """Make three of the files instead of all 130, which take fifteen seconds."""
    files = samples.sample_files()
    monkeypatch.setattr(samples, "sample_files", lambda: {name: files[name] for name in ONES})


def in_repository():
    paths = (path.relative_to(REPOSITORY / "samples") for path in (REPOSITORY / "samples").rglob("*.*"))
    return {path.as_posix() for path in paths if path.suffix in {".flac", ".png"}}


def assert_alike(made, stored, name):
    """Check for equal bytes, or values equal to one step if another library compresses or rounds differently."""
    if made != stored and name.endswith(".png"):
        made, stored = (np.asarray(Image.open(BytesIO(content))).astype(int) for content in (made, stored))
        np.testing.assert_allclose(made, stored, atol=1)
    elif made != stored:
        (made, rate), (stored, other) = (soundfile.read(BytesIO(content), dtype="int16") for content in (made, stored))
        assert rate == other
        np.testing.assert_allclose(made.astype(int), stored.astype(int), atol=1)


def test_sample_files_are_those_of_the_repository():
    assert set(samples.sample_files()) == in_repository()
    assert len(in_repository()) == 130


@pytest.mark.slow
def test_every_sample_equals_that_of_the_repository(run, tmp_path):
    code, out, _ = run("samples", tmp_path / "samples")
    assert code == 0
    assert "120 sounds and 10 pictures" in out
    for name in in_repository():
        assert_alike((tmp_path / "samples" / name).read_bytes(), (REPOSITORY / "samples" / name).read_bytes(), name)


@pytest.mark.usefixtures("few")
def test_written_files_are_counted_in_json(run, tmp_path):
    code, out, _ = run("samples", tmp_path / "new", "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["sounds"], facts["pictures"], facts["written"]) == (2, 1, 3)
    for name in ONES:
        assert_alike((tmp_path / "new" / name).read_bytes(), (REPOSITORY / "samples" / name).read_bytes(), name)
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"sounds", "pictures"}


@pytest.mark.usefixtures("few")
def test_existing_samples_and_other_files_are_not_changed(run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert run("samples", tmp_path, "--quiet") == (0, "", "")
    before = (tmp_path / ONES[0]).stat().st_mtime_ns
    (tmp_path / ONES[2]).unlink()
    code, out, _ = run("samples", tmp_path, "--json")
    assert code == 0
    assert json.loads(out)["written"] == 1
    assert (tmp_path / ONES[0]).stat().st_mtime_ns == before
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_user_files_are_never_overwritten(run, tmp_path, what):
    mine = tmp_path / ONES[1]
    mine.parent.mkdir(parents=True)
    {
        "file": lambda: mine.write_bytes(b"mine"),
        "folder": mine.mkdir,
        "link": lambda: mine.symlink_to(tmp_path / "nowhere"),
    }[what]()
    code, out, err = run("samples", tmp_path)
    assert (code, out) == (1, "")
    assert "wind_11.flac: it exists with other content" in err
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["sounds", "wind", "wind_11.flac"]
    if what == "file":
        assert mine.read_bytes() == b"mine"


@pytest.mark.usefixtures("few")
def test_file_instead_of_a_folder_gives_a_one_line_error(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, _, err = run("samples", tmp_path / "file")
    assert code == 1
    assert "cannot write the folder" in err
    assert (tmp_path / "file").read_text() == "mine"
