import json
import subprocess
import sys

import numpy as np
import pytest
from audiosae_images import Images, filters
from matplotlib.figure import Figure
from PIL import Image
from scenes import colours, leaves

from audiosae.domain import check_domain, domain_from_json, domain_to_json, load_domain, make_domain
from audiosae.errors import InputError


@pytest.fixture
def files(tmp_path):
    Image.fromarray(leaves(0)).save(tmp_path / "grey.png")
    Image.fromarray(colours(0)).save(tmp_path / "colour.jpg")
    np.save(tmp_path / "values.npy", np.random.default_rng(0).normal(size=(40, 30)))
    np.save(tmp_path / "planes.npy", colours(3).astype(np.float32))
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [{}, {"color": "rgb"}, {"filter": "1/f"}, {"color": "rgb", "filter": "1/f", "size": 7, "step": 3}, {"size": 30}],
)
def test_the_domain_passes_the_conformance_check(files, options):
    check_domain(Images(**options), files)


def test_the_domain_is_loaded_by_name_and_from_a_model_file():
    domain = Images(size=8, color="rgb")
    assert load_domain("images") is Images
    kept = json.loads(json.dumps(domain_to_json(domain)))
    assert kept["package"] == "audiosae-images"
    assert domain_from_json(kept) == domain


def test_importing_the_plugin_loads_neither_matplotlib_nor_scipy():
    code = "import audiosae_images, sys; print({'matplotlib', 'scipy', 'librosa'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("options", [{"size": "1"}, {"step": "0"}, {"f0": "0"}, {"f0": "nan"}, {"color": "red"}])
def test_invalid_options_are_refused(options):
    (key,) = options
    with pytest.raises(InputError, match=f"--set {key}="):
        make_domain(Images, options)


def test_windows_are_square_patches_of_one_or_three_channels():
    assert (Images(size=8).window, Images(step=4).stride) == ((8, 8, 1), (4, 4, 1))
    assert (Images(color="rgb").window, Images(color="rgb").stride) == ((10, 10, 3), (1, 1, 3))


def test_a_span_is_in_pixels_and_its_excerpt_is_that_patch(files):
    colour, domain = files[0], Images(size=6, color="rgb")
    span = domain.span(colour, (20, 31, 0))
    assert (span.start, span.end, span.unit) == ((20, 31), (26, 37), "px")
    field = np.concatenate(list(domain.field(colour)))
    excerpt = domain.excerpt(colour, span)
    assert excerpt.kind == "picture"
    np.testing.assert_array_equal(excerpt.data, field[20:26, 31:37])


def test_an_excerpt_is_not_filtered(files):
    domain = Images(filter="1/f")
    span = domain.span(files[1], (5, 6, 0))
    np.testing.assert_allclose(domain.excerpt(files[1], span).data, leaves(0)[5:15, 6:16] / 255, atol=1e-6)


def test_an_excerpt_beyond_the_picture_is_refused(files):
    domain = Images()
    with pytest.raises(InputError, match="64 rows of 80 pixels"):
        domain.excerpt(files[1], domain.span(files[1], (64, 0, 0)))


def test_coloured_atoms_are_shown_around_mid_grey():
    atom = np.zeros((10, 10, 3))
    atom[0, 0], atom[0, 1] = (2, 0, -1), (-2, 0, 0)
    tile = Images(color="rgb").tile(atom)
    np.testing.assert_allclose(tile[0, :3], [[1, 0.5, 0.25], [0, 0.5, 0.5], [0.5, 0.5, 0.5]])
    assert (Images(color="rgb").tile(np.zeros((10, 10, 3))) == 0.5).all()


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_atoms_are_drawn_over_pixels_with_the_first_row_on_top(color):
    ax = Figure().subplots()
    domain = Images(size=6, color=color)
    domain.draw(np.random.default_rng(0).normal(size=domain.window), ax, limit=2.0)
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 6), (6, 0))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("px", "px")
    if color == "grey":
        assert ax.images[0].get_clim() == (-2, 2)


@pytest.mark.parametrize("frequency", [0.1, 0.25, 0.4])
def test_the_centre_of_a_grating_is_its_frequency(frequency):
    y, x = np.mgrid[:16, :16]
    grating = 3 + np.sin(2 * np.pi * frequency * (0.6 * x + 0.8 * y))
    assert Images(size=16).centre(grating[..., None]) == pytest.approx(frequency, abs=0.02)
    assert Images(size=16).centre(np.ones((16, 16, 1))) == 0


def test_the_response_of_the_filter_to_a_grating_follows_the_formula():
    f, f0 = 24 / 256, 0.3
    y, _ = np.mgrid[:256, :256]
    field = np.cos(2 * np.pi * f * (y + 0.5)).astype(np.float32)[..., None]
    found = field.copy()
    filters.flatten_spectrum(found, f0)
    inner = slice(80, 176)
    np.testing.assert_allclose(found[inner], f * np.exp(-((f / f0) ** 4)) * field[inner], atol=2e-3)


def test_the_filter_flattens_a_1_over_f_spectrum():
    field = leaves(0, 256, 256, 3000).astype(np.float32)[..., None]
    before = _slope(field)
    filters.flatten_spectrum(field, 0.4)
    assert before < -1
    assert _slope(field) - before == pytest.approx(1, abs=0.1)


def _slope(field):
    """Slope of log amplitude over log frequency from 0.03 to 0.2 cycles per pixel, under a Hann window."""
    rows, columns = field.shape[:2]
    tapered = (field[..., 0] - field.mean()) * np.hanning(rows)[:, None] * np.hanning(columns)
    amplitude = np.abs(np.fft.rfft2(tapered))
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    there = (frequency > 0.03) & (frequency < 0.2)
    return np.polyfit(np.log(frequency[there]), np.log(amplitude[there]), 1)[0]


@pytest.mark.parametrize("rows", [1, 63, 65, 400])
def test_the_filter_does_not_depend_on_the_height_of_bands(monkeypatch, rows):
    whole = np.random.default_rng(rows).normal(size=(rows, 90, 3)).astype(np.float32)
    banded = whole.copy()
    filters.flatten_spectrum(whole, 0.4)
    monkeypatch.setattr(filters, "_PIXELS_AT_ONCE", 1)
    filters.flatten_spectrum(banded, 0.4)
    np.testing.assert_allclose(banded, whole, atol=1e-3)
