"""Test sounds, and whole and broken files of them."""

from __future__ import annotations

import re
import struct

import numpy as np
import soundfile


def tone(seconds=0.5, rate=8000, *, pitch=440.0, level=0.4, noise=0.02, seed=0):
    """Return a sine in noise, peak below 1."""
    time = np.arange(round(seconds * rate)) / rate
    samples = level * np.sin(2 * np.pi * pitch * time) + noise * np.random.default_rng(seed).normal(size=len(time))
    return samples.astype(np.float32)


def bursts(rng, count, rate=8000):
    """Return notes of 0.1 s and random pitch with a falling envelope, in noise."""
    time = np.arange(rate // 10) / rate
    notes = [np.sin(2 * np.pi * note * time) for note in rng.choice([300, 500, 900, 1500, 2500], size=count)]
    return 0.3 * np.concatenate(notes * np.exp(-time / 0.05)) + 0.01 * rng.normal(size=len(time) * count)


def write(path, samples, rate=8000, **kind):
    """Write a recording. Encoders of libsndfile 1.2.2 have crashed, therefore in blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", rate, 1 if samples.ndim == 1 else samples.shape[1], **kind) as file:
        for at in range(0, len(samples), 4000):
            file.write(samples[at : at + 4000])
    return path


def wav_bytes(samples, rate=8000, *, claimed=None, floats=False):
    """Return the bytes of a mono WAV file; `claimed` is the number of samples in its header."""
    data = samples.astype("<f4").tobytes() if floats else (samples * 32767).astype("<i2").tobytes()
    width = 4 if floats else 2
    kind = struct.pack("<IHHIIHH", 16, 3 if floats else 1, 1, rate, rate * width, width, 8 * width)
    size = len(data) if claimed is None else claimed * width
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + kind + b"data" + struct.pack("<I", size) + data


def collect(blocks):
    """Return the blocks of a generator, joined, and the note that it returns."""
    arrays = []
    while True:
        try:
            arrays.append(next(blocks))
        except StopIteration as end:
            return np.concatenate(arrays), end.value


def cut(samples, size):
    """Return pieces of `size` samples."""
    return (samples[at : at + size] for at in range(0, len(samples), size))


def without_tag(content):
    """Return an MP3 without the first frame, in which an encoder states the length, as if it was written to a pipe."""
    first = re.match(rb"\xff[\xe0-\xff]", content)
    tag = re.search(rb"Xing|Info", content[:200])
    assert first
    assert tag
    return content[content.index(content[:2], tag.end() + 100) :]


def stated_frames(content):
    """Return the number of frames that the first frame of an MP3 states."""
    at = re.search(rb"Xing|Info", content).end() + 4
    return int.from_bytes(content[at : at + 4], "big")


def ogg_with_times(content, change):
    """Return an Ogg recording with the times of its pages changed by a function, and with right checksums."""
    data, at = bytearray(content), 0
    while (at := data.find(b"OggS\0", at)) >= 0:
        count = data[at + 26]
        end = at + 27 + count + sum(data[at + 27 : at + 27 + count])
        granule = int.from_bytes(data[at + 6 : at + 14], "little")
        data[at + 6 : at + 14] = (change(granule) if granule else 0).to_bytes(8, "little")
        data[at + 22 : at + 26] = bytes(4)
        data[at + 22 : at + 26] = _ogg_checksum(data[at:end]).to_bytes(4, "little")
        at = end
    return bytes(data)


def _ogg_checksum(page):
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[crc >> 24 ^ byte]
    return crc


def _ogg_entry(value):
    for _ in range(8):
        value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_OGG_TABLE = [_ogg_entry(byte << 24) for byte in range(256)]
