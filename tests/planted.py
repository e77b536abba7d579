"""Synthetic field recordings with sounds planted at known times: the first minute of every hour of a week.

The background is noise with the spectra of the wind and the rain of `audiosae.samples`, in slow gusts, mixed with
these sounds at a lower level. The level of a sound is its power relative to the background in the sound's own band,
or in the third of an octave around its centre if that is wider.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from audiosae import samples

if TYPE_CHECKING:
    from pathlib import Path

RATE = 22050
SECONDS, LOOP = 60, 20
FIRST = datetime(2024, 6, 1)  # noqa: DTZ001 (the recorder's clock has no zone)
FLANK = 0.012  # s, raised cosine
GAP = 0.6  # s, between planted sounds
LEVELS = (6.0, 20.0)  # dB over the background


@dataclass(frozen=True)
class Planted:
    """A planted sound: file, start and end (s), kind, band (Hz)."""

    file: str
    start: float
    end: float
    kind: str
    low: float
    high: float


@lru_cache(maxsize=4)
def backgrounds(seed, count=2):
    """Return minutes of wind and rain, unit standard deviation: noise in slow gusts plus the sounds 6 dB below it."""
    made, time = [], np.arange(RATE * LOOP) / RATE
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        for make, position in ((samples.wind, rng.uniform(0.2, 0.8)), (samples.rain, rng.uniform(0.3, 0.9))):
            sound = make(rng, time, position)
            made.append((_shaped(rng, sound) + 0.5 * np.tile(sound / sound.std(), SECONDS // LOOP)).astype(np.float32))
    return made


def _shaped(rng, sound):
    """Return noise with the spectrum of a sound and gusts of 3 dB that last for seconds."""
    power = np.abs(np.fft.rfft(sound.reshape(-1, RATE // 2), axis=1)) ** 2
    count = RATE * SECONDS
    shape = np.interp(np.linspace(0, 1, count // 2 + 1), np.linspace(0, 1, power.shape[1]), np.sqrt(power.mean(axis=0)))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shape, count)
    gusts = np.interp(np.arange(count) / RATE, np.arange(0, SECONDS, 2), rng.normal(0, 3, SECONDS // 2), period=SECONDS)
    noise *= 10 ** (gusts / 20)
    return noise / noise.std()


def _gated(sound):
    """Apply raised-cosine flanks to a sound, in place."""
    edge = int(FLANK * RATE)
    flank = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / edge)
    sound[:edge] *= flank
    sound[-edge:] *= flank[::-1]
    return sound


def _tone(frequency, seconds, harmonics=(1.0,)):
    """Return harmonics of a frequency (Hz), or of frequencies at equal times from the start to the end."""
    time = np.linspace(0, 1, int(seconds * RATE))
    phase = (
        2 * np.pi * np.cumsum(np.interp(time, np.linspace(0, 1, np.size(frequency)), np.atleast_1d(frequency))) / RATE
    )
    return _gated(sum(a * np.sin((n + 1) * phase) for n, a in enumerate(harmonics)))


def _repeated(note, count, pause):
    silence = np.zeros(int(pause * RATE))
    return np.concatenate([part for _ in range(count) for part in (note, silence)][:-1])


def _noise(rng, seconds, low, high):
    spectrum = np.fft.rfft(rng.standard_normal(int(seconds * RATE)))
    frequency = np.fft.rfftfreq(int(seconds * RATE), 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    return _gated(np.fft.irfft(spectrum, int(seconds * RATE)))


def _vary(rng, value, share=0.06):
    return value * rng.uniform(1 - share, 1 + share)


KINDS = {
    "whistle": lambda r: _tone(np.array([2600, 3100, 2700]) * _vary(r, 1), r.uniform(0.5, 0.9)),
    "upsweep": lambda r: _tone(np.array([3500, 6500]) * _vary(r, 1), r.uniform(0.18, 0.3)),
    "trill": lambda r: _repeated(_tone(_vary(r, 4800), 0.035), int(r.integers(10, 18)), 0.03),
    "hoot": lambda r: _tone(np.array([420, 450, 400]) * _vary(r, 1), r.uniform(0.5, 1.0), (1, 0.4, 0.1)),
    "croak": lambda r: _repeated(_noise(r, 0.03, 700, 1500), int(r.integers(8, 14)), 0.03),
    "cricket": lambda r: _repeated(_tone(_vary(r, 7500, 0.03), 0.025), 4, 0.02),
    "yelp": lambda r: _tone(np.array([900, 1500, 1000]) * _vary(r, 1), r.uniform(0.2, 0.35), (1, 0.7, 0.5, 0.3)),
    "hiss": lambda r: _noise(r, r.uniform(0.6, 1.2), 5000, 9500),
}
OTHER_KINDS = {
    "downsweep": lambda r: _tone(np.array([5200, 2400]) * _vary(r, 1), r.uniform(0.3, 0.5)),
    "peep": lambda r: _tone(_vary(r, 3300, 0.03), r.uniform(0.12, 0.2)),
    "warble": lambda r: _tone(np.array([2000, 2600] * 5) * _vary(r, 1), r.uniform(0.8, 1.2)),
    "coo": lambda r: _repeated(_tone(np.array([600, 700, 560]) * _vary(r, 1), 0.25, (1, 0.3)), 2, 0.08),
    "rasp": lambda r: _repeated(_noise(r, 0.015, 2500, 6500), int(r.integers(20, 30)), 0.015),
    "buzz": lambda r: _tone(_vary(r, 220), r.uniform(0.8, 1.5), np.ones(14) * 0.5),
    "tick": lambda r: _repeated(_noise(r, 0.03, 6000, 10000), 3, 0.07),
    "siren": lambda r: _tone(np.array([1100, 1700, 1100, 1700]) * _vary(r, 1), r.uniform(1.5, 2.5), (1, 0.5, 0.3)),
}


def hours_of(number):
    """Return the six consecutive hours of the day in which the kind with this number occurs."""
    return {(3 * number + hour) % 24 for hour in range(6)}


def band(sound):
    """Return the band with 95 % of a sound's energy, in Hz."""
    power = np.cumsum(np.abs(np.fft.rfft(sound)) ** 2)
    low, high = np.searchsorted(power, np.array([0.025, 0.975]) * power[-1]) * RATE / len(sound)
    return float(low), float(max(high, low + 40))


def spectrum(sound):
    """Return the power of a sound per bin, and the width of a bin in Hz."""
    return np.abs(np.fft.rfft(sound)) ** 2 / len(sound) ** 2, RATE / len(sound)


def power_in(power_and_width, low, high):
    power, width = power_and_width
    return float(power[int(low / width) : int(high / width) + 1].sum())


def _background(rng, seed):
    """Return a minute of wind and rain in a random mixture, with the noise of a microphone."""
    total = 0.02 * rng.standard_normal(RATE * SECONDS).astype(np.float32)
    for number, sound in enumerate(backgrounds(seed)):
        share = rng.uniform(0, 1) * (rng.random() < 0.4)
        if share or number == 0:
            total += np.float32(max(share, 0.05)) * np.roll(sound, int(rng.integers(len(sound))))
    return 0.02 * total


def minute(rng, kinds, name, seed):
    """Return the samples of a recording with sounds of some kinds, and the planted sounds."""
    samples, planted, at = _background(rng, seed), [], float(rng.uniform(0.5, 4))
    behind = spectrum(samples)
    for kind, make in kinds:
        sound = make(rng)
        seconds = len(sound) / RATE
        if at + seconds > SECONDS - 0.5:
            break
        low, high = band(sound)
        first, middle = int(at * RATE), np.sqrt(low * high)
        wide = min(low, middle * 2 ** (-1 / 6)), max(high, middle * 2 ** (1 / 6))
        ratio = power_in(behind, *wide) / power_in(spectrum(sound), *wide)
        samples[first : first + len(sound)] += sound * np.sqrt(ratio * 10 ** (rng.uniform(*LEVELS) / 10))
        planted.append(Planted(name, at, at + seconds, kind, low, high))
        at += seconds + GAP + float(rng.exponential(6))
    return samples, planted


def plant(folder: Path, *, recordings=168, seed=0, kinds=None, each=(3, 7)):
    """Write a recording for each hour from the first of June 2024; return the planted sounds, in order."""
    kinds, planted = kinds or KINDS, []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(recordings):
        rng = np.random.default_rng([seed, 1, number])
        time = FIRST + timedelta(hours=number)
        now = [kind for i, kind in enumerate(kinds) if time.hour in hours_of(i)]
        drawn = [(kind, kinds[kind]) for kind in rng.choice(now, int(rng.integers(*each)))]
        name = f"{time:%Y%m%d_%H%M%S}.WAV"
        sound, sounds = minute(rng, drawn, name, seed)
        soundfile.write(folder / name, np.clip(sound, -1, 1), RATE, subtype="PCM_16", format="WAV")
        planted += sounds
    return planted


def overlap(a, b):
    """Return the intersection over union of two intervals (start, end)."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return max(0.0, shared) / (max(a[1], b[1]) - min(a[0], b[0]))


def match(planted, events, least=0.5):
    """Return pairs (planted, event) of one file that overlap, the best first; events are (file, start, end)."""
    of_file = {}
    for j, (file, *_) in enumerate(events):
        of_file.setdefault(file, []).append(j)
    near = [
        (overlap((one.start, one.end), events[j][1:3]), i, j)
        for i, one in enumerate(planted)
        for j in of_file.get(one.file, [])
    ]
    used_planted, used_events, pairs = set(), set(), []
    for share, i, j in sorted(near, reverse=True):
        if share >= least and i not in used_planted and j not in used_events:
            used_planted.add(i)
            used_events.add(j)
            pairs.append((i, j))
    return pairs
