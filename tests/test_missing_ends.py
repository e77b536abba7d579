"""Recordings whose end is missing are found by sizes in their headers, and by last frames, blocks and pages."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from signals import collect, tone, write

import audiosae
from audiosae.recordings.audio import read_mono
from audiosae.recordings.missing_ends import REMARK, has_no_end
from audiosae.recordings.opening import read_header

BODY = bytes(range(256)) * 20


def box(name, content):
    return struct.pack(">I4s", 8 + len(content), name) + content


def wavpack(samples, first, total):
    head = struct.pack("<4sIHHIII", b"wvpk", 24 + len(BODY), 0x410, 0, total, first, samples)
    return head + bytes(8) + BODY


def tta(rate, samples):
    sizes = [len(BODY) // 2] * -(-samples // (rate * 256 // 245))
    head = struct.pack("<4sHHHII", b"TTA1", 1, 1, 16, rate, samples) + bytes(4)
    return head + struct.pack(f"<{len(sizes)}I", *sizes) + bytes(4) + BODY[: sum(sizes)]


def asf(stated):
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 30) + bytes(6)
    return head + bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", stated) + bytes(26) + BODY


def matroska(length):
    return bytes.fromhex("1a45dfa384") + bytes(4) + bytes.fromhex("18538067") + length + BODY


FLV_HEAD = b"FLV\1\5\0\0\0\x09" + bytes(20) + b"\0\x08filesize\0"
STATING = {
    "mp4": box(b"ftyp", b"M4A ") + box(b"moov", bytes(90)) + box(b"mdat", BODY),
    "mp4 of 64 bits": box(b"ftyp", b"M4A ") + struct.pack(">I4sQ", 1, b"mdat", 16 + len(BODY)) + BODY,
    "fragments": box(b"ftyp", b"isom") + (box(b"moof", bytes(50)) + box(b"mdat", BODY[:900])) * 5,
    "matroska": matroska(struct.pack(">Q", 1 << 56 | len(BODY))),
    "asf": asf(50 + len(BODY)),
    "avi": struct.pack("<4sI4s", b"RIFF", 4 + len(BODY), b"AVI ") + BODY,
    "long avi": (struct.pack("<4sI4s", b"RIFF", 4 + len(BODY) // 2, b"AVI ") + BODY[: len(BODY) // 2]) * 2,
    "tta": tta(8000, 16000),
    "wavpack": wavpack(900, 0, 1800) + wavpack(900, 900, 0),
    "flv": FLV_HEAD + struct.pack(">d", len(FLV_HEAD) + 8 + len(BODY)) + BODY,
}
OPEN = {  # they state no length, or something else follows
    "mp4 to its end": box(b"ftyp", b"M4A ") + struct.pack(">I4s", 0, b"mdat") + BODY,
    "mp4 with zeros": box(b"ftyp", b"M4A ") + box(b"mdat", BODY) + bytes(99),
    "matroska of a live stream": matroska(b"\x01" + b"\xff" * 7),
    "avi without a size": struct.pack("<4sI4s", b"RIFF", 2**32 - 1, b"AVI ") + BODY,
    "wavpack of a pipe": wavpack(900, 0, 2**32 - 1) + wavpack(900, 900, 0),
    "flv without its size": FLV_HEAD[:9] + BODY,
    "aac": b"\xff\xf1" + BODY,
    "boxes": b"\0\0",
}


@pytest.mark.parametrize("kind", STATING)
def test_a_container_that_states_more_than_it_has_is_found(tmp_path, kind):
    path, content = tmp_path / "a", STATING[kind]
    path.write_bytes(content)
    assert not has_no_end(path)
    for missing in (1 if "avi" not in kind else 2, len(content) // 20, len(content) // 3):
        path.write_bytes(content[:-missing])
        assert has_no_end(path), missing


@pytest.mark.parametrize("kind", OPEN)
def test_a_container_that_states_no_length_has_its_end(tmp_path, kind):
    (tmp_path / "a").write_bytes(OPEN[kind])
    assert not has_no_end(tmp_path / "a")


def test_inspection_names_recordings_whose_end_is_missing(tmp_path):
    for suffix in ["wav", "flac", "mp3", "aiff", "au", "caf", "w64", "voc", "sds"]:
        whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
        write(whole, tone(1.5, 16000, noise=0.1), 16000)
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    inspection = audiosae.inspect(sorted(tmp_path.iterdir()))
    remarks = {Path(file["file"]).name: file["remark"] for file in inspection.files}
    assert remarks == {name: REMARK if name.startswith("cut") else "" for name in remarks}
    assert len(remarks) == 18
    assert any(line.startswith(f"9 of 18 sources have {REMARK}: {tmp_path}") for line in inspection.summary)


def test_a_flac_whose_last_frame_is_short_has_its_end(tmp_path):
    """A frame of silence has fewer bytes than the longest header of a frame."""
    path, samples = tmp_path / "a.flac", np.append(tone(1.0), np.zeros(8000)).astype(np.float32)
    write(path, samples)
    assert not has_no_end(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the number of samples, as of a file that was written to a pipe
    path.write_bytes(content)
    assert read_header(path).frames == len(samples)
    assert len(collect(read_mono(path, 8000))[0]) == len(samples)
