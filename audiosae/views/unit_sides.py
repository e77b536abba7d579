"""Units as a page shows them: tile, atom on axes, sound, measures; which are alike, and where each lies on the map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import default_settings, plugin_call
from audiosae.errors import PluginError
from audiosae.system.processes import run_in_order
from audiosae.system.threads import one_blas_thread
from audiosae.views.atoms import colour_limit, new_figure, tile_of
from audiosae.views.media import canvas_of, encode_sound, figure_pixels, pixels_png, tile_png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain

_FIGURE_INCHES = (3.4, 2.5)
_EDGE = 80  # of 255: where a tile meets its frame, lines are blended otherwise when they are drawn one by one
_REPEATS, _PAUSE_SECONDS = 3, 0.25  # an atom of a sixth of a second is hard to hear once
_UNITS_PER_WORKER = 64  # fewer are drawn sooner than a process has started
_ALIKE_SHOWN = 6
_FEWEST_FOR_TSNE = 8
_PERPLEXITY = 15.0


@dataclass(frozen=True)
class _Job:
    """One unit to show; figures are laid out by two atoms, so that who draws which does not matter."""

    domain: Domain
    atom: NDArray[np.float32]
    two: bytes
    limit: float


def show_units(
    model: Model, *, units: Sequence[int] | None = None, workers: int = 1, done: Callable[[], None] = lambda: None
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield what a page shows of each unit, apart from what it does on sources.

    With several workers the next ones are drawn while the caller does something else.

    Parameters
    ----------
    units
        Their numbers; all when not given.
    workers
        Processes that draw, where there is enough for them; the result does not depend on it.

    Yields
    ------
    dict
        unit, tile and figure (PNG), sound (None where there is none), measures, rho_hat, dead.
    """
    atoms, dead = model.atoms(), model.dead
    limit, two = colour_limit(atoms), atoms[[0, -1]].tobytes()
    units = range(len(atoms)) if units is None else units
    jobs = [_Job(model.domain, atoms[unit], two, limit) for unit in units]
    workers = min(workers, -(-len(jobs) // _UNITS_PER_WORKER))
    drawn = map(_show, jobs) if workers == 1 else run_in_order(_show, jobs, workers=workers, crashed=_crashed)
    for unit, each in zip(units, drawn, strict=True):
        done()
        yield each | {"unit": unit, "rho_hat": float(model.rho_hat[unit]), "dead": bool(dead[unit])}


@default_settings()
def _show(job: _Job) -> dict[str, Any]:
    domain, atom = job.domain, job.atom
    with plugin_call(domain, "measures"):
        measures = {str(key): _finite(value) for key, value in domain.measures(atom).items()}
    figure = _drawing(domain, job.limit, job.two).figure(atom)
    tile = tile_png(tile_of(domain, atom), job.limit, domain.colours)
    return {"tile": tile, "figure": figure, "sound": _sound(domain, atom), "measures": measures}


def _crashed(job: _Job) -> dict[str, Any]:
    raise PluginError(f"domain {job.domain.name}: a process that drew an atom died; try --workers 1")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"wanted finite numbers, not {value!r}")
    return float(value)


class _Drawing:
    """One figure for all atoms, laid out once: laying out takes longer than drawing.

    Where a domain draws nothing but an atom's tile into axes that are the same for all, which is found out by two of
    them, the axes are drawn once and the tiles over them.
    """

    def __init__(self, domain: Domain, limit: float, first: NDArray[np.float32], last: NDArray[np.float32]) -> None:
        self._domain, self._limit = domain, limit
        self._figure: Figure = new_figure(*_FIGURE_INCHES)
        self._ax = self._figure.subplots()
        self._draw(first)
        figure_pixels(self._figure)
        self._figure.set_layout_engine("none")
        self._canvas: Any = None
        wanted = self._pixels(last)
        self._draw(first)
        if self._shows_the_tile(first):
            self._keep_axes()
            if (np.abs(wanted.astype(int) - self._pixels(last)) > _EDGE).any():
                self._canvas = None

    def figure(self, atom: NDArray[Any]) -> str:
        return pixels_png(self._pixels(atom))

    def _draw(self, atom: NDArray[Any]) -> None:
        self._ax.clear()
        with plugin_call(self._domain, "draw"):
            self._domain.draw(atom, self._ax, limit=self._limit)

    def _shows_the_tile(self, atom: NDArray[Any]) -> bool:
        images = self._ax.images
        return len(images) == 1 and np.array_equal(np.asarray(images[0].get_array()), self._tile(atom))

    def _keep_axes(self) -> None:
        (self._image,) = self._ax.images
        self._image.set_visible(False)
        self._canvas = canvas_of(self._figure)
        self._canvas.draw()
        self._axes = self._canvas.copy_from_bbox(self._figure.bbox)
        self._image.set_visible(True)

    def _pixels(self, atom: NDArray[Any]) -> NDArray[np.uint8]:
        if self._canvas is None:
            self._draw(atom)
            return figure_pixels(self._figure)
        self._canvas.restore_region(self._axes)
        self._image.set_data(self._tile(atom))
        for artist in (self._image, *self._ax.spines.values()):
            self._ax.draw_artist(artist)
        return np.array(self._canvas.buffer_rgba())[..., :3]

    def _tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        with plugin_call(self._domain, "tile"):
            return np.asarray(self._domain.tile(atom))


@lru_cache(maxsize=1)
def _drawing(domain: Domain, limit: float, two: bytes) -> _Drawing:
    return _Drawing(domain, limit, *np.frombuffer(two, np.float32).reshape(2, *domain.window))


def _sound(domain: Domain, atom: NDArray[Any]) -> dict[str, Any] | None:
    """Return an atom as a sound, a few times over with pauses between; None where it is not a thing to hear."""
    with plugin_call(domain, "synthesize"):
        sound = domain.synthesize(atom)
        if sound is None:
            return None
        pause = np.zeros(round(_PAUSE_SECONDS * sound.rate), np.float32)
        once = np.concatenate([np.asarray(sound.data, np.float32), pause])
    encoded = encode_sound(np.tile(once, _REPEATS), sound.rate)
    return {"data": encoded.data, "slowed": encoded.slowed}


def most_alike(cosines: NDArray[np.float64], unit: int) -> list[tuple[int, float]]:
    """Return the units whose atoms are most like one unit's, with their cosines; the most alike first."""
    order = [int(other) for other in np.argsort(-cosines[unit], kind="stable") if other != unit]
    return [(other, round(float(cosines[unit, other]), 3)) for other in order[:_ALIKE_SHOWN]]


def by_likeness(cosines: NDArray[np.float64]) -> list[int]:
    """Return the units in an order in which neighbours are alike: the leaves of an average-linkage tree (SciPy)."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(cosines) < 3:  # noqa: PLR2004 (nothing to order)
        return list(range(len(cosines)))
    distance = np.clip(1 - (cosines + cosines.T) / 2, 0, None)
    np.fill_diagonal(distance, 0)
    return [int(unit) for unit in leaves_list(linkage(squareform(distance, checks=False), "average"))]


def map_positions(cosines: NDArray[np.float64]) -> tuple[list[tuple[int, int]], int]:
    """Return the position (row, column) of each unit on a map where similar units are neighbours; and its columns.

    t-SNE (scikit-learn) places the units in a plane by their cosine distances. The assignment of units to cells of a
    grid with the least sum of squared distances (Kuhn 1955, by SciPy) gives the positions.
    """
    from scipy.optimize import linear_sum_assignment

    count = len(cosines)
    columns = math.ceil(math.sqrt(1.5 * count))
    rows = -(-count // columns)
    plane = _plane(cosines)
    plane = (plane - plane.min(axis=0)) / np.maximum(np.ptp(plane, axis=0), 1e-12) * [columns - 1, rows - 1]
    cells = np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)
    ways = ((plane[:, None, ::-1] - cells[None]) ** 2).sum(axis=2)
    chosen = linear_sum_assignment(ways)[1]
    return [(int(row), int(column)) for row, column in cells[chosen]], columns


@one_blas_thread()
def _plane(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    count = len(cosines)
    if count < _FEWEST_FOR_TSNE:
        order = np.argsort(by_likeness(cosines))
        return np.stack([order, np.zeros(count)], axis=1).astype(np.float64)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    distance = np.clip(1 - (cosines + cosines.T) / 2, 0, None)
    np.fill_diagonal(distance, 0)
    start = np.linalg.eigh(cosines + cosines.T)[1][:, -2:] * 1e-4  # as PCA starts it, but of the cosines
    perplexity = min(_PERPLEXITY, (count - 1) / 3)
    how = TSNE(metric="precomputed", init=start.astype(np.float32), perplexity=perplexity, random_state=0)
    with threadpool_limits(1, user_api="openmp"):  # threads wait for each other longer than they work
        return np.asarray(how.fit_transform(distance), np.float64)
