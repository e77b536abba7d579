"""Test sounds, and whole and broken files of them."""

from __future__ import annotations

import struct

import numpy as np
import soundfile


def tone(seconds=0.5, rate=8000, *, pitch=440.0, level=0.4, noise=0.02, seed=0):
    """Return a sine in noise, peak below 1."""
    time = np.arange(round(seconds * rate)) / rate
    samples = level * np.sin(2 * np.pi * pitch * time) + noise * np.random.default_rng(seed).normal(size=len(time))
    return samples.astype(np.float32)


def write(path, samples, rate=8000, **kind):
    """Write a recording in blocks: one big block of Vorbis crashes libsndfile 1.2.2."""
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
