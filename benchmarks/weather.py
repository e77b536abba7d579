"""Recall and precision of a survey's events where sounds are planted in wind and rain, at 6 to 20 dB.

The background is the samples' own winds or rains, one after another, either or both of them, or a minute of one that is
generated; the sounds are those of `tests/planted.py`, and their level is over the background in their own band, or over
all of it. Printed per background: recorded sounds, events, recall and precision at an overlap of one half.

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
from audiosae.corpus.entries import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.event_codes import seconds_per_row
from audiosae.sounds.events import stretches
from audiosae.sounds.noise_floor import BandLevels

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import planted  # type: ignore[import-not-found, unused-ignore] # noqa: E402 (the tests' sounds)

BACKGROUNDS = ("rains", "winds", "either", "both", "one rain", "one wind")
FADE = 0.05  # s, from one sound to the next
LEVEL, MICROPHONE = 0.02, 0.0004
Samples = np.ndarray[Any, np.dtype[np.float32]]


def clips(kind: str) -> list[Samples]:
    """Return the samples of a kind, of unit power, at the rate of the recordings."""
    import librosa

    read = (librosa.load(path, sr=planted.RATE)[0] for path in sorted((ROOT / "samples" / "sounds" / kind).iterdir()))
    return [sound / sound.std() for sound in read]


def joined(rng: np.random.Generator, sounds: list[Samples]) -> Samples:
    """Return a minute of sounds, one fading into the next."""
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


def background(rng: np.random.Generator, how: str, known: dict[str, list[Samples]]) -> Samples:
    """Return a minute of weather over the noise of a microphone."""
    if how.startswith("one"):
        make = samples.rain if how == "one rain" else samples.wind
        total = make(rng, np.arange(planted.RATE * planted.SECONDS) / planted.RATE, rng.uniform(0.1, 0.9))
    elif how == "both":
        total = joined(rng, known["wind"]) + rng.uniform(0.1, 1) * joined(rng, known["rain"])
    else:
        kind = {"rains": "rain", "winds": "wind"}.get(how) or ("wind" if rng.random() < 0.5 else "rain")
        total = joined(rng, known[kind])
    noise = MICROPHONE * rng.standard_normal(len(total))
    return np.asarray(LEVEL * total / total.std() + noise, np.float32)


def plant(folder: Path, how: str, *, whole: bool, recordings: int, known: dict[str, list[Samples]]) -> list[Any]:
    """Write recordings; return what was planted in them."""
    found = []
    for number in range(recordings):
        rng = np.random.default_rng([9, number])
        names = rng.choice(list(planted.KINDS), int(rng.integers(3, 7)))
        sound, at, name = background(rng, how, known), float(rng.uniform(0.5, 4)), f"{number:03d}.wav"
        behind = planted._spectrum(sound)  # noqa: SLF001
        for kind in names:
            one = planted.KINDS[kind](rng)
            seconds, (low, high) = len(one) / planted.RATE, planted._band(one)  # noqa: SLF001
            if at + seconds > planted.SECONDS - 0.5:
                break
            middle = np.sqrt(low * high)
            wide = (min(low, middle / 2 ** (1 / 6)), max(high, middle * 2 ** (1 / 6)))
            wide = (0, planted.RATE / 2) if whole else wide
            ratio = planted._power_in(behind, *wide) / planted._power_in(planted._spectrum(one), *wide)  # noqa: SLF001
            first = int(at * planted.RATE)
            sound[first : first + len(one)] += one * np.sqrt(ratio * 10 ** (rng.uniform(*planted.LEVELS) / 10))
            found.append(planted.Planted(name, at, at + seconds, kind, low, high))
            at += seconds + planted.GAP + float(rng.exponential(6))
        soundfile.write(folder / name, np.clip(sound, -1, 1), planted.RATE, subtype="PCM_16")
    return found


def measured(folder: Path, truth: list[Any], cache: Path) -> str:
    """Return what a survey finds of it, in words."""
    domain, events = Spectrogram(sample_rate=planted.RATE, n_fft=512, hop_length=220), []  # as training chooses
    for record in ingest(domain, scan([folder], (".wav",), domain="spectrogram"), cache=cache, workers=2):
        levels = BandLevels(read_field(record), seconds_per_row(domain))
        second = levels.seconds_per_row
        events += [(record.file, event.start * second, event.end * second) for event in stretches(levels)]
    right = len(planted.match(truth, events))
    return f"{len(truth):6}{len(events):8}{right / len(truth):9.3f}{right / max(1, len(events)):11.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=84)
    recordings = parser.parse_args().recordings
    known = {kind: clips(kind) for kind in ("wind", "rain")}
    print(f"{'background':12}{'level over it':16}{'sounds':>6}{'events':>8}{'recall':>9}{'precision':>11}")
    for how in BACKGROUNDS:
        for whole in (False, True):
            with tempfile.TemporaryDirectory() as where:
                folder = Path(where) / "recordings"
                folder.mkdir()
                truth = plant(folder, how, whole=whole, recordings=recordings, known=known)
                told = measured(folder, truth, Path(where) / "cache")
            print(f"{how:12}{'in all bands' if whole else 'in its own':16}{told}", flush=True)


if __name__ == "__main__":
    main()
