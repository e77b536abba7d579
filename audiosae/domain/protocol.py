"""Base class of domains, with the defaults of its methods, and the classes of the values that they return."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

Kind = Literal["sound", "picture", "rows"]
SECONDS = "s"  # the unit of lengths that are shown as times, and that are added to dates
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Blocks = Iterable[NDArray[np.float32]] | Generator[NDArray[np.float32], None, str | None]
"""A field in blocks along axis 0; a generator may return a note on a source that can be used only in part."""

BLANK = "stretches without content (digital zeros), which are left out of levels, training and pooled features"
"""Remark on a source with rows that `Domain.blank` returns."""

_CURVES = 8  # columns of an atom that are drawn as curves; more are drawn as a picture


@dataclass(frozen=True)
class Span:
    """Position of a window in its source.

    Attributes
    ----------
    start, end
        One number per axis along which windows slide, in `unit`: ``(1.2,)`` seconds, ``(40, 12)`` pixels.
    unit
        ``"s"``, ``"px"``, ``"row"``, ...
    """

    start: tuple[float, ...]
    end: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class Excerpt:
    """Piece of a source, or an atom, to play or to draw.

    Attributes
    ----------
    data
        Samples in [-1, 1] of shape (frames,) for a sound; (rows, columns[, 3]), usually in [0, 1], for a picture; rows
        for vectors.
    kind
        ``sound`` to be played; ``picture`` or ``rows`` to be drawn.
    rate
        Samples per second of a sound, 0 otherwise.
    """

    data: NDArray[np.float32]
    kind: Kind
    rate: int = 0


@dataclass(frozen=True)
class Probe:
    """Properties of a source that are read from its header, without decoding it.

    Attributes
    ----------
    extent
        Length along the first axis, in the domain's unit.
    rows, columns
        Estimated lengths of the first and second axes of the field; `columns` 0 stands for the width of a window.
    facts
        Properties to show to the user: ``{"rate": 44100, "channels": 2, "format": "WAV/PCM_16"}``.
    remark
        How the field differs from others, such as a lower rate than the domain's; "" if it does not. Use the same words
        for the same cause, so that sources can be counted by it.
    needs
        Name of an optional package without which the source cannot be read; "" if there is none. What was read with it
        into the cache is not used where it is missing.
    """

    extent: float
    rows: int
    columns: int = 0
    facts: dict[str, Json] = field(default_factory=dict)
    remark: str = ""
    needs: str = ""


class Domain:
    """Kind of input: a base class to be subclassed as a frozen dataclass, whose fields are the options of the domain.

    `name`, `suffixes`, `window` and `field` are required. All others have defaults that suit rows of numbers. The
    options are set by ``--set`` on the command line and are stored as JSON in the model file, so their types are
    restricted to bool, int, float, str and Literal.

    Attributes
    ----------
    name
        Name of the entry point.
    suffixes
        Lower-case suffixes of the files that are searched in folders.
    missing_suffixes
        Lower-case suffixes of further files that the domain reads if a package is installed, which is not the case:
        each with the command that installs it.
    unit
        Unit of spans: ``"row"``, ``"s"``, ``"px"``; independent of `kind`.
    kind
        Kind of the sources: ``"sound"`` is played, ``"picture"`` is shown, ``"rows"`` are numbers.
    colours
        Name of a diverging colour map of matplotlib, with zero in the middle.
    defaults
        Training options that suit this kind of input; used for options that the user does not give.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    missing_suffixes: ClassVar[Mapping[str, str]] = {}
    unit: ClassVar[str] = "row"
    kind: ClassVar[Kind] = "rows"
    colours: ClassVar[str] = "RdBu_r"
    defaults: ClassVar[Mapping[str, Json]] = {}

    @property
    def window(self) -> tuple[int, ...]:
        """Shape of a window in a field; a window spans all axes after the second."""
        raise NotImplementedError

    @property
    def stride(self) -> tuple[int, ...]:
        """Step between windows along each axis; by default an eighth of the window along axis 0, else all of it."""
        return max(1, self.window[0] // 8), *self.window[1:]

    @property
    def crops(self) -> tuple[tuple[slice, ...], ...]:
        """Two parts of a window, a slice per axis, for half of the units each; () if all see whole windows.

        Each half is learned on windows of its own, see `of_crop`. The second part is the whole window, and both have
        one centre.
        """
        return ()

    def of_crop(self, number: int) -> Self:
        """Return the domain whose windows are the crop of this number; its fields are those of this domain."""
        raise NotImplementedError

    @property
    def resolution(self) -> float:
        """Largest step to which values may be rounded in the cache, such as 0.3 dB; 0, the default, for exact values.

        A field with at most 256 steps between its extremes takes one byte per value there, with 65,536 two.
        """
        return 0.0

    @property
    def stretch(self) -> int:
        """Rows of a stretch that `part` reads; 0, the default, if sources are read as a whole only.

        From archives with more than ``--max-windows``, training then reads such stretches instead of whole sources.
        """
        return 0

    def resolve(self, paths: Sequence[Path]) -> Self:  # noqa: ARG002
        """Return this domain with undetermined options, such as a sample rate of 0, determined from the sources."""
        return self

    def probe(self, path: Path) -> Probe | None:
        """Return the properties of a source from its header; None if they are known only after decoding.

        Raises InputError if the source is not readable.
        """

    def glance(self, path: Path) -> str:  # noqa: ARG002
        """Return a warning on the content of a source and what to do about it, from a small part; "" for none.

        ``audiosae inspect`` calls it for a few sources, so it may decode seconds, not hours. Use the same words for the
        same cause. Raises InputError if the source cannot be decoded.
        """
        return ""

    def compare(self, paths: Sequence[Path]) -> Sequence[str]:  # noqa: ARG002
        """Return warnings on differences between sources that features would show, from at most a few hundred files.

        It is called on a resolved domain. Broken files are skipped.
        """
        return ()

    def field(self, path: Path) -> Blocks:
        """Return or yield the field of one source in blocks along axis 0, in bounded memory.

        A generator may end with ``return note`` if a source can be used only in part; `note` is the reason
        (``"truncated at 12.4 s"``). Raises InputError with a reason if the source cannot be used.
        """
        raise NotImplementedError

    def part(self, path: Path, low: int, high: int) -> Blocks:
        """Return or yield the rows `low` to below `high` of the field of one source, without reading all of it.

        It is needed if `stretch` is not 0. What needs the whole source, such as its level, `finish` then estimates from
        the stretches. There may be fewer rows at the end of a source. Raises InputError as `field` does.
        """
        raise NotImplementedError

    def blank(self, field: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Return which rows have no content, such as digital zeros; None if all have some.

        It is called before `finish`. Windows with blank rows are neither trained on nor pooled. Windows that hold all
        of a piece between blank rows that is shorter than a window are used.

        Parameters
        ----------
        field
            The whole field; a large one is memory-mapped, so process it in blocks.
        """

    def finish(self, field: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
        """Process the whole field in place (for example, subtract its level), and return the rows to train on.

        Parameters
        ----------
        field
            The whole field; a large one is memory-mapped, so process it in blocks.

        Returns
        -------
        sequence of (start, stop)
            Ascending row ranges along axis 0. A window is used for training if it lies in one of them; no window may
            lie in two.
        """
        return [(0, field.shape[0])]

    def stands_out(self, field: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Return which rows of a field show more than background, such as sounds; None if that means nothing here.

        With ``train --sample events``, most of the training windows are taken from there.

        Parameters
        ----------
        field
            The whole field after `finish`; a large one is memory-mapped, so process it in blocks.
        """

    def span(self, path: Path, start: tuple[int, ...]) -> Span:  # noqa: ARG002
        """Return the position in the source of the window that begins at `start` (an index per axis of the field)."""
        return Span((start[0],), (start[0] + self.window[0],), self.unit)

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Return an atom of shape `window` as a picture: (rows, columns) or (rows, columns, 3), first row on top.

        By default axis 0 of the field runs to the right; an atom of one row is not turned.
        """
        table = _table(atom)
        return table if len(table) == 1 else table.T

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw an atom of shape `window` with labelled axes; `limit` is the value at the end of the colour scale.

        By default one curve per column over the rows of the window, or the tile if there are more than eight columns.
        """
        table = _table(atom)
        curves = table.T if len(table) == 1 else table
        if curves.shape[1] > _CURVES:
            ax.imshow(self.tile(atom), cmap=self.colours, vmin=-limit, vmax=limit, aspect="auto")
            ax.set(xlabel="row", ylabel="column")
        else:
            ax.plot(curves)
            ax.set(ylim=(-1.5 * limit, 1.5 * limit), xlabel="column" if len(table) == 1 else "row")

    def excerpt(self, path: Path, span: Span) -> Excerpt:
        """Return a piece of a source: sound, picture or rows.

        By default the rows of `field` in the span, in any unit that is proportional to the rows.
        """
        rest = (0,) * (len(self.window) - 1)
        first, second = (self.span(path, (row, *rest)).start[0] for row in (0, 1))
        low, high = (round((edge - first) / (second - first)) for edge in (span.start[0], span.end[0]))
        return Excerpt(_rows(self.field(path), max(0, low), high), "rows")

    def synthesize(self, atom: NDArray[Any]) -> Excerpt | None:
        """Return an atom of shape `window` as a sound; None if the domain has no sounds."""

    def centre(self, atom: NDArray[Any]) -> float | None:
        """Return a number to order atoms by, such as the centroid frequency in Hz; None if there is none."""

    def measures(self, atom: NDArray[Any]) -> Mapping[str, float]:
        """Return the numbers that a report shows for an atom, with units: ``{"bandwidth (Hz)": 410.0}``."""
        centre = self.centre(atom)
        return {} if centre is None else {"centre": centre}

    def scene(self, piece: NDArray[Any]) -> NDArray[Any] | None:
        """Return a piece of a field that is longer than a window as a picture, as `tile` does; None if there is none.

        If windows slide along one axis, it runs to the right; if they slide along two, the first runs down.
        """


def _table(atom: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(atom).reshape(len(atom), -1)


def _rows(blocks: Blocks, low: int, high: int) -> NDArray[np.float32]:
    """Return rows `low` to below `high` of a field."""
    pieces = [np.array(part, np.float32) for part in between(blocks, low, high)]
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def between(blocks: Blocks, low: int, high: int) -> Iterator[NDArray[np.float32]]:
    """Yield rows `low` to below `high` of consecutive blocks; blocks after the last of them are not read."""
    first = 0
    for block in blocks:
        yield block[max(0, low - first) : max(0, high - first)]
        first += len(block)
        if first >= high:
            break
