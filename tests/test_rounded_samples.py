"""Sounds of a page: rounded so that the error is below the background of the recording, in FLAC."""

import numpy as np
import pytest

from audiosae.views.media import encode_sound
from audiosae.views.rounded_samples import rounded_samples

RATE = 22050


def coloured(seconds, slope, seed=0):
    """Return noise whose power falls with the frequency to the power `slope`, with a deviation of 1."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 50)
    noise = np.fft.irfft(spectrum * hertz ** (-slope / 2), count)
    return noise / noise.std()


def spectrum(samples):
    """Return the mean power at 32 frequencies, in dB."""
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    return 10 * np.log10(np.square(np.abs(np.fft.rfft(frames)))[:, :-1].mean(axis=0).reshape(32, -1).mean(axis=1))


@pytest.mark.parametrize("slope", [0, 1, 2])
def test_the_error_is_below_the_background_at_all_frequencies(slope):
    background = 0.02 * coloured(3.0, slope)
    samples = background.copy()
    at = np.arange(RATE) / RATE  # a series of harmonics for a second
    samples[RATE : 2 * RATE] += sum(0.1 * np.sin(2 * np.pi * hertz * at) for hertz in range(600, 6000, 600))
    rounded = rounded_samples(samples.astype(np.float32)) / 2**15
    assert (spectrum(rounded - samples) < spectrum(background) - 2).all()
    assert len(np.unique(rounded)) < 2**9


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 15.0])
def test_the_error_of_a_sound_without_background_is_at_the_frequencies_of_the_sound_or_60_db_below_it(seconds):
    tone = 0.9 * np.sin(2 * np.pi * 1234.5 * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)
    error = rounded_samples(tone) / 2**15 - tone
    assert len(error) == len(tone)
    power = np.square(np.abs(np.fft.rfft(error, norm="ortho"))) / len(error)
    near = np.abs(np.fft.rfftfreq(len(error), 1 / RATE) - 1234.5) < 400
    assert power[~near].sum() < 1e-6
    assert power[near].sum() < 1e-5


@pytest.mark.parametrize("samples", [np.zeros(5000), np.full(5000, 0.9), np.zeros(1)])
def test_sounds_without_change_are_kept(samples):
    assert np.abs(rounded_samples(samples.astype(np.float32)) / 2**15 - samples).max() < 2e-3


def test_a_sound_in_noise_takes_a_quarter_of_the_bytes_of_its_samples():
    sound = encode_sound(coloured(5.0, 1).astype(np.float32), RATE)
    assert len(sound.data) * 3 / 4 < 5.0 * RATE * 2 / 4
