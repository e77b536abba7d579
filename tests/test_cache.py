"""The cache of decoded fields: listed, pruned, locked; and CSV cells without formulas."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from audiosae.commands.cache import cache as audiosae_cache
from audiosae.corpus import cache as fields
from audiosae.corpus.fields import read_field
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
    """A cache with the fields of the sounds, not in use."""
    records = ingest(DOMAIN, scan([sounds], DOMAIN.suffixes), cache=tmp_path / "cache", workers=1)
    for lock in fields._locks.values():
        lock.close()
    fields._locks.clear()
    return tmp_path / "cache", records


def age(path, days):
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_folders_are_listed_with_their_domain_and_format(filled):
    (folder,) = fields.list_folders(filled[0])
    assert folder.files == len(filled[1])
    assert folder.size > folder.files * 1000
    assert folder.about[1]["options"]["n_mels"] == 10
    assert not folder.outdated
    assert fields.list_folders(filled[0] / "none") == []


def test_pruning_removes_the_least_recently_used_first(filled):
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


def test_a_bounded_cache_is_pruned_before_the_next_command_reads(filled, sounds):
    cache, records = filled
    for number, record in enumerate(records):
        age(record.field, days=number + 1)
    assert audiosae_cache(cache=cache, size=2000).facts["bound"] == 2000
    assert sum(os.path.exists(record.field) for record in records) < len(records)
    messages = []
    ingest(DOMAIN, scan([sounds], DOMAIN.suffixes), cache=cache, workers=1, say=messages.append)  # exceeds it
    for lock in fields._locks.values():
        lock.close()
    fields._locks.clear()
    ingest(replace(DOMAIN, n_mels=11), scan([sounds], DOMAIN.suffixes), cache=cache, workers=1, say=messages.append)
    (line,) = messages
    assert line.startswith("the cache was larger than its bound: 0.0 MiB of the least recently used were removed (")
    assert not any(os.path.exists(record.field) for record in records[1:])
    assert audiosae_cache(cache=cache, size=0).facts["bound"] is None


def test_no_cache_can_be_neither_shown_nor_pruned():
    with pytest.raises(InputError, match='cache="none": wanted a folder'):
        audiosae_cache(cache="none")


def test_pruning_to_zero_leaves_other_files(filled):
    cache, _ = filled
    (cache / "holiday.jpg").write_bytes(b"mine")
    (cache / "letters").mkdir()
    fields.prune(cache, keep=0, say=print)
    assert sorted(path.name for path in cache.iterdir()) == ["holiday.jpg", "letters"]


def test_fields_of_another_version_are_reported_and_pruned_first(filled, sounds):
    cache, records = filled
    about = fields.list_folders(cache)[0].path / "domain.json"
    number, domain = json.loads(about.read_text())
    about.write_text(json.dumps([number - 1, domain | {"version": "0.0.1"}]))
    about.parent.rename(cache / ("0" * 16))
    messages = []
    ingest(DOMAIN, scan([sounds], DOMAIN.suffixes), cache=cache, workers=1, say=messages.append)
    assert messages == [
        f"the cache contains {len(records)} sources decoded by audiosae 0.0.1 (format {number - 1}), which are not "
        "used; audiosae cache --prune removes them"
    ]
    fields.prune(cache, keep=10**12, say=messages.append)
    assert [folder.about[0] for folder in fields.list_folders(cache)] == [number]


def test_abandoned_temporary_files_are_pruned_after_an_hour(filled):
    cache, records = filled
    folder = fields.list_folders(cache)[0].path
    for name, days in (("old.npy.7.tmp", 1), ("new.npy.8.tmp", 0)):
        (folder / name).write_bytes(b"x")
        age(folder / name, days)
    fields.prune(cache, keep=10**12, say=print)
    assert {path.name for path in folder.iterdir() if path.suffix == ".tmp"} == {"new.npy.8.tmp"}
    assert all(os.path.exists(record.field) for record in records)


def test_folders_in_use_are_not_pruned(filled):
    cache, _ = filled
    folder = fields.list_folders(cache)[0].path
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\nfrom audiosae.system.locks import lock_folder\n"
            "lock = lock_folder(Path(sys.argv[1]), shared=True)\nprint('locked', flush=True)\nsys.stdin.read()",
            str(folder),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    messages = []
    assert fields.prune(cache, keep=0, say=messages.append) == 0
    assert messages == [f"{folder} is in use and was not pruned; run the same command again later"]
    process.kill()
    process.communicate()
    assert fields.prune(cache, keep=0, say=messages.append) > 0  # a lock does not outlive its process


def test_a_missing_field_is_a_clear_error(filled):
    record = filled[1][0]
    os.unlink(record.field)
    with pytest.raises(InputError, match=r"is no longer in the cache; run the same command again"):
        read_field(record)


def test_a_lock_is_exclusive_or_shared(tmp_path):
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


def test_files_that_only_look_like_entries_are_skipped(filled):
    cache, _ = filled
    folder = fields.list_folders(cache)[0].path
    (folder / ("0" * 32 + ".npy")).mkdir()
    fields.prune(cache, keep=0, say=print)
    assert not any(path.is_file() for path in folder.glob("*.npy"))
