"""Pictures of atoms and filters: one plot per unit, a mosaic with a key, plain tiles, and the notebook view of a model.

Up to 64 units are drawn on separate axes. More units are drawn as the tiles of one mosaic; a key shows the first of
them enlarged, with the axes that all tiles share.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.domain import default_settings, plugin_call
from audiosae.errors import InputError
from audiosae.features.summary import activity_of, summarise
from audiosae.system.files import MARK, replacing, write_errors
from audiosae.system.frames import html_table
from audiosae.views.media import COLOUR_NDIM

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain

Order = Literal["activity", "frequency", "index"]
SUFFIXES = (".png", ".svg", ".pdf")
_OWN_AXES = 64  # largest number of units that are drawn on separate axes
_MARK_KEYS = {".png": "Description"}  # metadata key of the mark; Creator in the other formats
_LIMIT_QUANTILE = 0.998  # of |atoms|: a few extreme pixels must not make all others pale
_SMALLEST_NUMBERED = 12.0  # points: a number would cover a smaller tile
_LARGEST_ASPECT = 4  # tiles with a larger ratio of length to thickness are thickened
_GREY = 0.75  # between the tiles of a mosaic
_DPI = 120
_COLOURS = 128  # in the palette of a small picture
_LARGEST_INCHES = 40.0


@default_settings()
def draw_atoms(
    model: Model,
    path: Path,
    *,
    show: Literal["atom", "filter"] = "atom",
    units: Sequence[int] | None = None,
    order: Order = "activity",
    columns: int | None = None,
    plain: bool = False,
    titles: Sequence[str] | None = None,
    title: str = "",
) -> list[int]:
    """Draw the atoms or filters of a model into a picture.

    Parameters
    ----------
    path
        Output file: .png, .svg or .pdf.
    show
        ``atom`` for the patterns, ``filter`` for the inputs to which the units respond most.
    units
        Units to draw; all in `order` when not given.
    order
        ``activity`` (most active first), ``frequency`` (the domain's own order, such as centroid frequency), ``index``.
    columns
        Columns of the mosaic; chosen by the shape of the tiles when not given.
    plain
        Draw tiles without axes, each scaled to its own range.
    titles
        Titles of the units that are drawn on separate axes; their numbers when not given.
    title
        Title of the picture; a description of its content when not given.

    Returns
    -------
    list of int
        The units drawn, row by row.

    Raises
    ------
    InputError
        Unknown suffix, a unit outside the model, an order that the domain does not have, or an unwritable file.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: cannot draw {path.suffix or 'a file without a suffix'}; wanted {', '.join(SUFFIXES)}"
        )
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
    chosen = atoms[_chosen(model, atoms, None, "activity")[:count]]
    limit = colour_limit(chosen)
    tiles = [tile_of(model.domain, atom) for atom in chosen]
    rows, columns = tiles[0].shape[:2]
    picture = _mosaic(tiles, min(len(tiles), max(1, round(math.sqrt(1.6 * len(tiles) * rows / columns)))), limit)
    if picture.ndim < COLOUR_NDIM:
        coloured = colormaps[model.domain.colours](np.clip((picture + limit) / (2 * limit), 0, 1))
        coloured[np.isnan(picture)] = _GREY
        picture = coloured[..., :3]
    scale = max(1, round(width / picture.shape[1]))
    large = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    file = io.BytesIO()
    Image.fromarray(large).quantize(_COLOURS).save(file, "png", optimize=True)  # a palette takes a third of the bytes
    return file.getvalue()


def _chosen(model: Model, atoms: NDArray[Any], units: Sequence[int] | None, order: Order) -> list[int]:
    if units is not None:
        if not units or any(not 0 <= unit < len(atoms) for unit in units):
            raise InputError(f"--units {','.join(map(str, units))}: wanted units from 0 to {len(atoms) - 1}")
        return list(units)
    keys = -model.rho_hat if order == "activity" else np.arange(len(atoms))
    if order == "frequency":
        with plugin_call(model.domain, "centre"):
            keys = np.array([model.domain.centre(atom) for atom in atoms], float)  # None becomes NaN
        if not np.isfinite(keys).all():
            raise InputError(
                f"--order frequency: {model.domain.name} has no frequency to order by; use activity or index"
            )
    return [int(unit) for unit in np.argsort(keys, kind="stable")]


def tile_of(domain: Domain, atom: NDArray[Any]) -> NDArray[Any]:
    """Return an atom as an image (rows, columns[, 3]); very long tiles are thickened to remain visible in a mosaic."""
    with plugin_call(domain, "tile"):
        tile = np.atleast_2d(np.asarray(domain.tile(atom), np.float64))
        if not (tile.ndim < COLOUR_NDIM or tile.shape[2:] == (3,)) or not tile.size:
            raise ValueError(f"a tile must be (rows, columns) or (rows, columns, 3), not {tile.shape}")
    rows, columns = tile.shape[:2]
    thick = tile.repeat(max(1, columns // (_LARGEST_ASPECT * rows)), axis=0)
    return thick.repeat(max(1, rows // (_LARGEST_ASPECT * columns)), axis=1)


def _columns(count: int, domain: Domain, atoms: NDArray[Any]) -> int:
    """Return the number of columns that makes the picture a little wider than high, with few empty cells."""
    rows, columns = tile_of(domain, atoms[0]).shape[:2]
    shape = 1.0 if count <= _OWN_AXES else rows / columns
    ideal = max(1, min(count, round(math.sqrt(count * 1.5 * shape))))
    candidates = range(max(1, ideal - ideal // 4), ideal + ideal // 4 + 1)
    return min(candidates, key=lambda c: (-(-count // c) * c - count, abs(c - ideal)))


def colour_limit(atoms: NDArray[Any]) -> float:
    """Return the value at the end of the colour scale that several atoms share."""
    return float(np.quantile(np.abs(atoms), _LIMIT_QUANTILE)) or 1.0


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches, at most 40."""
    from matplotlib.figure import Figure

    return Figure((min(width, _LARGEST_INCHES), min(height, _LARGEST_INCHES)), dpi=_DPI, layout="constrained")


def _with_axes(
    model: Model, atoms: NDArray[Any], chosen: list[int], columns: int, title: str, *, titles: Sequence[str] | None
) -> Figure:
    rows = -(-len(chosen) // columns)
    figure = new_figure(1.2 + 1.25 * columns, 1.1 + 1.35 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)  # shared axes would take time quadratic in their number
    limit = colour_limit(atoms[chosen])
    for ax in axes.flat[len(chosen) :]:
        ax.set_visible(False)
    for number, (unit, ax) in enumerate(zip(chosen, axes.flat, strict=False)):
        with plugin_call(model.domain, "draw"):
            model.domain.draw(atoms[unit], ax, limit=limit)
        ax.set_title(titles[number].replace("$", r"\$") if titles else f"{unit}", fontsize=8, pad=2)
        ax.tick_params(labelsize=7)
        ax.xaxis.set_visible(number + columns >= len(chosen))
        ax.yaxis.set_visible(number % columns == 0)
    _unify_limits([*axes.flat[: len(chosen)]])
    figure.suptitle(textwrap.fill(title, max(12, int(9 * figure.get_figwidth()))), fontsize=10)
    if any(image.get_array().ndim < COLOUR_NDIM for image in axes[0, 0].images):  # curves and colours have no scale
        _draw_scale(figure, axes.ravel().tolist(), limit, model.domain.colours)
    return figure


def _unify_limits(axes: Sequence[Axes]) -> None:
    for name in ("xlim", "ylim"):
        limits = [getattr(ax, f"get_{name}")() for ax in axes]
        if len(set(limits)) > 1:
            ends = (np.min(limits), np.max(limits))
            for ax in axes:
                ax.set(**{name: ends if limits[0][0] < limits[0][1] else ends[::-1]})


def _mosaic_with_key(model: Model, atoms: NDArray[Any], chosen: list[int], columns: int, show: str) -> Figure:
    limit = colour_limit(atoms[chosen])
    tiles = [tile_of(model.domain, atom) for atom in atoms[chosen]]
    picture = _mosaic(tiles, columns, limit)
    rows_pixels, columns_pixels = picture.shape[:2]
    width = max(9.0, columns_pixels / 60)
    figure = new_figure(width + 3.2, max(4.5, width * rows_pixels / columns_pixels) + 0.6)
    axes = figure.subplot_mosaic([["key", "all"], [".", "all"]], width_ratios=[2.4, width], height_ratios=[1, 1])
    key, ax = axes["key"], axes["all"]
    key.set_anchor("N")
    with plugin_call(model.domain, "draw"):
        model.domain.draw(atoms[chosen[0]], key, limit=limit)
    caption = "the axes of every tile" if key.images else "drawn in full"
    key.set_title(f"unit {chosen[0]}, the first tile:\n{caption}", fontsize=9)
    ax.imshow(picture, cmap=model.domain.colours, vmin=-limit, vmax=limit, interpolation="nearest")
    _number_tiles(ax, chosen, columns, picture.shape, width)
    pitch, rows = tiles[0].shape[0] + 1, -(-len(chosen) // columns)
    labelled = range(0, rows, max(1, rows // 24))
    ax.set_yticks(
        [pitch * row + pitch / 2 for row in labelled], [str(row * columns + 1) for row in labelled], fontsize=7
    )
    ax.set_xticks([])
    ax.set_ylabel("rank of the first tile in the row", fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(_title(model, chosen, show), fontsize=10)
    if picture.ndim < COLOUR_NDIM and key.images:
        _draw_scale(figure, [key], limit, model.domain.colours)
    return figure


def _number_tiles(ax: Axes, chosen: list[int], columns: int, shape: tuple[int, ...], inches: float) -> None:
    """Write the number of each unit, as in --units, into the corner of its tile, unless tiles are too small."""
    rows = -(-len(chosen) // columns)
    width, height = (shape[1] - 1) / columns, (shape[0] - 1) / rows
    points_per_pixel = 72 * inches / shape[1]
    if min(width, height) * points_per_pixel < _SMALLEST_NUMBERED:
        return
    for number, unit in enumerate(chosen):
        row, column = divmod(number, columns)
        # The layout need not measure the numbers: they are inside the axes.
        ax.text(column * width + 1, row * height + 1, str(unit), fontsize=4.5, va="top", in_layout=False)


def _plain(domain: Domain, atoms: NDArray[Any], columns: int) -> Figure:
    """Draw tiles without axes, each divided by its own largest absolute value, as in the UFLDL notes."""
    tiles = [tile_of(domain, atom) for atom in atoms]
    scaled = [tile if tile.ndim == COLOUR_NDIM else tile / (np.nanmax(np.abs(tile)) or 1.0) for tile in tiles]
    picture = _mosaic(scaled, columns, 1.0)
    scale = max(1, round(900 / max(picture.shape[:2])))
    figure = new_figure(picture.shape[1] * scale / _DPI, picture.shape[0] * scale / _DPI)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(picture, cmap="gray", vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    return figure


def _mosaic(tiles: list[NDArray[Any]], columns: int, limit: float) -> NDArray[Any]:
    height, width, *colours = tiles[0].shape
    rows = -(-len(tiles) // columns)
    line_value = _GREY if colours else -limit * 0.999 if limit == 1.0 else np.nan
    picture = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, *colours), line_value)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * (height + 1) + 1, column * (width + 1) + 1
        picture[top : top + height, left : left + width] = tile
    return picture


def _title(model: Model, chosen: list[int], show: str) -> str:
    pattern = "atoms (patterns)" if show == "atom" else "filters (what units respond to)"
    return f"{len(chosen)} of {len(model.rho_hat)} {pattern}, {model.domain.name}"


def _draw_scale(figure: Figure, axes: list[Any], limit: float, colours: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(Normalize(-limit, limit), colours)
    options: dict[str, Any] = {"location": "bottom"} if len(axes) == 1 else {"shrink": 0.7, "pad": 0.02}
    bar = figure.colorbar(mappable, ax=axes, extend="both", **options)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("less than the mean \N{LEFT RIGHT ARROW} more", fontsize=7)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its suffix, with audiosae's mark in its metadata."""
    suffix = path.suffix.lower()
    with warnings.catch_warnings(), write_errors(path), replacing(path) as temporary:
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of names in scripts that the font lacks
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(
                figure
            )  # savefig would draw everything a second time for the layout, or for "none" in its place
            figure.set_layout_engine(None)
        figure.savefig(temporary, format=suffix[1:], metadata={_MARK_KEYS.get(suffix, "Creator"): MARK})


def notebook_html(model: Model) -> str:
    """Return the HTML by which a notebook shows a model: its description and its most active atoms."""
    picture = base64.b64encode(small_picture(model)).decode()
    alt = f"atoms of {model.params.hidden} units, the most active first"
    image = f'<img alt="{alt}" title="{alt}" src="data:image/png;base64,{picture}">'
    return html_table(summarise(model, activity_of(model))) + image
