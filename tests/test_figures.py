"""Figures of units on a page: drawing tiles over axes that are drawn once gives the same pixels as full drawings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from test_render import make

from audiosae.recordings.spectrogram import Spectrogram
from audiosae.views.atoms import colour_limit
from audiosae.views.unit_sides import _EDGE, _Drawing


def make_drawing(domain, atoms):
    return _Drawing(domain, colour_limit(atoms), atoms[0], atoms[-1])


@pytest.mark.parametrize("options", [{}, {"scale": "linear"}, {"scale": "cqt"}], ids=str)
def test_a_tile_drawn_over_stored_axes_equals_the_full_drawing(options):
    model = make(5)
    domain = replace(model.domain, **options)
    quick, whole = make_drawing(domain, model.atoms()), make_drawing(domain, model.atoms())
    assert quick._canvas is not None
    whole._canvas = None
    for atom in model.atoms():
        difference = np.abs(quick.pixels(atom).astype(int) - whole.pixels(atom).astype(int)).max(axis=2)
        assert difference.max() <= _EDGE
        assert (difference > 0).mean() < 0.02, "differences at the frame only"


@dataclass(frozen=True)
class Marked(Spectrogram):
    """Draws a line in addition to the tile."""

    def draw(self, atom, ax, *, limit):
        super().draw(atom, ax, limit=limit)
        ax.axhline(float(np.abs(atom).sum(axis=0).argmax()), color="black", linewidth=3)


def test_a_domain_that_draws_more_than_the_tile_is_drawn_in_full():
    domain = Marked(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20, frames=8)
    atoms = np.zeros((3, *domain.window), np.float32)
    for unit, band in enumerate((3, 10, 18)):
        atoms[unit, :, band] = 1
    drawing = make_drawing(domain, atoms)
    figures = [drawing.pixels(atom) for atom in atoms]
    np.testing.assert_array_equal(figures[1], drawing.pixels(atoms[1]))
    dark_rows = [(figure.max(axis=2) < 40).sum(axis=1).argmax() for figure in figures]
    assert len(set(dark_rows)) == 3, "each atom has its own line"
