"""Units of a page: tile, atom on axes, sound and measures of each; similarity order and positions on a map."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import default_settings, plugin_call
from audiosae.errors import PluginError
from audiosae.system.processes import run_in_order
from audiosae.system.threads import one_blas_thread
from audiosae.views.atoms import colour_limit, new_figure, tile_of
from audiosae.views.media import encode_sound, figure_pixels, pixels_png, tile_png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain

_FIGURE_INCHES = (3.4, 2.5)
_EDGE = 80  # of 255: lines at the edge of a tile are blended differently when they are drawn one by one
_REPEATS, _PAUSE_SECONDS = 3, 0.25  # an atom of a sixth of a second is hard to hear if played once
_UNITS_PER_WORKER = 64  # a process takes longer to start than to draw fewer
_SIMILAR_SHOWN = 6
_FEWEST_TO_ORDER = 3
_FEWEST_FOR_TSNE = 8
_PERPLEXITY = 15.0


@dataclass(frozen=True)
class _Job:
    """One unit to draw; two atoms determine the layout of every figure, whichever process draws it."""

    domain: Domain
    atom: NDArray[np.float32]
    layout_atoms: bytes
    limit: float


def show_units(
    model: Model, *, units: Sequence[int] | None = None, workers: int = 1, done: Callable[[], None] = lambda: None
) -> Iterator[dict[str, Any]]:
    """Yield the data that a page shows of each unit, except its activity on sources.

    With several workers the next units are drawn while the caller works on other things.

    Parameters
    ----------
    units
        Numbers of the units; all when not given.
    workers
        Largest number of processes that draw; the result does not depend on it.
    done
        Called after each unit.

    Yields
    ------
    dict
        unit, tile and figure (PNG), sound (None if the domain has no sounds), measures, rho_hat, dead.
    """
    atoms, dead = model.atoms(), model.dead
    limit, layout_atoms = colour_limit(atoms), atoms[[0, -1]].tobytes()
    units = range(len(atoms)) if units is None else units
    jobs = [_Job(model.domain, atoms[unit], layout_atoms, limit) for unit in units]
    workers = min(workers, -(-len(jobs) // _UNITS_PER_WORKER))
    drawn = map(_draw_unit, jobs) if workers == 1 else run_in_order(_draw_unit, jobs, workers=workers, crashed=_crashed)
    for unit, parts in zip(units, drawn, strict=True):
        done()
        yield parts | {"unit": unit, "rho_hat": float(model.rho_hat[unit]), "dead": bool(dead[unit])}


@default_settings()
def _draw_unit(job: _Job) -> dict[str, Any]:
    domain, atom = job.domain, job.atom
    with plugin_call(domain, "measures"):
        measures = domain.measures(atom)
        if not all(map(math.isfinite, measures.values())):
            raise ValueError(f"wanted finite numbers, not {measures}")
        measures = {str(key): float(value) for key, value in measures.items()}
    return {
        "tile": tile_png(tile_of(domain, atom), job.limit, domain.colours),
        "figure": pixels_png(_drawing(domain, job.limit, job.layout_atoms).pixels(atom)),
        "sound": _sound(domain, atom),
        "measures": measures,
    }


def _crashed(job: _Job) -> dict[str, Any]:
    raise PluginError(f"domain {job.domain.name}: a process that drew an atom died; try --workers 1")


class _Drawing:
    """One figure for all atoms with a fixed layout: computing the layout takes longer than drawing.

    If the domain draws nothing but the atom's tile, on axes that are the same for all atoms (tested on two atoms), the
    axes are drawn once and each tile is drawn over them.
    """

    def __init__(self, domain: Domain, limit: float, first: NDArray[np.float32], last: NDArray[np.float32]) -> None:
        self._domain, self._limit = domain, limit
        self._figure = new_figure(*_FIGURE_INCHES)
        self._ax = self._figure.subplots()
        self._draw(first)
        figure_pixels(self._figure)
        self._figure.set_layout_engine("none")
        self._canvas: Any = None  # with the axes, if these are drawn once
        expected = self.pixels(last)
        self._draw(first)
        images = self._ax.images
        if len(images) == 1 and np.array_equal(np.asarray(images[0].get_array()), self._tile(first)):
            self._keep_axes()
            if (np.abs(expected.astype(int) - self.pixels(last)) > _EDGE).any():
                self._canvas = None

    def pixels(self, atom: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the figure of an atom, (height, width, 3)."""
        if self._canvas is None:
            self._draw(atom)
            return figure_pixels(self._figure)
        self._canvas.restore_region(self._axes)
        self._image.set_data(self._tile(atom))
        for artist in (self._image, *self._ax.spines.values()):
            self._ax.draw_artist(artist)
        return np.array(self._canvas.buffer_rgba())[..., :3]

    def _draw(self, atom: NDArray[Any]) -> None:
        self._ax.clear()
        with plugin_call(self._domain, "draw"):
            self._domain.draw(atom, self._ax, limit=self._limit)

    def _keep_axes(self) -> None:
        (self._image,) = self._ax.images
        self._image.set_visible(False)
        figure_pixels(self._figure)
        self._canvas = self._figure.canvas
        self._axes = self._canvas.copy_from_bbox(self._figure.bbox)
        self._image.set_visible(True)

    def _tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        with plugin_call(self._domain, "tile"):
            return np.asarray(self._domain.tile(atom))


@lru_cache(maxsize=1)
def _drawing(domain: Domain, limit: float, layout_atoms: bytes) -> _Drawing:
    return _Drawing(domain, limit, *np.frombuffer(layout_atoms, np.float32).reshape(2, *domain.window))


def _sound(domain: Domain, atom: NDArray[Any]) -> dict[str, Any] | None:
    with plugin_call(domain, "synthesize"):
        sound = domain.synthesize(atom)
        if sound is None:
            return None
        pause = np.zeros(round(_PAUSE_SECONDS * sound.rate), np.float32)
        once = np.concatenate([np.asarray(sound.data, np.float32), pause])
    return asdict(encode_sound(np.tile(once, _REPEATS), sound.rate))


def most_similar(cosines: NDArray[np.float64], unit: int) -> list[tuple[int, float]]:
    """Return the units whose atoms are most similar to the atom of one unit, with their cosines, best first."""
    order = [int(other) for other in np.argsort(-cosines[unit], kind="stable") if other != unit]
    return [(other, round(float(cosines[unit, other]), 3)) for other in order[:_SIMILAR_SHOWN]]


def similarity_order(cosines: NDArray[np.float64]) -> list[int]:
    """Return the units so that neighbours are similar: the leaves of an average-linkage tree (SciPy)."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(cosines) < _FEWEST_TO_ORDER:
        return list(range(len(cosines)))
    return list(map(int, leaves_list(linkage(squareform(_distances(cosines), checks=False), "average"))))


def _distances(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    distances = np.clip(1 - (cosines + cosines.T) / 2, 0, None)
    np.fill_diagonal(distances, 0)
    return distances


def map_positions(cosines: NDArray[np.float64]) -> tuple[list[tuple[int, int]], int]:
    """Return the (row, column) of each unit on a map where similar units are neighbours, and the number of columns.

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
    assigned = linear_sum_assignment(((plane[:, None, ::-1] - cells[None]) ** 2).sum(axis=2))[1]
    return [(int(row), int(column)) for row, column in cells[assigned]], columns


@one_blas_thread()
def _plane(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    count = len(cosines)
    if count < _FEWEST_FOR_TSNE:
        return np.stack([np.argsort(similarity_order(cosines)), np.zeros(count)], axis=1).astype(np.float64)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = np.linalg.eigh(cosines + cosines.T)[1][:, -2:] * 1e-4  # as scikit-learn scales its start by PCA
    perplexity = min(_PERPLEXITY, (count - 1) / 3)
    tsne = TSNE(metric="precomputed", init=start.astype(np.float32), perplexity=perplexity, random_state=0)
    with threadpool_limits(1, user_api="openmp"):  # more threads wait for each other longer than they work
        return np.asarray(tsne.fit_transform(_distances(cosines)), np.float64)
