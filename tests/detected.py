"""Synthetic recordings, and their events as a survey finds them."""

from __future__ import annotations

import numpy as np
from signals import collect, write

from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.broadband import BroadbandEvents, parts_of
from audiosae.sounds.detection import DetectorOptions, detect
from audiosae.sounds.locate import locate
from audiosae.sounds.noise_floor import BandLevels

RATE = 8000
SYLLABLE, PAUSE = 0.06, 0.015  # s


def noise(seconds, rate=RATE, *, level=0.01, gain=None, seed=0):
    """Return stationary noise; `gain` is its amplitude as a function of the frequencies in Hz, None is white."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    if gain is not None:
        spectrum = np.fft.rfft(samples)
        spectrum *= gain(np.fft.rfftfreq(len(samples), 1 / rate))
        samples = np.fft.irfft(spectrum, len(samples))
        samples /= samples.std()
    return (level * samples).astype(np.float32)


def sine(seconds, pitch, rate=RATE, *, level=0.1, harmonics=(1.0,), flank=0.002):
    """Return a tone with harmonics and linear flanks."""
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(a * np.sin(2 * np.pi * pitch * (i + 1) * time) for i, a in enumerate(harmonics))
    edge = np.minimum(1, np.minimum(time, time[::-1]) / flank)
    return (level * tone * edge).astype(np.float32)


def add(samples, start, sound, rate=RATE):
    """Add a sound at a time, in place; return the samples."""
    first = round(start * rate)
    samples[first : first + len(sound)] += sound
    return samples


def song(start, count=14):
    """Return the starts of the syllables of a song."""
    return start + (SYLLABLE + PAUSE) * np.arange(count)


def with_syllables(samples, starts, pitch=1500.0, rate=RATE, **how):
    """Add syllables at some times, in place; return the samples."""
    for start in starts:
        add(samples, start, sine(SYLLABLE, pitch, rate, **how), rate)
    return samples


def broadband(folder, samples, rate=RATE, *, transform=0.008, low=0.0, high=0.0, channel=0):
    """Return start, end, peak and spread of the broadband events of a recording, (events, 4)."""
    path = write(folder / "a.wav", samples, rate, subtype="FLOAT")
    rows = parts_of(collect(BroadbandEvents(rate, transform, low, high, channel).field(path))[0])[1].astype(np.float64)
    start = rows[:, 0] + rows[:, 1]
    return np.stack([start, start + rows[:, 2], rows[:, 3], rows[:, 4]], axis=1)


def detected(folder, samples, rate=RATE, *, model_rate=None, options=None, **kind):
    """Return the events of a recording, all frequencies, before they are joined to bouts."""
    path = write(folder / "a.wav", samples, rate, **({"subtype": "FLOAT"} | kind))
    domain = Spectrogram(model_rate or rate).resolve([path])
    field, _ = collect(domain.field(path))
    domain.finish(field)
    broad, _ = collect(BroadbandEvents(domain.sample_rate).field(path))
    return detect(BandLevels(field, domain.hop_length / domain.sample_rate), broad, options or DetectorOptions())


def corpus_of(folder, recordings, *, engine=None, cache=None, **settings):
    """Write recordings and read them with a spectrogram domain; return domain and corpus."""
    how = {"workers": settings.pop("workers", 1), "beside": settings.pop("beside", lambda: None)}
    for number, samples in enumerate(recordings):
        write(folder / "in" / f"{number}.wav", samples, RATE, subtype="FLOAT")
    domain = Spectrogram(RATE, **settings).resolve([])
    sources = scan([folder / "in"], (".wav",), domain="spectrogram")
    engine = engine or LocalEngine()
    return domain, read(domain, sources, engine, cache=cache or folder / "cache", interleaved=True, **how)


def located(folder, *recordings, options=None, known=None, **settings):
    """Return the detector and the events that a survey finds in recordings; `settings` are those of the domain."""
    return locate(*corpus_of(folder, recordings, **settings), options or DetectorOptions(), known=known)
