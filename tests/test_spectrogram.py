"""The built-in domain: chosen options, spectrograms compared with librosa, levels, silence, axes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from signals import collect, tone, wav_bytes, write

from audiosae.domain import check_domain, domain_from_json, domain_to_json, make_domain, options_of
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram

SCALES = ["mel", "linear", "cqt"]


def resolved(**options):
    return Spectrogram(**({"sample_rate": 8000} | options)).resolve([])


@pytest.fixture
def recording(tmp_path):
    return write(tmp_path / "a.wav", tone(1.0, noise=0.1))


@pytest.mark.parametrize("scale", SCALES)
def test_it_conforms_to_the_domain_interface(tmp_path, scale):
    files = [write(tmp_path / "a.wav", tone(1.0)), write(tmp_path / "b.flac", tone(0.5, 16000), 16000)]
    check_domain(Spectrogram(scale=scale), files)
    check_domain(Spectrogram(scale=scale, silence=30.0, step=3, frames=5, level="none", top_db=0.0), files)


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [(8000, 8000), (16000, 16000), (44100, 22050), (48000, 22050), (96000, 22050), (250000, 250000)],
)
def test_sample_rate_is_chosen_from_the_recordings(tmp_path, rate, wanted):
    domain = Spectrogram().resolve([write(tmp_path / "a.wav", tone(0.1, rate), rate)])
    assert domain.sample_rate == wanted
    assert domain.hop_length == round(0.01 * wanted)
    assert domain.n_fft & (domain.n_fft - 1) == 0
    assert 0.7 < domain.n_fft / (0.032 * wanted) < 1.42


def test_sample_rate_is_that_of_most_of_the_sound_not_of_most_files(tmp_path):
    few = [write(tmp_path / f"{n}.wav", tone(5.0, 16000), 16000) for n in range(2)]
    many = [write(tmp_path / f"few{n}.wav", tone(0.1)) for n in range(4)]
    assert Spectrogram().resolve(many + few).sample_rate == 16000


def test_broken_files_do_not_affect_the_sample_rate(tmp_path):
    (tmp_path / "b.wav").write_bytes(b"no sound")
    paths = [tmp_path / "b.wav", tmp_path / "gone.wav"]
    assert Spectrogram().resolve([*paths, write(tmp_path / "a.wav", tone())]).sample_rate == 8000
    assert Spectrogram().resolve(paths).sample_rate == 22050


def test_given_and_resolved_options_are_not_changed(tmp_path):
    paths = [write(tmp_path / "a.wav", tone(0.2, 44100), 44100)]
    domain = Spectrogram(hop_length=100).resolve(paths)
    assert (domain.sample_rate, domain.hop_length, domain.n_fft) == (22050, 100, 512)
    assert Spectrogram(sample_rate=8000, n_fft=300).resolve(paths).n_fft == 300
    assert domain.resolve([]) == domain.resolve([write(tmp_path / "b.wav", tone())]) == domain


def with_librosa(samples, domain):
    """Return the same spectrogram by librosa, in dB."""
    if domain.scale == "cqt":
        bins = librosa.cqt(
            samples, sr=8000, hop_length=domain.hop_length, fmin=domain.fmin or 32.703, n_bins=domain.window[1]
        )
        return librosa.power_to_db(np.abs(bins) ** 2, top_db=None).T
    power = np.abs(librosa.stft(samples, n_fft=domain.n_fft, hop_length=domain.hop_length)) ** 2
    if domain.scale == "mel":
        power = librosa.feature.melspectrogram(
            S=power, sr=8000, n_mels=domain.n_mels, fmin=domain.fmin, fmax=domain.fmax or None
        )
    return librosa.power_to_db(power, top_db=None).T


@pytest.mark.parametrize(
    "options",
    [{}, {"n_mels": 24, "fmin": 200.0, "fmax": 3500.0}, {"scale": "linear"}, {"scale": "cqt", "fmin": 100.0}],
)
def test_field_equals_the_spectrogram_of_librosa_in_decibels(recording, options):
    domain = resolved(**options)
    found, note = collect(domain.field(recording))
    wanted = with_librosa(soundfile.read(recording, dtype="float32")[0], domain)
    assert note == ""
    assert found.shape == wanted.shape == (101, domain.window[1])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_stereo_at_another_rate_gives_the_field_of_mono_by_librosa(tmp_path):
    samples = np.stack([tone(1.0, 44100, noise=0.1), tone(1.0, 44100, pitch=900, noise=0.1, seed=1)], axis=1)
    path = write(tmp_path / "a.wav", samples, 44100, subtype="FLOAT")
    mono = librosa.resample(samples.mean(axis=1), orig_sr=44100, target_sr=8000)
    domain = resolved()
    wanted = with_librosa(mono, domain)
    np.testing.assert_allclose(collect(domain.field(path))[0], wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_field_of_a_cut_recording_has_a_note(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(1.0))[:8044])
    found, note = collect(resolved().field(path))
    assert len(found) == 1 + 4000 // 80
    assert note == "truncated at 0.5 s"


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({}, 30, 4000),
        ({"scale": "linear"}, 0, 4000),
        ({"scale": "linear", "fmin": 500.0, "fmax": 2000.0}, 500, 2000),
        ({"scale": "cqt"}, 32.7, 4000),
        ({"scale": "cqt", "fmin": 110.0, "fmax": 1760.0}, 110, 1760),
    ],
)
def test_bands_lie_between_fmin_and_fmax(options, low, high):
    domain = resolved(**options)
    assert len(domain.frequencies) == domain.window[1] == domain.stride[1]
    assert (np.diff(domain.frequencies) > 0).all()
    assert low <= domain.frequencies[0]
    assert domain.frequencies[-1] <= high


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("pitch", [300.0, 1100.0])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(tmp_path, scale, pitch):
    domain = resolved(scale=scale)
    field, _ = collect(domain.field(write(tmp_path / "a.wav", tone(2.0, pitch=pitch, noise=0.001))))
    found = domain.frequencies[field[50:150].mean(axis=0).argmax()]
    nearest = domain.frequencies[np.abs(np.log2(domain.frequencies.clip(1) / pitch)).argmin()]
    assert found == pytest.approx(nearest)


@pytest.mark.parametrize("scale", SCALES)
def test_the_centre_of_a_tones_atom_is_its_frequency(scale):
    domain = resolved(scale=scale, fmin=100.0)
    atom = np.zeros(domain.window)
    band = domain.window[1] // 2
    atom[3:9, band] = -2.0
    assert domain.centre(atom) == pytest.approx(domain.frequencies[band])


def test_the_centre_of_a_zero_atom_is_zero():
    assert resolved().centre(np.zeros((16, 40))) == 0


def test_finish_raises_low_levels_to_the_maximum_minus_top_db():
    field = np.float32([[0, -30], [-79, -100], [-80, -90]])
    assert resolved(top_db=80.0, level="none").finish(field) == [(0, 3)]
    np.testing.assert_array_equal(field, np.float32([[0, -30], [-79, -80], [-80, -80]]))


def test_finish_subtracts_the_mean_level():
    field = np.random.default_rng(0).normal(-40, 5, (1000, 40)).astype(np.float32)
    louder = field + 12
    resolved().finish(field)
    resolved().finish(louder)
    assert abs(field.mean()) < 1e-4
    np.testing.assert_allclose(louder, field, atol=1e-4)


def test_finish_can_leave_the_field_unchanged():
    field = np.random.default_rng(0).normal(-60, 50, (100, 40)).astype(np.float32)
    before = field.copy()
    resolved(top_db=0.0, level="none").finish(field)
    np.testing.assert_array_equal(field, before)


@pytest.mark.parametrize("length", [8, 9, 20, 300])
@pytest.mark.parametrize("seed", range(4))
def test_windows_in_the_ranges_are_those_that_touch_a_loud_frame(length, seed):
    domain = resolved(silence=30.0, frames=8, level="none")
    loud = np.random.default_rng(seed).random(length) < [0.02, 0.06, 0.1, 0.3][seed]
    loud[seed] = True
    field = np.where(loud[:, None], -10.0, -50.0).repeat(40, axis=1).astype(np.float32)
    ranges = domain.finish(field)
    inside = [start for low, high in ranges for start in range(low, high - 7)]
    assert inside == [start for start in range(length - 7) if loud[start : start + 8].any()]
    assert {row for low, high in ranges for row in range(low, high)} >= set(np.flatnonzero(loud))
    assert max(high for _, high in ranges) <= length


def test_ranges_of_a_recording_shorter_than_a_window_are_inside_it():
    field = np.zeros((5, 40), np.float32)
    assert resolved(silence=30.0).finish(field) == [(0, 5)]


def test_without_a_silence_level_everything_is_used():
    field = np.concatenate([np.zeros((50, 40)), np.full((50, 40), -70)]).astype(np.float32)
    assert resolved().finish(field) == [(0, 100)]


def test_a_span_is_in_seconds_and_its_excerpt_is_that_sound(recording):
    domain = resolved()
    span = domain.span(recording, (20, 0))
    assert (span.start, span.end, span.unit) == ((0.2,), (pytest.approx(0.36),), "s")
    excerpt = domain.excerpt(recording, span)
    samples, _ = soundfile.read(recording, dtype="float32")
    assert (excerpt.kind, excerpt.rate) == ("sound", 8000)
    np.testing.assert_array_equal(excerpt.data, samples[1600:2880])


@pytest.mark.parametrize("rate", [8000, 44100])
def test_probe_predicts_the_rows_of_the_field(tmp_path, rate):
    path = write(tmp_path / "a.wav", np.stack([tone(0.7, rate)] * 2, axis=1), rate)
    domain = Spectrogram().resolve([path])
    probe = domain.probe(path)
    assert probe.extent == pytest.approx(0.7)
    assert probe.rows == len(collect(domain.field(path))[0])
    assert probe.facts == {"rate": rate, "channels": 2, "format": "WAV/PCM_16"}


@pytest.mark.parametrize("scale", SCALES)
def test_atom_is_drawn_with_axes_in_hertz_and_milliseconds(scale):
    domain = resolved(scale=scale, frames=20)
    ax = Figure().subplots()
    domain.draw(np.random.default_rng(0).normal(size=domain.window), ax, limit=2.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ms", "Hz")
    assert ax.get_xlim() == (0, 200)
    (picture,) = ax.get_images()
    assert picture.get_clim() == (-2, 2)
    for position, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        hertz = float(label.get_text().replace("k", "e3"))
        assert np.interp(position, np.arange(domain.window[1]), domain.frequencies) == pytest.approx(hertz, rel=1e-6)
    assert 2 <= len(ax.get_yticks()) <= 8


def test_a_tile_has_low_bands_at_the_bottom_and_time_to_the_right():
    atom = np.zeros((16, 40))
    atom[15, 0] = 1
    assert resolved().tile(atom).shape == (40, 16)
    assert resolved().tile(atom)[-1, -1] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_mel": "64"}, "--set n_mel=64: spectrogram has no option n_mel; it has sample_rate, scale, n_fft,"),
        ({"n_mels": "many"}, "--set n_mels=many: spectrogram's n_mels must be a whole number"),
        ({"n_mels": "4.5"}, "--set n_mels=4.5: spectrogram's n_mels must be a whole number"),
        ({"fmin": "low"}, "--set fmin=low: spectrogram's fmin must be a number"),
        ({"scale": "bark"}, "--set scale=bark: spectrogram's scale must be one of mel, linear, cqt"),
        ({"hop_length": "-1"}, "--set hop_length=-1: hop_length cannot be negative"),
        ({"top_db": "nan"}, "--set top_db=nan: top_db cannot be negative"),
        ({"frames": "0"}, "--set frames=0: frames must be at least 1"),
        ({"sample_rate": "8000", "fmax": "5000"}, "--set fmin=0 fmax=5000: wanted fmin < fmax <= 4000 Hz"),
        (
            {"sample_rate": "8000", "n_fft": "256", "scale": "linear", "fmin": "101", "fmax": "110"},
            "--set fmin=101 fmax=110: no bin of n_fft=256 lies between",
        ),
        ({"sample_rate": "8000", "fmin": "4000"}, "--set fmin=4000 fmax=0: wanted fmin < fmax <= 4000 Hz"),
    ],
)
def test_invalid_options_raise_an_error_that_states_what_was_wanted(options, message):
    with pytest.raises(InputError) as caught:
        make_domain(Spectrogram, options)
    assert str(caught.value).startswith(message)


def test_an_fmax_above_half_the_chosen_rate_is_refused_when_it_is_resolved(recording):
    with pytest.raises(InputError, match=r"wanted fmin < fmax <= 4000 Hz, half the sample rate"):
        Spectrogram(fmax=9000.0).resolve([recording])


def test_options_survive_json(recording):
    domain = Spectrogram(scale="cqt", fmin=55.5, silence=40.0, level="none", bins_per_octave=24).resolve([recording])
    stored = json.loads(json.dumps(domain_to_json(domain)))
    assert stored["options"] == options_of(domain)
    assert (stored["name"], stored["package"]) == ("spectrogram", "audiosae")
    assert domain_from_json(stored) == domain


@pytest.mark.parametrize(("scale", "least"), [("mel", 0.7), ("linear", 0.7), ("cqt", 0.3)])
def test_spectrogram_of_a_synthesised_atom_is_the_atom(scale, least):
    domain = resolved(scale=scale, fmin=60.0 if scale == "cqt" else 0.0)
    bands = np.arange(domain.window[1])
    glide = np.exp(-(((bands - np.linspace(0.3, 0.7, 16)[:, None] * len(bands)) / (0.06 * len(bands))) ** 2))
    excerpt = domain.synthesize(glide)
    assert (excerpt.kind, excerpt.rate, excerpt.data.shape) == ("sound", 8000, (16 * domain.hop_length,))
    assert 0 < np.abs(excerpt.data).max() <= 1
    assert np.array_equal(excerpt.data, domain.synthesize(glide).data)
    quiet = np.zeros(4000, np.float32)
    field = spectrogram_of(domain, np.concatenate([quiet, excerpt.data, quiet]))
    heard = np.maximum(field[50:66], field.max() - 40)
    assert np.corrcoef(heard.ravel(), glide.ravel())[0, 1] > least


def spectrogram_of(domain, samples):
    with tempfile.TemporaryDirectory() as folder:
        return np.concatenate(list(domain.field(write(Path(folder) / "a.wav", samples, subtype="FLOAT"))))


def test_atom_of_one_frame_can_be_synthesised():
    assert np.abs(resolved(frames=1).synthesize(np.ones((1, 40))).data).max() > 0


def test_measures_of_bands_are_their_frequency_and_distance():
    domain = resolved()
    atom = np.zeros(domain.window)
    atom[:, 20] = -1.0
    found = domain.measures(atom)
    assert found["centroid (Hz)"] == pytest.approx(domain.frequencies[20])
    assert found["bandwidth (Hz)"] == pytest.approx(0, abs=1e-6)
    atom[:, 30] = 1.0
    assert domain.measures(atom)["bandwidth (Hz)"] == pytest.approx(domain.frequencies[30] - domain.frequencies[20])


def test_window_of_the_linear_scale_is_defined_before_the_rate_is_known():
    assert Spectrogram(scale="linear").window == (16, 1)
