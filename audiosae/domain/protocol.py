"""The base class of domains: what a kind of input is asked for, with defaults, and the values it answers with."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

Kind = Literal["sound", "picture", "rows"]
SECONDS = "s"  # the one unit that means more than its name: lengths are told as times, and dates can be counted from
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Blocks = Iterable[NDArray[np.float32]] | Generator[NDArray[np.float32], None, str | None]
"""A field in blocks along axis 0; a generator may return a note on a source that could be used only in part."""

_CURVES = 8  # columns of an atom that are drawn as curves; more are drawn as a picture


@dataclass(frozen=True)
class Span:
    """Where a window came from.

    Attributes
    ----------
    start, end
        One number per axis that the domain slides along, in `unit`: ``(1.2,)`` seconds, ``(40, 12)`` pixels.
    unit
        ``"s"``, ``"px"``, ``"row"``, ...
    """

    start: tuple[float, ...]
    end: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class Excerpt:
    """A piece of a source, or an atom, to play or to draw.

    Attributes
    ----------
    data
        Samples in [-1, 1] of shape (frames,) for a sound; (rows, columns[, 3]), usually in [0, 1], for a picture; rows
        for vectors.
    kind
        Whether it is played (``sound``) or drawn (``picture``, ``rows``).
    rate
        Samples per second of a sound, 0 otherwise.
    """

    data: NDArray[np.float32]
    kind: Kind
    rate: int = 0


@dataclass(frozen=True)
class Probe:
    """What a header says of a source, before anything is decoded.

    Attributes
    ----------
    extent
        Length along the first axis, in the domain's unit.
    rows, columns
        Estimated lengths of the field's first and second axes; 0 columns for as many as a window has.
    facts
        What a person would ask for: ``{"rate": 44100, "channels": 2, "format": "WAV/PCM_16"}``.
    remark
        What makes the source's field unlike others, such as a lower rate than the domain's; the same words for the
        same thing. "" where nothing does.
    """

    extent: float
    rows: int
    columns: int = 0
    facts: dict[str, Json] = field(default_factory=dict)
    remark: str = ""


class Domain:
    """A kind of input. Subclass it as a frozen dataclass whose fields are its options.

    Four names must be given: `name`, `suffixes`, `window` and `field`. The rest has defaults that suit rows of
    numbers. The options are also the command line's ``--set`` and the JSON in the model file, so their types are
    restricted to bool, int, float, str and Literal.

    Attributes
    ----------
    name
        The name of the entry point.
    suffixes
        Lower-case file suffixes that are looked for in folders.
    unit
        Unit of spans: ``"row"``, ``"s"``, ``"px"``; it says nothing of the kind.
    kind
        What sources are: sound, that is played; pictures, that are seen; rows of numbers, that are neither.
    colours
        Matplotlib's name of the colour map that shows values from less to more, zero in the middle.
    defaults
        Training options that suit this kind of input; they apply where the user gives none.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    unit: ClassVar[str] = "row"
    kind: ClassVar[Kind] = "rows"
    colours: ClassVar[str] = "RdBu_r"
    defaults: ClassVar[Mapping[str, Json]] = {}

    @property
    def window(self) -> tuple[int, ...]:
        """Shape of one example within a field; axes after the second span the whole field."""
        raise NotImplementedError

    @property
    def stride(self) -> tuple[int, ...]:
        """Steps between windows, one per axis: an eighth of the window along the first, its whole width elsewhere."""
        return max(1, self.window[0] // 8), *self.window[1:]

    def resolve(self, paths: Sequence[Path]) -> Self:  # noqa: ARG002
        """Return this domain with every option that was left open resolved by what the sources are."""
        return self

    def probe(self, path: Path) -> Probe | None:  # noqa: ARG002
        """Read what the header says, cheaply; None when only reading the whole source tells.

        Raises InputError when it is not readable.
        """
        return None

    def glance(self, path: Path) -> str:  # noqa: ARG002
        """Return what a look at a little of the content shows that spoils the field, and what to do; "" for nothing.

        ``audiosae inspect`` asks it of a few sources, so it may decode seconds, not hours. The same words for the same
        thing. Raises InputError when the source cannot be decoded.
        """
        return ""

    def field(self, path: Path) -> Blocks:
        """Return or yield the field of one source in blocks along axis 0, in bounded memory.

        A generator may end with ``return note`` where `note` says what was wrong with a source that could only be
        used in part (``"truncated at 12.4 s"``). Raises InputError with a reason when it cannot be used at all.
        """
        raise NotImplementedError

    def finish(self, field: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
        """Do, in place, what needs the whole field (a level to remove), and say which rows are worth training on.

        Parameters
        ----------
        field
            The whole field, memory-mapped: work through it in blocks.

        Returns
        -------
        sequence of (start, stop)
            Ascending row ranges along axis 0; windows inside one are used for training. No window lies in two.
        """
        return [(0, field.shape[0])]

    def span(self, path: Path, start: tuple[int, ...]) -> Span:  # noqa: ARG002
        """Return where the window that begins at `start` (field coordinates) lies in the source: rows from 0."""
        return Span((start[0],), (start[0] + self.window[0],), self.unit)

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Return an atom of shape `window` as a picture: (rows, columns) or (rows, columns, 3), first row on top.

        By default the field's rows run to the right, and a single row lies as it is.
        """
        table = _table(atom)
        return table if len(table) == 1 else table.T

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw an atom with the axes a person expects; `limit` is the value at the end of the colour scale.

        By default one curve per column over the window's rows, or the tile when there are more than eight columns.
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
        """Return what a window was cut from: playable sound, a piece of picture, rows.

        By default the rows of `field` that `span` covers, whatever its unit, as long as it grows evenly with the rows.
        """
        rest = (0,) * (len(self.window) - 1)
        first, second = (self.span(path, (row, *rest)).start[0] for row in (0, 1))
        low, high = (round((edge - first) / (second - first)) for edge in (span.start[0], span.end[0]))
        return Excerpt(_rows(self.field(path), max(0, low), high), "rows")

    def synthesize(self, atom: NDArray[Any]) -> Excerpt | None:  # noqa: ARG002
        """Return the atom as a sound, where that makes sense."""
        return None

    def centre(self, atom: NDArray[Any]) -> float | None:  # noqa: ARG002
        """Return a number to order atoms by, such as the centroid frequency in Hz; None where there is none."""
        return None

    def measures(self, atom: NDArray[Any]) -> Mapping[str, float]:
        """Return what a report tells of an atom and sorts by, the unit in the name: ``{"bandwidth (Hz)": 410.0}``."""
        centre = self.centre(atom)
        return {} if centre is None else {"centre": centre}

    def scene(self, piece: NDArray[Any]) -> NDArray[Any] | None:  # noqa: ARG002
        """Return a piece of a field that is longer than a window as a picture, as `tile` does; None where none is.

        With one axis that windows slide along, it runs to the right; with two, the first runs down.
        """
        return None


def _table(atom: NDArray[Any]) -> NDArray[Any]:
    """Return an atom of any number of axes as (rows, columns)."""
    return np.asarray(atom).reshape(len(atom), -1)


def _rows(blocks: Blocks, low: int, high: int) -> NDArray[np.float32]:
    """Return rows `low` to `high` of a field, reading no further than the last of them."""
    found, at = [], 0
    for block in blocks:
        found.append(np.array(block[max(0, low - at) : max(0, high - at)], np.float32))
        at += len(block)
        if at >= high:
            break
    return np.concatenate(found) if found else np.empty(0, np.float32)
