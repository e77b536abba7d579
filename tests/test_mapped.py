"""Memory-mapped files, of which only what was used last stays in memory."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path

import numpy as np
import pytest

from audiosae.recordings.repair import JOINED, find_problem
from audiosae.system import mapped
from audiosae.system.mapped import MappedArray, MappedFile, stored


def test_files_are_searched_in_stretches_and_changes_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "_KEPT", 16)
    path = tmp_path / "a"
    content = bytes(14) + b"wanted" + bytes(40) + b"wanted"
    path.write_bytes(content)
    with path.open("rb") as file, MappedFile(file.fileno(), 0, access=mmap.ACCESS_READ) as found:
        for start in range(70):
            assert found.find(b"wanted", start) == content.find(b"wanted", start)
        assert found.find(b"wanted", 20, 60) == content.find(b"wanted", 20, 60) == -1
    with path.open("r+b") as file:
        array = MappedArray(file, np.uint8, "r+", shape=(8, 8))
        for row in range(8):
            array[row : row + 1] += row
    assert np.frombuffer(path.read_bytes()[:64], np.uint8).reshape(8, 8)[:, 7].tolist()[3:6] == [3, 4, 5]


def test_a_stored_array_is_sent_to_another_process_as_a_plain_one():
    values = np.arange(12.0).reshape(3, 4)
    array = stored(values)
    assert isinstance(array, MappedArray)
    sent = pickle.loads(pickle.dumps(array))  # noqa: S301
    assert type(sent) is np.ndarray
    np.testing.assert_array_equal(sent, values)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of mapped files is known on Linux only")
def test_a_long_file_is_not_kept_in_memory(tmp_path):
    path = tmp_path / "long.snd"
    with path.open("wb") as file:
        file.write(b".snd")
        file.truncate(2**27)
    before = peak_of_files()
    assert find_problem(path, "XI", 1) in {"", JOINED}
    array = MappedArray(path, np.uint8, "r", shape=(2**17, 2**10))
    seen = 0
    for row in range(0, 2**17, 2**10):
        seen = max(seen, int(array[row : row + 2**10].max()))
        assert peak_of_files() - before < 2**16  # KiB
    assert seen == ord("s")
    before, parts = peak_of_files(), [MappedArray(path, np.uint8, "r", shape=(2**22,)) for _ in range(32)]
    for part in parts:  # a little of each of many files
        assert part[:].max() == ord("s")
        assert peak_of_files() - before < 2**16


def peak_of_files() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile:"))
