"""Pictures of what was learned: atoms on the domain's own axes, as plain tiles, and the history of a run.

Up to 64 units each atom has its own axes. Above, atoms are tiles of one mosaic and a key shows one of them large with
the axes that all share.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.domain import default_settings, plugin_call
from audiosae.errors import InputError
from audiosae.features.summary import activity_of, summarise
from audiosae.system.files import MARK, replacing, write_errors
from audiosae.system.frames import html_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain

Order = Literal["activity", "frequency", "index"]
SUFFIXES = (".png", ".svg", ".pdf")
_OWN_AXES = 64
_MARKED = {".png": "Description"}  # what the mark is called in a file; Creator in the others
_LIMIT_QUANTILE = 0.998  # of |atoms|: a few extreme pixels must not pale all others
_ROOM = 12.0  # points; in smaller tiles a number would hide the tile
_SLIVER = 4  # a tile more oblong than this is thickened
_GREY = 0.75  # between the tiles of a mosaic
_DPI = 120
_COLOURS = 128  # of a small picture
_LARGEST_INCHES = 40.0


@default_settings()
def draw_atoms(
    model: Model, path: Path, *, show: Literal["atom", "filter"] = "atom", units: Sequence[int] | None = None,
    order: Order = "activity", columns: int | None = None, plain: bool = False,
    titles: Sequence[str] | None = None, title: str = "",
) -> list[int]:  # fmt: skip
    """Draw atoms or filters into a picture.

    Parameters
    ----------
    path
        .png, .svg or .pdf.
    show, units
        Patterns (``atom``) or what units respond to most (``filter``); of which, or of all in `order`.
    order
        ``activity`` (most active first), ``frequency`` (the domain's own order, such as centroid frequency), ``index``.
    columns, plain
        Of the mosaic, chosen when not given; tiles only, each stretched to its own range, without axes.
    titles
        Of the units named, where they have axes of their own; their numbers when not given.

    Returns
    -------
    list of int
        The units drawn, row by row.

    Raises
    ------
    InputError
        Another suffix, a unit that is not there, an order that this domain does not have, an unwritable file.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: cannot draw {path.suffix or 'a file without suffix'}; wanted {', '.join(SUFFIXES)}")
    atoms = model.atoms() if show == "atom" else model.filters()
    chosen = _chosen(model, atoms, units, order)
    columns = min(columns or _columns(len(chosen), model.domain, atoms), len(chosen))
    if plain:
        figure = _plain(model.domain, atoms[chosen], columns)
    elif len(chosen) <= _OWN_AXES:
        figure = _with_axes(model, atoms, chosen, columns, title or _title(model, chosen, show), titles=titles)
    else:
        figure = _mosaic_with_key(model, atoms, chosen, columns, show)
    save_figure(figure, path)
    return chosen


def small_picture(model: Model, *, count: int = 64, width: int = 640) -> bytes:
    """Return a mosaic of at most `count` atoms, the most active first, as a small PNG of about `width` pixels."""
    from matplotlib import colormaps
    from PIL import Image

    atoms = model.atoms()
    chosen = _chosen(model, atoms, None, "activity")[:count]
    limit = colour_limit(atoms[chosen])
    tiles = [tile_of(model.domain, atom) for atom in atoms[chosen]]
    high, wide = tiles[0].shape[:2]
    columns = min(len(chosen), max(1, round(math.sqrt(1.6 * len(chosen) * high / wide))))
    picture = _mosaic(tiles, columns, limit)
    if picture.ndim == 2:  # noqa: PLR2004 (a colour tile is a finished picture)
        shown = colormaps[model.domain.colours](np.clip((picture + limit) / (2 * limit), 0, 1))
        shown[np.isnan(picture)] = _GREY
        picture = shown[..., :3]
    scale = max(1, round(width / picture.shape[1]))
    large = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    out = io.BytesIO()
    Image.fromarray(large).quantize(_COLOURS).save(out, "png", optimize=True)  # a third of the bytes
    return out.getvalue()


def _chosen(model: Model, atoms: NDArray[Any], units: Sequence[int] | None, order: Order) -> list[int]:
    if units is not None:
        wrong = [unit for unit in units if not 0 <= unit < len(atoms)]
        if wrong or not units:
            raise InputError(f"--units {','.join(map(str, units))}: wanted units from 0 to {len(atoms) - 1}")
        return list(units)
    if order == "index":
        return list(range(len(atoms)))
    if order == "activity":
        return [int(unit) for unit in np.argsort(-model.rho_hat, kind="stable")]
    with plugin_call(model.domain, "centre"):
        centres = [model.domain.centre(atom) for atom in atoms]
        unordered = any(centre is None or not math.isfinite(centre) for centre in centres)
    if unordered:
        raise InputError(f"--order frequency: {model.domain.name} has no frequency to order by; try activity or index")
    return [int(unit) for unit in np.argsort(np.array(centres, float), kind="stable")]


def tile_of(domain: Domain, atom: NDArray[Any]) -> NDArray[Any]:
    """Return an atom as (rows, columns[, 3]); slivers are made thick enough to be seen beside the lines between."""
    with plugin_call(domain, "tile"):
        tile = np.atleast_2d(np.asarray(domain.tile(atom), np.float64))
        if not (tile.ndim == 2 or tile.shape[2:] == (3,)) or not tile.size:  # noqa: PLR2004
            raise ValueError(f"a tile must be (rows, columns) or (rows, columns, 3), not {tile.shape}")
    high, wide = tile.shape[:2]
    thick = tile.repeat(max(1, wide // (_SLIVER * high)), axis=0)
    return thick.repeat(max(1, high // (_SLIVER * wide)), axis=1)


def _columns(count: int, domain: Domain, atoms: NDArray[Any]) -> int:
    """Return a number of columns that makes the picture a little wider than high."""
    rows, columns = tile_of(domain, atoms[0]).shape[:2]
    shape = 1.0 if count <= _OWN_AXES else rows / columns
    wanted = max(1, min(count, round(math.sqrt(count * 1.5 * shape))))
    near = range(max(1, wanted - wanted // 4), wanted + wanted // 4 + 1)
    return min(near, key=lambda c: (-(-count // c) * c - count, abs(c - wanted)))  # few empty places


def colour_limit(atoms: NDArray[Any]) -> float:
    """Return the value at the end of the colour scale that all of some atoms share."""
    return float(np.quantile(np.abs(atoms), _LIMIT_QUANTILE)) or 1.0


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches, or of the largest that makes sense."""
    from matplotlib.figure import Figure

    size = (min(width, _LARGEST_INCHES), min(height, _LARGEST_INCHES))
    return Figure(figsize=size, dpi=_DPI, layout="constrained")


def _with_axes(
    model: Model, atoms: NDArray[Any], chosen: list[int], columns: int, title: str, *, titles: Sequence[str] | None
) -> Figure:
    """Draw each atom on its own axes, with labels at the left and at the bottom."""
    rows = -(-len(chosen) // columns)
    figure = new_figure(1.2 + 1.25 * columns, 1.1 + 1.35 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)  # sharing axes takes time with the square of their number
    limit = colour_limit(atoms[chosen])
    for number, ax in enumerate(axes.flat):
        if number >= len(chosen):
            ax.set_visible(False)
            continue
        unit = chosen[number]
        with plugin_call(model.domain, "draw"):
            model.domain.draw(atoms[unit], ax, limit=limit)
        ax.set_title(titles[number].replace("$", r"\$") if titles else f"{unit}", fontsize=8, pad=2)
        ax.tick_params(labelsize=7)
        ax.xaxis.set_visible(number + columns >= len(chosen))
        ax.yaxis.set_visible(number % columns == 0)
    _alike([*axes.flat[: len(chosen)]])
    title = textwrap.fill(title, max(12, int(9 * figure.get_figwidth())))
    figure.suptitle(title, fontsize=10)
    if any(image.get_array().ndim == 2 for image in axes[0, 0].images):  # noqa: PLR2004 (curves, colours need no scale)
        _scale(figure, axes.ravel().tolist(), limit, model.domain.colours)
    return figure


def _alike(axes: Sequence[Any]) -> None:
    """Give axes the same limits where they differ: those of all together."""
    for name in ("xlim", "ylim"):
        limits = [getattr(ax, f"get_{name}")() for ax in axes]
        if len(set(limits)) > 1:
            ends = (np.min(limits), np.max(limits))
            for ax in axes:
                ax.set(**{name: ends if limits[0][0] < limits[0][1] else ends[::-1]})


def _mosaic_with_key(model: Model, atoms: NDArray[Any], chosen: list[int], columns: int, show: str) -> Figure:
    """Draw one mosaic, and one atom large as the key to the axes of all."""
    limit = colour_limit(atoms[chosen])
    picture = _mosaic([tile_of(model.domain, atom) for atom in atoms[chosen]], columns, limit)
    high, wide = picture.shape[:2]
    width = max(9.0, wide / 60)
    figure = new_figure(width + 3.2, max(4.5, width * high / wide) + 0.6)
    axes = figure.subplot_mosaic([["key", "all"], [".", "all"]], width_ratios=[2.4, width], height_ratios=[1, 1])
    key, ax = axes["key"], axes["all"]
    key.set_anchor("N")
    with plugin_call(model.domain, "draw"):
        model.domain.draw(atoms[chosen[0]], key, limit=limit)
    same = "the axes of every tile" if key.images else "drawn in full"
    key.set_title(f"unit {chosen[0]}, the first tile:\n{same}", fontsize=9)
    ax.imshow(picture, cmap=model.domain.colours, vmin=-limit, vmax=limit, interpolation="nearest")
    _number_tiles(ax, chosen, columns, picture.shape, width)
    _number_rows(ax, tile_of(model.domain, atoms[0]).shape[0] + 1, columns, len(chosen))
    ax.set_title(_title(model, chosen, show), fontsize=10)
    if picture.ndim == 2 and key.images:  # noqa: PLR2004
        _scale(figure, [key], limit, model.domain.colours)
    return figure


def _number_tiles(ax: Any, chosen: list[int], columns: int, shape: tuple[int, ...], inches: float) -> None:  # noqa: ANN401
    """Write each unit's number into the corner of its tile, where there is room: --units wants them."""
    rows = -(-len(chosen) // columns)
    wide, high = (shape[1] - 1) / columns, (shape[0] - 1) / rows
    points = 72 * inches / shape[1]  # of a pixel of the picture
    if min(wide, high) * points < _ROOM:
        return
    for number, unit in enumerate(chosen):
        at = (number % columns * wide + 1, number // columns * high + 1)
        ax.text(*at, str(unit), fontsize=4.5, va="top", in_layout=False)  # they are inside, whatever the layout


def _number_rows(ax: Any, pitch: int, columns: int, count: int) -> None:  # noqa: ANN401
    """Write the rank of the first tile beside each row, as far as there is room."""
    rows = -(-count // columns)
    shown = range(0, rows, max(1, rows // 24))
    ax.set_yticks([pitch * row + pitch / 2 for row in shown], [str(row * columns + 1) for row in shown], fontsize=7)
    ax.set_xticks([])
    ax.set_ylabel("rank of the first tile in the row", fontsize=8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _plain(domain: Domain, atoms: NDArray[Any], columns: int) -> Figure:
    """Draw tiles alone, each divided by its own largest value, as in the UFLDL notes."""
    tiles = [_stretched(tile_of(domain, atom)) for atom in atoms]
    picture = _mosaic(tiles, columns, 1.0)
    scale = max(1, round(900 / max(picture.shape[:2])))
    figure = new_figure(picture.shape[1] * scale / _DPI, picture.shape[0] * scale / _DPI)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(picture, cmap="gray", vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    return figure


def _stretched(tile: NDArray[Any]) -> NDArray[Any]:
    if tile.ndim == 3:  # noqa: PLR2004 (a colour tile is a finished picture)
        return tile
    return tile / (np.abs(tile).max() or 1.0)


def _mosaic(tiles: list[NDArray[Any]], columns: int, limit: float) -> NDArray[Any]:
    """Put tiles side by side with lines of one pixel between them."""
    high, wide, *colours = tiles[0].shape
    rows = -(-len(tiles) // columns)
    empty = _GREY if colours else -limit * 0.999 if limit == 1.0 else np.nan
    picture = np.full((rows * (high + 1) + 1, columns * (wide + 1) + 1, *colours), empty)
    for number, tile in enumerate(tiles):
        top, left = divmod(number, columns)
        top, left = top * (high + 1) + 1, left * (wide + 1) + 1
        picture[top : top + high, left : left + wide] = tile
    return picture


def _title(model: Model, chosen: list[int], show: str) -> str:
    what = "atoms (patterns)" if show == "atom" else "filters (what units respond to)"
    return f"{len(chosen)} of {len(model.rho_hat)} {what}, {model.domain.name}"


def _scale(figure: Figure, axes: list[Any], limit: float, colours: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(Normalize(-limit, limit), colours)
    below = len(axes) == 1
    place: dict[str, Any] = {"location": "bottom"} if below else {"shrink": 0.7, "pad": 0.02}
    bar = figure.colorbar(mappable, ax=axes, extend="both", **place)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("less than the mean \N{LEFT RIGHT ARROW} more", fontsize=7)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its suffix, marked as made here."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)  # savefig would draw everything once more to lay it out
        figure.set_layout_engine("none")
    suffix = path.suffix.lower()
    with write_errors(path), replacing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata={_MARKED.get(suffix, "Creator"): MARK})


def notebook_html(model: Model) -> str:
    """Return the description of a model and its most active atoms as a notebook shows them."""
    picture = base64.b64encode(small_picture(model)).decode()
    alt = f"atoms of {model.params.hidden} units, the most active first"
    image = f'<img alt="{alt}" title="{alt}" src="data:image/png;base64,{picture}">'
    return html_table(summarise(model, activity_of(model))) + image
