"""Recall and precision of the sounds of a survey, events or bouts, for sounds planted in wind and rain, at 6 to 20 dB.

The background is made of the sample recordings of wind, rain, either or both, or is a minute of generated wind or rain.
The sounds are those of `tests/planted.py`; their level is relative to the background in their own band, or in all
bands. Printed per background: planted sounds, events, recall and precision at an overlap of one half.

    python -m benchmarks.weather [--recordings 84]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiosae import samples
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.locate import locate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import planted  # type: ignore[import-not-found, unused-ignore] # noqa: E402 (it is in tests)

BACKGROUNDS = ("rains", "winds", "either", "both", "one rain", "one wind")
FADE = 0.05  # s, from one sound to the next
LEVEL, MICROPHONE = 0.02, 0.0004
Samples = np.ndarray[Any, np.dtype[np.float32]]


def clips(kind: str) -> list[Samples]:
    """Return the sample recordings of a kind with unit power, at the sample rate of the planted sounds."""
    import librosa

    read = (librosa.load(path, sr=planted.RATE)[0] for path in sorted((ROOT / "samples" / "sounds" / kind).iterdir()))
    return [sound / sound.std() for sound in read]


def joined(rng: np.random.Generator, sounds: list[Samples]) -> Samples:
    """Return a minute of sounds that are cross-faded."""
    count, fade, at = planted.RATE * planted.SECONDS, int(FADE * planted.RATE), 0
    total = np.zeros(count + 10 * planted.RATE, np.float32)
    up = np.sin(np.pi / 2 * np.arange(fade) / fade).astype(np.float32)
    while at < count:
        sound = sounds[rng.integers(len(sounds))].copy()
        sound[:fade] *= up
        sound[-fade:] *= up[::-1]
        total[at : at + len(sound)] += sound
        at += len(sound) - fade
    return total[:count]


def background(rng: np.random.Generator, how: str, recorded: dict[str, list[Samples]]) -> Samples:
    """Return a minute of wind or rain with the noise of a microphone."""
    if how.startswith("one"):
        make = samples.rain if how == "one rain" else samples.wind
        total = make(rng, np.arange(planted.RATE * planted.SECONDS) / planted.RATE, rng.uniform(0.1, 0.9))
    elif how == "both":
        total = joined(rng, recorded["wind"]) + rng.uniform(0.1, 1) * joined(rng, recorded["rain"])
    else:
        kind = {"rains": "rain", "winds": "wind"}.get(how) or ("wind" if rng.random() < 0.5 else "rain")
        total = joined(rng, recorded[kind])
    noise = MICROPHONE * rng.standard_normal(len(total))
    return np.asarray(LEVEL * total / total.std() + noise, np.float32)


def plant(folder: Path, how: str, *, whole: bool, recordings: int, recorded: dict[str, list[Samples]]) -> list[Any]:
    """Write recordings and return the sounds planted in them."""
    truth = []
    for number in range(recordings):
        rng = np.random.default_rng([9, number])
        names = rng.choice(list(planted.KINDS), int(rng.integers(3, 7)))
        sound, at, name = background(rng, how, recorded), float(rng.uniform(0.5, 4)), f"{number:03d}.wav"
        behind = planted.spectrum(sound)
        for kind in names:
            one = planted.KINDS[kind](rng)
            seconds, (low, high) = len(one) / planted.RATE, planted.band(one)
            if at + seconds > planted.SECONDS - 0.5:
                break
            middle = np.sqrt(low * high)
            wide = (min(low, middle / 2 ** (1 / 6)), max(high, middle * 2 ** (1 / 6)))
            wide = (0, planted.RATE / 2) if whole else wide
            ratio = planted.power_in(behind, *wide) / planted.power_in(planted.spectrum(one), *wide)
            first = int(at * planted.RATE)
            sound[first : first + len(one)] += one * np.sqrt(ratio * 10 ** (rng.uniform(*planted.LEVELS) / 10))
            truth.append(planted.Planted(name, at, at + seconds, kind, low, high))
            at += seconds + planted.GAP + float(rng.exponential(6))
        soundfile.write(folder / name, np.clip(sound, -1, 1), planted.RATE, subtype="PCM_16")
    return truth


def measure(folder: Path, truth: list[Any], cache: Path) -> str:
    """Return the numbers of sounds and events, recall and precision, as text."""
    domain = Spectrogram(sample_rate=planted.RATE, n_fft=512, hop_length=220)  # as chosen by training
    records = ingest(domain, scan([folder], (".wav",), domain="spectrogram"), cache=cache, workers=2)
    corpus = EngineCorpus(domain, records, LocalEngine(), cache=cache, workers=2)
    detector, spans = locate(domain, corpus, DetectorOptions())
    sounds = spans.sounds(detector.joining.group)
    names = [records[number].file for number in sounds.record.tolist()]
    right = len(planted.match(truth, list(zip(names, sounds.start, sounds.end, strict=True))))
    return f"{len(truth):6}{len(sounds):8}{right / len(truth):9.3f}{right / max(1, len(sounds)):11.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=84)
    recordings = parser.parse_args().recordings
    recorded = {kind: clips(kind) for kind in ("wind", "rain")}
    print(f"{'background':12}{'level over it':16}{'sounds':>6}{'events':>8}{'recall':>9}{'precision':>11}")
    for how in BACKGROUNDS:
        for whole in (False, True):
            with tempfile.TemporaryDirectory() as where:
                folder = Path(where) / "recordings"
                folder.mkdir()
                truth = plant(folder, how, whole=whole, recordings=recordings, recorded=recorded)
                line = measure(folder, truth, Path(where) / "cache")
            print(f"{how:12}{'in all bands' if whole else 'in its own':16}{line}", flush=True)


if __name__ == "__main__":
    main()
