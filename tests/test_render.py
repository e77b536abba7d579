"""Pictures of atoms and of the training history: order of the units, labelled axes, error messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from audiosae.autoencoder.model import Model
from audiosae.autoencoder.sae import start
from audiosae.autoencoder.whitening import Whitening, WindowMoments, make_whitener
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training.history import Row
from audiosae.views import atoms
from audiosae.views.atoms import draw_atoms
from audiosae.views.curves import draw_history


def make(hidden):
    domain = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20, frames=8)
    whitener = make_whitener(WindowMoments.of(np.random.default_rng(0).normal(size=(500, 160))), Whitening("none"))
    rho_hat = np.random.default_rng(1).uniform(0.01, 0.1, hidden)
    return Model(domain, whitener, start(hidden, 160, seed=0, rho=0.05), rho_hat, {"options": {"rho": 0.05}})


@pytest.fixture
def figures(monkeypatch):
    """Return a list to which every saved figure is appended."""
    saved = []
    save = atoms.save_figure

    def save_and_record(figure, path):
        saved.append(figure)
        save(figure, path)

    monkeypatch.setattr(atoms, "save_figure", save_and_record)
    monkeypatch.setattr("audiosae.views.curves.save_figure", save_and_record)
    return saved


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture_is_written_in_the_format_of_its_suffix(tmp_path, suffix):
    path = tmp_path / f"atoms{suffix}"
    draw_atoms(make(4), path)
    head = path.read_bytes()[:300]
    assert {".png": b"PNG", ".svg": b"<svg", ".pdf": b"%PDF"}[suffix] in path.read_bytes()[:600], head


def test_units_are_drawn_most_active_first(tmp_path):
    model = make(7)
    drawn = draw_atoms(model, tmp_path / "a.png")
    assert drawn == np.argsort(-model.rho_hat).tolist()
    assert draw_atoms(model, tmp_path / "b.png", order="index") == list(range(7))


def test_units_can_be_ordered_by_frequency(tmp_path):
    model = make(6)
    drawn = draw_atoms(model, tmp_path / "a.png", order="frequency")
    centres = [model.domain.centre(model.atoms()[unit]) for unit in drawn]
    assert centres == sorted(centres)


def test_few_units_have_axes_in_hertz_and_milliseconds(tmp_path, figures):
    draw_atoms(make(9), tmp_path / "a.png")
    labels = {ax.get_xlabel() for ax in figures[0].axes} | {ax.get_ylabel() for ax in figures[0].axes}
    assert {"ms", "Hz"} <= labels
    assert sum(ax.get_title().isdigit() for ax in figures[0].axes) == 9


def test_a_thousand_units_have_one_key_with_axes(tmp_path, figures):
    draw_atoms(make(1024), tmp_path / "a.png")
    labels = {ax.get_xlabel() for ax in figures[0].axes} | {ax.get_ylabel() for ax in figures[0].axes}
    assert {"ms", "Hz"} <= labels
    height, width = imread(tmp_path / "a.png").shape[:2]
    tile_pixels = figures[0].axes[1].images[0].get_array().shape
    assert tile_pixels[1] < width
    assert tile_pixels[0] < height


def test_all_atoms_have_one_symmetric_colour_scale(tmp_path, figures):
    draw_atoms(make(9), tmp_path / "a.png")
    limits = {ax.images[0].get_clim() for ax in figures[0].axes if ax.images}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high < 0


def test_plain_tiles_show_the_scaled_weights(tmp_path, figures):
    model = make(6)
    draw_atoms(model, tmp_path / "a.png", plain=True, columns=3, order="index")
    mosaic = np.asarray(figures[0].axes[0].images[0].get_array())
    assert mosaic.shape == (2 * 21 + 1, 3 * 9 + 1)
    tile = model.domain.tile(model.atoms()[4])
    np.testing.assert_allclose(mosaic[22:42, 10:18], tile / np.abs(tile).max(), rtol=1e-6)


@pytest.mark.parametrize("units", [[-1], [99], []])
def test_units_outside_the_model_raise(tmp_path, units):
    with pytest.raises(InputError, match="wanted units from 0 to 3"):
        draw_atoms(make(4), tmp_path / "a.png", units=units)


def test_an_unknown_suffix_raises(tmp_path):
    with pytest.raises(InputError, match=r"wanted \.png, \.svg, \.pdf"):
        draw_atoms(make(4), tmp_path / "a.bmp")


def test_an_unwritable_picture_raises(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        draw_atoms(make(4), tmp_path / "gone/a.png")


@pytest.mark.parametrize("count", [1, 50])
def test_the_history_shows_cost_unexplained_variance_and_activity(tmp_path, figures, count):
    rows = [Row(i, i + 1, 100, 9 / (i + 1), 5 / (i + 1), 1.0, 0.04, 0, 1.0, 0.5) for i in range(count)]
    draw_history(rows, tmp_path / "h.png", rho=0.05)
    titles = " ".join(ax.get_title() for ax in figures[0].axes)
    assert "cost" in titles
    assert "unexplained" in titles
    assert "activity" in titles


class Curves(Spectrogram):
    """Draws curves, each with its own limits."""

    def draw(self, atom, ax, *, limit):
        ax.plot(atom.mean(axis=1) * (1 + np.abs(atom).argmax()))


def test_atoms_drawn_with_different_limits_get_common_limits(tmp_path, figures):
    model = make(6)
    model = replace(model, domain=Curves(**vars(model.domain)))
    draw_atoms(model, tmp_path / "curves.png", columns=3)
    drawn = [ax for ax in figures[0].axes if ax.lines]
    assert len(drawn) == 6
    assert len({ax.get_ylim() for ax in drawn}) == 1
    for ax in drawn:
        low, high = ax.get_ylim()
        assert low <= ax.lines[0].get_ydata().min()
        assert high >= ax.lines[0].get_ydata().max()
    assert [ax.yaxis.get_visible() for ax in drawn] == [True, False, False] * 2
    assert [ax.xaxis.get_visible() for ax in drawn] == [False] * 3 + [True] * 3


class Inverted(Curves):
    """Draws curves with an inverted y axis."""

    def draw(self, atom, ax, *, limit):
        super().draw(atom, ax, limit=limit)
        ax.invert_yaxis()


def test_inverted_axes_stay_inverted_and_show_all_values(tmp_path, figures):
    model = make(6)
    draw_atoms(replace(model, domain=Inverted(**vars(model.domain))), tmp_path / "curves.png", columns=3)
    drawn = [ax for ax in figures[0].axes if ax.lines]
    values = np.concatenate([ax.lines[0].get_ydata() for ax in drawn])
    assert len({ax.get_ylim() for ax in drawn}) == 1
    below, above = drawn[0].get_ylim()
    assert below >= values.max() > values.min() >= above
