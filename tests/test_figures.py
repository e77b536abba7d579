"""Figures of units on a page: axes drawn once show what each figure drawn in full shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from test_render import make

from audiosae.recordings.spectrogram import Spectrogram
from audiosae.views.atoms import colour_limit
from audiosae.views.unit_sides import _EDGE, _Drawing


def drawing(domain, atoms):
    return _Drawing(domain, colour_limit(atoms), atoms[0], atoms[-1])


@pytest.mark.parametrize("options", [{}, {"scale": "linear"}, {"scale": "cqt"}], ids=str)
def test_a_tile_on_axes_drawn_once_is_the_figure_drawn_in_full(options):
    model = make(5)
    domain = replace(model.domain, **options)
    quick, whole = drawing(domain, model.atoms()), drawing(domain, model.atoms())
    assert quick._canvas is not None
    whole._canvas = None
    for atom in model.atoms():
        apart = np.abs(quick._pixels(atom).astype(int) - whole._pixels(atom).astype(int)).max(axis=2)
        assert apart.max() <= _EDGE
        assert (apart > 0).mean() < 0.02  # the frame


@dataclass(frozen=True)
class Marked(Spectrogram):
    """Draws more than the tile."""

    def draw(self, atom, ax, *, limit):
        super().draw(atom, ax, limit=limit)
        ax.axhline(float(np.abs(atom).sum(axis=0).argmax()), color="black", linewidth=3)


def test_a_domain_that_draws_more_than_its_tile_is_drawn_in_full():
    domain = Marked(sample_rate=8000, n_fft=256, hop_length=80, n_mels=20, frames=8)
    atoms = np.zeros((3, *domain.window), np.float32)
    for unit, band in enumerate((3, 10, 18)):
        atoms[unit, :, band] = 1
    found = drawing(domain, atoms)
    figures = [found.figure(atom) for atom in atoms]
    assert len(set(figures)) == 3
    assert figures[1] == found.figure(atoms[1])
    dark = [(found._pixels(atom).max(axis=2) < 40).sum(axis=1).argmax() for atom in atoms]
    assert len(set(dark)) == 3  # each has its own line
