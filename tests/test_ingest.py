"""Ingest: the same fields with any number of workers, complete cache entries, and bad files skipped."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from signals import tone, wav_bytes, write

from audiosae.corpus import entries as store
from audiosae.corpus import ingest as ingest_module
from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import decode, ingest
from audiosae.corpus.journal import Record, write_journal
from audiosae.corpus.sources import Source, scan
from audiosae.domain import Domain, Span
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.processes import run_in_order

DOMAIN = Spectrogram(sample_rate=8000).resolve([])


@pytest.fixture
def here(monkeypatch):
    """Decode in this process, which is faster than starting others."""

    def run(work, jobs, **_):
        yield from map(work, jobs)

    monkeypatch.setattr(ingest_module, "run_in_order", run)


@pytest.fixture
def folder(tmp_path):
    """Three good recordings, a truncated one, an empty one, and one that is not a sound."""
    for number in range(3):
        write(tmp_path / "in" / f"good{number}.wav", tone(0.5 + 0.2 * number, seed=number))
    (tmp_path / "in" / "cut.wav").write_bytes(wav_bytes(tone(1.0))[:12000])
    (tmp_path / "in" / "empty.wav").touch()
    (tmp_path / "in" / "text.wav").write_text("no sound")
    return tmp_path / "in"


def bring(folder, cache, domain=DOMAIN, workers=1, **options):
    return ingest(domain, scan([folder], domain.suffixes), cache=cache, workers=workers, **options)


def used(records):
    return [record for record in records if record.status == "used"]


def test_the_result_does_not_depend_on_the_number_of_workers(folder, tmp_path):
    one = bring(folder, tmp_path / "one", workers=1)
    two = bring(folder, tmp_path / "two", workers=2)
    assert [replace(record, field="") for record in one] == [replace(record, field="") for record in two]
    for a, b in zip(used(one), used(two), strict=True):
        assert Path(a.field).read_bytes() == Path(b.field).read_bytes()


@dataclass(frozen=True)
class Turned(Domain):
    """Blocks whose rows are not contiguous in memory, as in turned pictures."""

    name: ClassVar[str] = "spectrogram"
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)
    window = (2, 3, 1)

    def field(self, path):
        whole = np.load(path)
        yield from (whole[:5].swapaxes(0, 1).copy().swapaxes(0, 1), whole[5:, ::-1][:, ::-1])


@pytest.mark.parametrize("buffer", [2**23, 8])
def test_blocks_in_any_memory_layout_give_the_same_field(tmp_path, monkeypatch, buffer, here):
    monkeypatch.setattr(store, "_BUFFER_BYTES", buffer)
    values = np.arange(7 * 4, dtype=np.float32).reshape(7, 4, 1)
    np.save(tmp_path / "a.npy", values)
    for name, block in (("one", values[:5]), ("all", values)):
        np.save(tmp_path / f"{name}.npy", block)
    records = bring(tmp_path, tmp_path / "cache", Turned())
    assert [record.reason for record in records] == ["", "", ""]
    np.testing.assert_array_equal(read_field(records[0]), values)


def test_records_are_in_order_with_status_and_reason_of_each_source(folder, tmp_path, here):
    reported = []
    records = bring(folder, tmp_path / "cache", done=reported.append)
    assert reported == records
    assert [(r.file, r.status, r.reason) for r in records] == [
        ("cut.wav", "used", "truncated at 0.7 s"),
        ("empty.wav", "skipped", "empty: zero bytes"),
        ("good0.wav", "used", ""),
        ("good1.wav", "used", ""),
        ("good2.wav", "used", ""),
        ("text.wav", "skipped", "undecodable: Format not recognised."),
    ]
    assert [r.shape for r in records] == [(75, 40), (), (51, 40), (71, 40), (91, 40), ()]
    assert [r.ranges for r in records] == [((0, r.shape[0]),) if r.shape else () for r in records]
    assert records[2].extent == pytest.approx(0.5)  # not that of its 51 frames
    assert records[2].path == str(folder / "good0.wav")


def test_the_cached_field_is_the_finished_field_of_the_domain(folder, tmp_path, here):
    (record,) = bring(folder / "good1.wav", tmp_path / "cache")
    wanted = np.concatenate(list(DOMAIN.field(folder / "good1.wav")))
    DOMAIN.finish(wanted)
    step = np.ptp(wanted) / 255
    assert step <= DOMAIN.resolution
    assert 0 < np.abs(read_field(record) - wanted).max() <= 0.501 * step


def test_a_cached_field_is_an_npy_file_and_read_only(folder, tmp_path, here):
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.float32).reshape(2, 4, 1))
    (record,) = bring(tmp_path / "a.npy", tmp_path / "cache", Turned())
    np.testing.assert_array_equal(np.load(record.field), read_field(record))
    np.testing.assert_array_equal(np.load(record.field, mmap_mode="r"), read_field(record))
    with pytest.raises(ValueError, match="read-only"):
        read_field(record)[0, 0] = 1


def test_a_field_buffered_on_disk_has_the_same_bytes(folder, tmp_path, monkeypatch, here):
    silent = replace(DOMAIN, silence=20.0)
    (buffered,) = bring(folder / "good2.wav", tmp_path / "buffered", silent)
    monkeypatch.setattr(store, "_BUFFER_BYTES", 0)
    (mapped,) = bring(folder / "good2.wav", tmp_path / "mapped", silent)
    assert replace(mapped, field="") == replace(buffered, field="")
    assert Path(mapped.field).read_bytes() == Path(buffered.field).read_bytes()


def stamps(cache):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in cache.rglob("*.npy")}


def test_cached_sources_are_not_decoded_again(folder, tmp_path, here):
    first = bring(folder, tmp_path / "cache")
    before = stamps(tmp_path / "cache")
    assert bring(folder, tmp_path / "cache") == first
    assert stamps(tmp_path / "cache") == before
    assert len(before) == 4


def test_a_cache_entry_depends_on_the_path_not_on_the_source_name(folder, tmp_path, here):
    (alone,) = bring(folder / "good0.wav", tmp_path / "cache")
    again = bring(folder, tmp_path / "cache")[2]
    assert (alone.file, again.file) == ("good0.wav", "good0.wav")
    (renamed,) = ingest(DOMAIN, [Source("else", folder / "good0.wav")], cache=tmp_path / "cache", workers=1)
    assert renamed == replace(alone, file="else")


def test_skipped_sources_are_tried_again(folder, tmp_path, here):
    assert bring(folder, tmp_path / "cache")[1].status == "skipped"
    write(folder / "empty.wav", tone(0.5))
    assert bring(folder, tmp_path / "cache")[1].status == "used"


def test_a_changed_file_is_decoded_again(folder, tmp_path, here):
    before = bring(folder, tmp_path / "cache")
    write(folder / "good1.wav", tone(0.7, pitch=900))  # of the same size
    after = bring(folder, tmp_path / "cache")
    changed = [a.file for a, b in zip(after, before, strict=True) if a != b]
    assert changed == ["good1.wav"]
    assert after[3].digest != before[3].digest


def test_each_set_of_options_has_its_own_cache_folder(folder, tmp_path, here):
    cache = tmp_path / "cache"
    (first,) = bring(folder / "good0.wav", cache)
    (other,) = bring(folder / "good0.wav", cache, replace(DOMAIN, n_mels=20))
    assert Path(first.field).parent != Path(other.field).parent
    assert [record.shape for record in (first, other)] == [(51, 40), (51, 20)]
    assert bring(folder / "good0.wav", cache) == [first]


DAMAGE = {
    "cut": lambda content: content[:-3000],
    "empty": lambda content: b"",
    "of another length": lambda content: content[:200] + content[204:],
    "without a record": lambda content: content[:-8] + b"garbage!",
    "with garbage for a record": lambda content: content[:-100] + bytes(92) + content[-8:],
    "with another record": lambda content: content.replace(b'"shape": [51', b'"shape": [52'),
    "with a record that lacks something": lambda content: content.replace(b'"ranges"', b'"strange"'),
    "with a record of nothing": lambda content: content[:-8] + b"null00000004",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_entry_is_replaced(folder, tmp_path, here, damage):
    (first,) = bring(folder / "good0.wav", tmp_path / "cache")
    field = Path(first.field)
    whole = field.read_bytes()
    spoilt = DAMAGE[damage](whole)
    assert spoilt != whole
    field.write_bytes(spoilt)
    assert bring(folder / "good0.wav", tmp_path / "cache") == [first]
    assert field.read_bytes() == whole


def test_no_temporary_files_remain_in_the_cache(folder, tmp_path, here):
    records = bring(folder, tmp_path / "cache")
    (inside,) = (tmp_path / "cache").iterdir()
    assert {path.name for path in inside.iterdir()} == {"domain.json"} | {Path(r.field).name for r in used(records)}


def test_a_source_with_a_fault_is_not_opened(tmp_path, here):
    sources = [Source("locked", tmp_path / "locked", "unreadable folder: Permission denied")]
    (record,) = ingest(DOMAIN, sources, cache=tmp_path / "cache", workers=1)
    assert (record.status, record.reason) == ("skipped", "unreadable folder: Permission denied")


@pytest.mark.parametrize("cache", ["file", "file/under"])
def test_a_cache_that_cannot_be_created_is_a_clear_error(folder, tmp_path, cache):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^cannot write the cache .*: .*; choose another with --cache DIR$"):
        bring(folder, tmp_path / cache)


def test_a_full_disk_is_a_clear_error_and_leaves_no_files(folder, tmp_path, monkeypatch, here):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"^cannot write the cache .*/cache: No space left on device; choose another"):
        bring(folder, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["domain.json"]


@dataclass(frozen=True)
class Numbers(Domain):
    """A domain whose behaviour is the text of its file."""

    name: ClassVar[str] = "numbers"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    window: ClassVar[tuple[int, ...]] = (2, 3)

    def field(self, path):
        text = path.read_text()
        if text == "die":
            os._exit(3)
        if text.startswith("yield"):
            yield eval(text.removeprefix("yield "), {"np": np})  # noqa: S307
        else:
            yield np.arange(12, dtype=np.float32).reshape(4, 3)
        if text == "fail later":
            raise ValueError("first\n  second line")
        if text == "memory":
            raise MemoryError

    def finish(self, field):
        if field[0, 0] == 7:
            raise PermissionError(13, "its own table")
        if field[0, 0] == 8:
            raise SystemExit(2)
        return [(0, len(field))]

    def span(self, path, start):
        return Spectrogram(sample_rate=8000, hop_length=80).span(path, start)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fail later", "ValueError: first second line"),
        ("yield np.full((5, 3), 7, 'f4')", "PermissionError: [Errno 13] its own table"),
        ("yield np.full((5, 3), 8, 'f4')", "SystemExit: 2"),
        ("memory", "needs more memory than is available"),
        ("yield np.ones((5, 3, 1), 'f4')", "wrong shape: a block of (5, 3, 1) does not fit windows of (2, 3)"),
        ("yield np.full((5, 3), np.nan, 'f4')", "NaN or infinite values"),
        ("yield np.full((5, 3), -np.inf, 'f4')", "NaN or infinite values"),
        ("yield np.empty((0, 3), 'f4')", "empty: no rows"),
    ],
)
def test_any_error_of_a_domain_skips_only_the_source(tmp_path, text, reason):
    (tmp_path / "a.txt").write_text(text)
    record = decode((Numbers(), tmp_path / "a.txt", tmp_path / "entry.npy"))
    assert record == Record("", "skipped", reason)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def test_blocks_may_be_wider_than_a_window_if_they_agree(tmp_path):
    (tmp_path / "a.txt").write_text("yield np.ones((5, 7), 'f4')")
    assert decode((Numbers(), tmp_path / "a.txt", tmp_path / "entry.npy")).shape == (5, 7)


def test_a_file_that_crashes_the_decoder_is_skipped_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.corpus.cache.domain_to_json", lambda _: {})  # it is not installed
    for number in range(40):
        (tmp_path / f"{number:02d}.txt").write_text("die" if number in (5, 20) else "fine")
    records = bring(tmp_path, tmp_path / "cache", Numbers(), workers=2)
    assert [record.file for record in records] == [f"{number:02d}.txt" for number in range(40)]
    assert [(r.file, r.reason) for r in records if r.status != "used"] == [
        ("05.txt", "the decoder crashed on it"),
        ("20.txt", "the decoder crashed on it"),
    ]


def square(number):
    if number < 0:
        os._exit(1)
    return number**2


def refuse(number):
    raise InputError(f"no {number}")


def test_the_pool_returns_results_in_the_order_of_the_jobs():
    jobs = list(range(300))
    assert list(run_in_order(square, jobs, workers=2, crashed=str)) == [number**2 for number in jobs]


def test_the_pool_loses_no_result_if_a_process_dies():
    jobs = [*range(40), -1, *range(40, 130)]
    results = run_in_order(square, jobs, workers=1, crashed=str)
    found = [next(results)]
    time.sleep(0.5)  # the process has usually ended by now; a later end must give the same results
    assert found + list(results) == ["-1" if number < 0 else number**2 for number in jobs]


def test_an_error_in_a_job_is_raised_and_the_environment_is_restored(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with pytest.raises(InputError, match="^no 1$"):
        list(run_in_order(refuse, [1], workers=1, crashed=str))
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_without_jobs_no_process_is_started(monkeypatch):
    monkeypatch.setattr("audiosae.system.processes.ProcessPoolExecutor", None)
    assert list(run_in_order(square, [], workers=2, crashed=str)) == []


def test_the_journal_has_one_row_per_source(tmp_path):
    good = Record('quote" and, comma.wav', "used", "truncated at 0.7 s", 0.74567, (75, 40))
    bad = Record("b.wav", "skipped", "empty: zero bytes")
    write_journal(tmp_path / "journal.csv", [(good, 60), (bad, 0)])
    with (tmp_path / "journal.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["file", "status", "reason", "seconds", "windows"],
        ['quote" and, comma.wav', "used", "truncated at 0.7 s", "0.746", "60"],
        ["b.wav", "skipped", "empty: zero bytes", "0.000", "0"],
    ]


def test_a_script_without_a_main_guard_runs_once(folder):
    command = [sys.executable, str(Path(__file__).parent / "pool_script.py"), str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[0] == "started"
    assert found.stdout.splitlines()[1].startswith("6 ")
    assert len(found.stdout.splitlines()) == 2


GUARDED = """
from audiosae.system.processes import run_in_order

class Number:
    def __init__(self, value):
        self.value = value

def double(number):
    return 2 * number.value

if __name__ == "__main__":
    print(list(run_in_order(double, [Number(1), Number(2)], workers=2, crashed=str)))
"""


def test_a_script_with_a_main_guard_may_define_jobs_and_work(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(GUARDED)
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert found.stdout == "[2, 4]\n"


@dataclass(frozen=True)
class Reusing(Domain):
    """A domain that yields the same array several times, with other values."""

    name: ClassVar[str] = "reusing"
    suffixes: ClassVar[tuple[str, ...]] = (".wav",)
    rows: int = 4

    @property
    def window(self):
        return 2, 3

    @property
    def stride(self):
        return 1, 3

    def field(self, path):
        block = np.empty((2, 3), np.float32)
        for number in range(self.rows // 2):
            block[:] = number
            yield block

    def span(self, path, start):
        return Span((start[0],), (start[0] + 2,), "rows")


@pytest.mark.parametrize("buffer", [0, 2**20])
def test_a_domain_may_reuse_the_array_that_it_yields(folder, tmp_path, monkeypatch, buffer):
    monkeypatch.setattr(store, "_BUFFER_BYTES", buffer)
    record = decode((Reusing(), folder / "good0.wav", tmp_path / "field.npy"))
    assert not record.reason
    np.testing.assert_array_equal(read_field(record)[:, 0], [0, 0, 1, 1])
    np.testing.assert_array_equal(np.load(tmp_path / "field.npy"), read_field(record))
