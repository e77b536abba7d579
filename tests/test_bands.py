"""Bands: filters and frames equal librosa's for a stream in blocks of any size."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from signals import cut, tone

from audiosae.recordings import bands, inversion

CLOSE = 1e-4  # of the largest value


def assert_close(found, wanted):
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "fmin", "fmax"),
    [(8000, 256, 40, 0.0, 4000.0), (22050, 1024, 64, 300.0, 10000.0), (250000, 8192, 48, 15000.0, 120000.0)],
)
def test_mel_filters_equal_librosa(rate, n_fft, n_mels, fmin, fmax):
    wanted = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(bands.mel_filters(rate, n_fft, n_mels, fmin, fmax).T, wanted, atol=1e-6 * wanted.max())


def test_mel_and_hertz_conversions_equal_librosa_and_are_inverse():
    hertz = np.array([0.0, 20, 440, 999, 1000, 1001, 8000, 96000])
    np.testing.assert_allclose(bands.hz_to_mel(hertz), librosa.hz_to_mel(hertz), rtol=1e-12)
    np.testing.assert_allclose(bands.mel_to_hz(bands.hz_to_mel(hertz)), hertz, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 37, 1000, 10**6])
@pytest.mark.parametrize(("n_fft", "hop"), [(256, 80), (256, 256), (128, 300), (250, 100)])
def test_power_equals_librosa_for_any_block_size(size, n_fft, hop):
    samples = tone(0.3, noise=0.1)
    found = np.concatenate(list(bands.power_frames(cut(samples, size), n_fft, hop)))
    wanted = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop)) ** 2
    assert_close(found, wanted.T)


@pytest.mark.parametrize("size", [100, 4096, 10**6])
def test_mel_spectrogram_equals_librosa_in_every_band(size):
    samples = tone(2.0, 22050, noise=0.1)
    power = np.concatenate(list(bands.power_frames(cut(samples, size), 1024, 220)))
    found = power @ bands.mel_filters(22050, 1024, 40, 0.0, 11025.0)
    wanted = librosa.feature.melspectrogram(y=samples, sr=22050, n_fft=1024, hop_length=220, n_mels=40)
    np.testing.assert_allclose(found, wanted.T, rtol=CLOSE)


@pytest.mark.parametrize("length", [1, 2, 100, 128, 255, 256, 257])
def test_recording_shorter_than_a_transform_has_the_frames_of_librosa(length):
    samples = tone(1.0)[:length]
    found = np.concatenate(list(bands.power_frames([samples], 256, 80)))
    padded = np.pad(samples, 128)  # librosa warns about signals this short
    wanted = np.abs(librosa.stft(padded, n_fft=256, hop_length=80, center=False)) ** 2
    assert_close(found, wanted.T)


def test_empty_blocks_change_nothing():
    samples, none = tone(0.2), np.empty(0, np.float32)
    found = np.concatenate(list(bands.power_frames([none, samples[:700], none, samples[700:], none], 256, 80)))
    wanted = np.concatenate(list(bands.power_frames([samples], 256, 80)))
    assert_close(found, wanted)


def test_frame_blocks_have_a_bounded_size():
    blocks = list(bands.power_frames([tone(4.0)], 64, 8))
    assert max(len(block) for block in blocks) == bands._FRAMES_AT_ONCE
    assert sum(len(block) for block in blocks) == 1 + 32000 // 8


@pytest.mark.parametrize("count", [7, 100, 501, 10**4])
def test_segments_of_power_are_the_frames_in_order(count):
    samples = tone(0.5, noise=0.1)
    power = np.concatenate(list(bands.power_frames([samples], 64, 8)))[:, 2:9]
    segments = list(bands.power_segments(cut(samples, 1000), 64, 8, slice(2, 9), count, at_once=32))
    assert [len(each) for each in segments[:-1]] == [count] * ((len(power) - 1) // count)
    np.testing.assert_array_equal(np.concatenate(segments), power)
    assert not list(bands.power_segments([], 64, 8, slice(2, 9), count, at_once=32))[1:]


def test_decibels_equal_librosa_without_top_db():
    power = np.geomspace(1e-14, 1e6, 50, dtype=np.float32)
    np.testing.assert_allclose(bands.to_decibels(power), librosa.power_to_db(power, top_db=None), atol=1e-4)
    assert bands.to_decibels(np.zeros(1, np.float32))[0] == pytest.approx(-100, abs=1e-4)


@pytest.mark.parametrize(
    ("rate", "hop", "fmin", "n_bins", "per_octave"), [(8000, 80, 65.4, 60, 12), (8000, 128, 200.0, 20, 5)]
)
def test_constant_q_equals_librosa(rate, hop, fmin, n_bins, per_octave):
    samples = tone(3.0, rate, noise=0.1)
    options = {"hop_length": hop, "fmin": fmin, "n_bins": n_bins, "bins_per_octave": per_octave}
    found = np.concatenate(list(bands.constant_q_frames(cut(samples, 5000), rate=rate, **options)))
    assert_close(found, np.abs(librosa.cqt(samples, sr=rate, **options)).T ** 2)


def test_constant_q_of_a_long_recording_is_computed_in_pieces(monkeypatch):
    rate, seconds = 8000, 170
    pieces, cqt = [], librosa.cqt
    samples = np.concatenate([tone(10, rate, pitch=80 * 1.12**n, noise=0.1, seed=n) for n in range(seconds // 10)])
    options = {"hop_length": 80, "fmin": 65.4, "n_bins": 60, "bins_per_octave": 12}
    wanted = np.abs(librosa.cqt(samples, sr=rate, **options)).T ** 2
    monkeypatch.setattr(librosa, "cqt", lambda y, **kwargs: pieces.append(len(y)) or cqt(y, **kwargs))
    found = np.concatenate(list(bands.constant_q_frames(cut(samples, 2**18), rate=rate, **options)))
    assert len(pieces) == 3
    assert max(pieces) < len(samples) / 2
    assert_close(found, wanted)


@pytest.mark.parametrize("length", [10, 400, 4000])
def test_constant_q_of_a_short_recording_gives_no_warning(length):
    options = {"hop_length": 80, "fmin": 65.4, "n_bins": 24, "bins_per_octave": 12}
    (found,) = bands.constant_q_frames([tone(1.0)[:length]], rate=8000, **options)  # a warning would be an error
    assert found.shape == (1 + length // 80, 24)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("n_fft", "hop"), [(512, 220), (256, 100)])
def test_griffin_lim_and_least_squares_equal_librosa(n_fft, hop):
    filters = bands.mel_filters(22050, n_fft, 20, 0, 11025.0).T.astype(np.float64)
    spectrum = inversion.non_negative_solution(filters, np.random.default_rng(0).random((20, 12)))
    np.testing.assert_allclose(spectrum, librosa.util.nnls(filters, np.random.default_rng(0).random((20, 12))))
    wanted = librosa.griffinlim(spectrum, n_iter=4, hop_length=hop, n_fft=n_fft, init=None)
    np.testing.assert_allclose(inversion.griffin_lim(spectrum, n_fft, hop, 4), wanted, atol=1e-9)
