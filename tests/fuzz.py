"""Fuzz tests of the readers of models and recordings: a mutated file is refused in one line, or read as it declares.

The tests run for a few seconds; ``python tests/fuzz.py 10000`` tries more mutations.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from audiosae.autoencoder.model import load_model
from audiosae.corpus.ingest import decode
from audiosae.errors import AudiosaeError
from audiosae.recordings.spectrogram import Spectrogram

SLOWEST = 10.0  # seconds
MEMORY = 2**30  # bytes
DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return the content with random damage: bytes that are cut, flipped, zeroed, inserted, copied or overwritten."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(8)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at : at + 1] = bytes([data[at] ^ (1 << rng.randrange(8))]) if data else b""
        elif kind == 2:
            data[at : at + rng.randrange(1, 4096)] = bytes(rng.randrange(1, 4096))
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 64))
        elif kind == 4:
            head = rng.randrange(min(len(data), 512) or 1)  # wrong numbers in a header are the most harmful
            data[head : head + 8] = rng.choice([b"\xff" * 8, b"\x00" * 8, b"\xff\xff\xff\x7f" * 2, rng.randbytes(8)])
        elif kind == 5:
            data[at : at + 64] = data[: rng.randrange(64)]
        elif kind == 6:
            data += rng.randbytes(rng.randrange(1, 4096))
        else:
            data[at : at + 256] = rng.randbytes(min(256, len(data) - at))
    return bytes(data)


def fuzz_models(path: Path, count: int, seed: int) -> dict[str, int]:
    """Read mutated copies of a model; return how many were refused and how many were the same as before."""
    rng, content, found = random.Random(seed), path.read_bytes(), {"refused": 0, "same": 0}
    whole = load_model(path)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.safetensors"
        for _ in range(count):
            target.write_bytes(mutated(content, rng))
            try:
                model = load_model(target)
            except AudiosaeError as error:
                assert "\n" not in str(error)
                found["refused"] += 1
            else:
                assert model.params.flat.tobytes() == whole.params.flat.tobytes()
                assert (model.facts, model.domain) == (whole.facts, whole.domain)
                found["same"] += 1
    return found


def fuzz_recordings(paths: list[Path], count: int, seed: int) -> dict[str, int]:
    """Decode mutated copies of recordings in this process; return how many were used and how many skipped."""
    rng, contents, found = random.Random(seed), [path.read_bytes() for path in paths], {"used": 0, "skipped": 0}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            source = Path(folder) / f"{number}{paths[number % len(paths)].suffix}"
            source.write_bytes(mutated(contents[number % len(paths)], rng))
            began = time.monotonic()
            record = decode((DOMAIN, source, Path(folder) / "field.npy"))
            assert time.monotonic() - began < SLOWEST, source
            assert record.status in found
            assert record.status == "used" or record.reason
            assert "\n" not in record.reason
            found[record.status] += 1
            source.unlink()
    return found


def main(model: Path, recordings: list[Path], count: int, seed: int) -> None:
    """Fuzz both readers in a process whose memory is bounded."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    print("models", fuzz_models(model, count, seed), "recordings", fuzz_recordings(recordings, count, seed))


if __name__ == "__main__":
    number, start, first, *others = sys.argv[1:]
    main(Path(first), list(map(Path, others)), int(number), int(start))
