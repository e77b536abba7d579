"""Reading: ingest compared with a loop of librosa.load and librosa.feature.melspectrogram."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.recordings.spectrogram import Spectrogram
from benchmarks.measure import Figure, alternate, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 2
INGEST = """
from pathlib import Path; from audiosae.corpus.ingest import ingest; from audiosae.corpus.sources import scan
from audiosae.recordings.spectrogram import Spectrogram
sources = scan([Path({sounds!r})], (".wav",)); domain = Spectrogram().resolve([s.path for s in sources])
ingest(domain, sources, cache=Path({cache!r}), workers={workers})
"""
LIBROSA_LOOP = """
import librosa, pathlib
for path in sorted(pathlib.Path({sounds!r}).iterdir()):
    samples, rate = librosa.load(path, sr=None)
    power = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft={n_fft}, hop_length={hop}, n_mels=40)
    librosa.power_to_db(power, top_db=80)
"""


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of ingest."""
    cases = [("files of an hour", 4, 3600.0, 22050, 4.0), ("3000 short files", 3000, 0.4, 8000, 4.0)]
    for name, count, seconds, rate, bar in cases:
        many = max(1, count // (100 if short else 1))
        yield _case(name, many, seconds / (120 if short and seconds > 10 else 1), rate, bar, repeats=1 if short else 3)


def _case(name: str, count: int, seconds: float, rate: int, bar: float, *, repeats: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        sounds = Path(folder) / "sounds"
        sounds.mkdir()
        write_sounds(sounds, count, seconds, rate)
        sources = scan([sounds], (".wav",))
        domain = Spectrogram().resolve([source.path for source in sources])
        options = {"n_fft": domain.n_fft, "hop_length": domain.hop_length, "n_mels": domain.n_mels}
        number = [0]

        def ours() -> None:
            number[0] += 1
            records = ingest(domain, sources, cache=Path(folder) / f"cache{number[0]}", workers=WORKERS)
            if any(record.status != "used" for record in records):
                raise RuntimeError("a recording was skipped")

        def librosa_loop() -> None:
            import librosa

            for source in sources:
                samples, _ = librosa.load(source.path, sr=domain.sample_rate)
                power = librosa.feature.melspectrogram(y=samples, sr=domain.sample_rate, **options)
                librosa.power_to_db(power, top_db=80)

        seconds_of = alternate({"librosa": librosa_loop, "ours": ours}, repeats=repeats)
        programs = _as_processes(Path(folder), domain, repeats)
    ratio = seconds_of["librosa"] / seconds_of["ours"]
    detail = f"{count} files of {seconds:g} s: {milliseconds(seconds_of)} ({WORKERS} processes, written to the cache); "
    detail += f"as programs, including their imports: {milliseconds(programs)}"
    return Figure(f"librosa's loop over ingest, {name}", ratio, bar, at_least=True, detail=detail)


def _as_processes(folder: Path, domain: Spectrogram, repeats: int) -> dict[str, float]:
    """Time both as separate programs, including their imports."""
    times: dict[str, list[float]] = {"librosa": [], "ours": []}
    for number in range(repeats):
        facts = {"sounds": str(folder / "sounds"), "cache": str(folder / f"first{number}"), "workers": WORKERS}
        facts |= {"n_fft": domain.n_fft, "hop": domain.hop_length}
        for name, text in (("librosa", LIBROSA_LOOP), ("ours", INGEST)):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", text.format(**facts)], check=True)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in times.items()}


def write_sounds(folder: Path, count: int, seconds: float, rate: int) -> None:
    """Write recordings of tones with varying frequency in noise."""
    import soundfile

    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    for number in range(count):
        pitch = rng.uniform(200, rate / 5)
        samples = 0.3 * np.sin(2 * np.pi * pitch * time * (1 + 0.1 * np.sin(3 * time)))
        samples += 0.02 * rng.normal(size=len(time))
        soundfile.write(folder / f"{number:05d}.wav", samples, rate)
