"""The folder of decoded fields: shared, listed, pruned; and tables that are safe to open."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time

import pytest

from audiosae.corpus import cache as fields
from audiosae.corpus.entries import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.journal import Record, write_journal
from audiosae.corpus.sources import scan
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.files import cell
from audiosae.system.locks import lock_folder

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)


@pytest.fixture
def filled(sounds, tmp_path):
    """A cache with the fields of the sounds in it, that nobody uses any more."""
    records = ingest(DOMAIN, scan([sounds], DOMAIN.suffixes), cache=tmp_path / "cache", workers=1)
    for held in fields._locks.values():
        held.close()
    fields._locks.clear()
    return tmp_path / "cache", records


def age(path, days):
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_folders_are_listed_with_what_made_them(filled):
    (folder,) = fields.list_folders(filled[0])
    assert folder.files == len(filled[1])
    assert folder.size > folder.files * 1000
    assert folder.about[1]["options"]["n_mels"] == 10
    assert not folder.outdated
    assert fields.list_folders(filled[0] / "none") == []


def test_pruning_takes_first_what_was_not_used_for_longest(filled):
    cache, records = filled
    for number, record in enumerate(records):
        age(record.field, days=number + 1)
    size = fields.list_folders(cache)[0].size
    newest = os.stat(records[0].field).st_size
    freed = fields.prune(cache, keep=newest + 2000, say=print)
    left = [record for record in records if os.path.exists(record.field)]
    assert 0 < len(left) < len(records)
    assert left == records[: len(left)]
    assert fields.list_folders(cache)[0].size == size - freed <= newest + 2000


def test_pruning_to_nothing_leaves_what_is_not_the_caches(filled):
    cache, _ = filled
    (cache / "holiday.jpg").write_bytes(b"mine")
    (cache / "letters").mkdir()
    fields.prune(cache, keep=0, say=print)
    assert sorted(path.name for path in cache.iterdir()) == ["holiday.jpg", "letters"]


def test_fields_of_another_version_are_told_of_and_go_first(filled, sounds):
    cache, records = filled
    about = fields.list_folders(cache)[0].path / "domain.json"
    number, domain = json.loads(about.read_text())
    about.write_text(json.dumps([number - 1, domain | {"version": "0.0.1"}]))
    about.parent.rename(cache / ("0" * 16))
    told = []
    ingest(DOMAIN, scan([sounds], DOMAIN.suffixes), cache=cache, workers=1, say=told.append)
    assert told == [f"the cache holds {len(records)} fields of audiosae 0.0.1, format {number - 1}: read again; "
                    "audiosae cache --prune removes them"]  # fmt: skip
    fields.prune(cache, keep=10**12, say=told.append)
    assert [folder.about[0] for folder in fields.list_folders(cache)] == [number]


def test_what_a_killed_process_left_half_written_goes_after_an_hour(filled):
    cache, records = filled
    folder = fields.list_folders(cache)[0].path
    for name, days in (("old.npy.7.tmp", 1), ("new.npy.8.tmp", 0)):
        (folder / name).write_bytes(b"x")
        age(folder / name, days)
    fields.prune(cache, keep=10**12, say=print)
    assert {path.name for path in folder.iterdir() if path.suffix == ".tmp"} == {"new.npy.8.tmp"}
    assert all(os.path.exists(record.field) for record in records)


def test_what_a_run_uses_is_not_taken_from_under_it(filled):
    cache, _ = filled
    folder = fields.list_folders(cache)[0].path
    held = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path\nfrom audiosae.system.locks import lock_folder\n"
         "held = lock_folder(Path(sys.argv[1]), shared=True)\nprint('held', flush=True)\nsys.stdin.read()",
         str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert held.stdout.readline() == "held\n"
    told = []
    assert fields.prune(cache, keep=0, say=told.append) == 0
    assert told == [f"{folder.name} is in use and stays"]
    held.kill()
    held.communicate()
    assert fields.prune(cache, keep=0, say=told.append) > 0  # a lock does not outlive its process


def test_a_field_that_has_gone_says_what_to_do(filled):
    record = filled[1][0]
    os.unlink(record.field)
    with pytest.raises(InputError, match=r"has gone from the cache; run the same command again"):
        read_field(record)


def test_a_lock_is_one_at_a_time_or_shared(tmp_path):
    with lock_folder(tmp_path):
        assert lock_folder(tmp_path) is None
        assert lock_folder(tmp_path, shared=True) is None
    with lock_folder(tmp_path, shared=True), lock_folder(tmp_path, shared=True):
        assert lock_folder(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "safe"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-a.wav", "'-a.wav"), ("+b", "'+b"), ("\tc", "'\tc"), ("a=1", "a=1"), (-3, -3)],
)
def test_no_cell_is_a_formula(tmp_path, text, safe):
    assert cell(text) == safe
    if isinstance(text, str):
        write_journal(tmp_path / "journal.csv", [(Record(text, "skipped", text), 0)])
        row = list(csv.reader(io.StringIO((tmp_path / "journal.csv").read_text(), newline="")))[1]
        assert row[:3] == [safe, "skipped", safe]


def test_what_only_looks_like_an_entry_is_passed_over(filled):
    cache, _ = filled
    folder = fields.list_folders(cache)[0].path
    (folder / ("0" * 32 + ".npy")).mkdir()
    fields.prune(cache, keep=0, say=print)
    assert not any(path.is_file() for path in folder.glob("*.npy"))
