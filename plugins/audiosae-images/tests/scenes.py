"""Synthetic pictures for the tests."""

import struct
import zlib

import numpy as np
from PIL import Image


def leaves(seed, rows=64, columns=80, count=400):
    """Return overlapping grey discs, uint8 (rows, columns)."""
    rng = np.random.default_rng(seed)
    picture = np.full((rows, columns), 128, np.uint8)
    for radius in 2.5 * rng.uniform(0.003, 1, count) ** -0.5:  # their number falls as radius^-3
        y, x = rng.uniform(0, rows), rng.uniform(0, columns)
        top, left = (max(0, int(at - radius)) for at in (y, x))
        box = np.s_[top : int(y + radius) + 1, left : int(x + radius) + 1]
        part = picture[box]
        down, across = np.ogrid[top : top + len(part), left : left + part.shape[1]]
        part[(down - y) ** 2 + (across - x) ** 2 < radius**2] = rng.integers(0, 256)
    return picture


def colours(seed, rows=64, columns=80):
    """Return three different planes, uint8 (rows, columns, 3)."""
    return np.stack([leaves(seed + plane, rows, columns) for plane in range(3)], axis=2)


def save(path, pixels, **options):
    """Write a picture and return its path."""
    Image.fromarray(pixels).save(path, **options)
    return path


def png_header(path, width, height):
    """Write a PNG whose header claims a size, almost without data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    packed = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path
