"""Cached fields are verified: a damaged entry is decoded again, counted, and never used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from audiosae.corpus.entries import HEADER_BYTES, DamagedEntryError, cached_record
from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import decode, ingest
from audiosae.corpus.sources import scan
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.sound_store import SoundStore

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=40)


def flipped(content):
    changed = bytearray(content)
    changed[HEADER_BYTES + 1321] ^= 1
    return bytes(changed)


def with_equal_rows_exchanged(content):
    """The first two rows of 40 bytes in each other's place: no bit is lost."""
    rows = content[HEADER_BYTES : HEADER_BYTES + 40], content[HEADER_BYTES + 40 : HEADER_BYTES + 80]
    return content[:HEADER_BYTES] + rows[1] + rows[0] + content[HEADER_BYTES + 80 :]


DAMAGE = {
    "a flipped bit": flipped,
    "a flipped bit of the header": lambda content: bytes([content[0] ^ 4]) + content[1:],
    "a block of zeros": lambda content: content[:1024] + bytes(1024) + content[2048:],
    "exchanged rows": with_equal_rows_exchanged,
    "the last row for the first": lambda content: content[:HEADER_BYTES] + content[2528:2568] + content[168:],
    "another shape": lambda content: content.replace(b"(61, 40)", b"(40, 61)").replace(b"[61, 40]", b"[40, 61]"),
    "another extent": lambda content: content.replace(b'"extent": 0.6', b'"extent": 6.0'),
    "another record": lambda content: content.replace(b'"status": "used"', b'"status": "skip"'),
    "an infinite extent": lambda content: content.replace(b'"extent": 0.6', b'"extent": 1e9'),
    "half of it": lambda content: content[: len(content) // 2],
    "nothing": lambda _: b"",
}


@pytest.fixture
def folder(sounds, tmp_path):
    """A folder with two recordings, the second of 0.6 s."""
    (tmp_path / "in").mkdir()
    for name in ("tone_00.wav", "tone_01.wav"):
        (tmp_path / "in" / name).symlink_to(sounds / name)
    return tmp_path / "in"


def read(folder, cache):
    messages = []
    records = ingest(DOMAIN, scan([folder], DOMAIN.suffixes), cache=cache, workers=1, say=messages.append)
    return records, messages


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_field_is_decoded_again_and_counted(folder, tmp_path, monkeypatch, damage):
    monkeypatch.setattr("audiosae.corpus.ingest.run_in_order", lambda work, jobs, **_: (work(job) for job in jobs))
    first, messages = read(folder, tmp_path / "cache")
    assert messages == []
    path = Path(first[1].field)
    whole = path.read_bytes()
    spoilt = DAMAGE[damage](whole)
    assert spoilt != whole
    path.write_bytes(spoilt)
    again, messages = read(folder, tmp_path / "cache")
    assert messages == ["the cache was damaged: 1 field of 2 must be decoded again: tone_01.wav"]
    assert again == first
    assert path.read_bytes() == whole
    assert read(folder, tmp_path / "cache") == (first, [])


def test_every_flipped_bit_is_noticed(folder, tmp_path):
    (source, _), (records, _) = scan([folder], DOMAIN.suffixes), read(folder, tmp_path / "cache")
    path, rng = Path(records[0].field), np.random.default_rng(0)
    whole = path.read_bytes()
    assert cached_record(source, path) == records[0]
    for at in rng.choice(len(whole), 200, replace=False):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with pytest.raises(DamagedEntryError):
            cached_record(source, path)


def test_export_reports_damaged_fields_and_writes_the_same_features(trained, folder, tmp_path, run):
    command = ("export", trained, folder, "--cache", tmp_path / "cache", "-o")
    assert run(*command, tmp_path / "a.csv", "-q")[0] == 0
    for path in (tmp_path / "cache").glob("*/*.npy"):
        path.write_bytes(flipped(path.read_bytes()))
    code, _, err = run(*command, tmp_path / "b.csv")
    assert code == 0
    assert "the cache was damaged: 2 fields of 2 must be decoded again: tone_00.wav, tone_01.wav" in err
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize("buffer", [0, 2**23])
def test_a_field_is_flushed_to_disk_before_it_has_its_name(folder, tmp_path, monkeypatch, buffer):
    calls, fsync, target = [], os.fsync, tmp_path / "entry.npy"
    monkeypatch.setattr("audiosae.corpus.entries._BUFFER_BYTES", buffer)
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append(target.exists()), fsync(number)))
    record = decode((DOMAIN, folder / "tone_00.wav", target))
    assert calls == [False]
    assert read_field(record).shape == record.shape


def test_a_folder_in_place_of_an_entry_is_replaced_if_it_is_empty(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.corpus.ingest.run_in_order", lambda work, jobs, **_: (work(job) for job in jobs))
    first, _ = read(folder, tmp_path / "cache")
    path = Path(first[1].field)
    path.unlink()
    path.mkdir()
    again, messages = read(folder, tmp_path / "cache")
    assert messages == ["the cache was damaged: 1 field of 2 must be decoded again: tone_01.wav"]
    assert again == first
    assert path.is_file()
    path.unlink()
    path.mkdir()
    (path / "of somebody").touch()
    with pytest.raises(InputError, match=r"is a folder in place of a file of the cache; remove it") as caught:
        read(folder, tmp_path / "cache")
    assert str(caught.value).startswith(f"{path} ")
    assert (path / "of somebody").exists()


def test_a_folder_in_place_of_a_block_of_sounds_is_replaced_if_it_is_empty(tmp_path):
    store, block = SoundStore(tmp_path), {"levels": np.arange(3.0)}
    path = tmp_path / "ab.safetensors"
    path.mkdir()
    assert store.load("ab") is None
    store.save("ab", block)
    np.testing.assert_array_equal(store.load("ab")["levels"], block["levels"])
    path.unlink()
    (path / "of somebody").mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder in place of a file of the cache"):
        store.save("ab", block)
