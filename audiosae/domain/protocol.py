"""The Domain protocol: what a kind of input must be able to do, and the values it speaks in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

Kind = Literal["sound", "picture", "rows"]
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


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
class Clip:
    """A piece of a source, or an atom, as a person takes it in.

    Attributes
    ----------
    data
        Samples in [-1, 1] of shape (frames,) for a sound; (rows, columns[, 3]), usually in [0, 1], for a picture; rows
        for vectors.
    kind
        What it is taken in as.
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


class Domain(Protocol):
    """A kind of input. Implement it as a frozen dataclass whose fields are its options.

    The fields are also the command line's ``--set`` and the JSON in the model file, so their types are restricted to
    bool, int, float, str and Literal. Subclass this class to inherit what has a sensible default.

    Attributes
    ----------
    name
        The name of the entry point.
    suffixes
        Lower-case file suffixes that are looked for in folders.
    unit
        Unit of spans: ``"s"``, ``"px"``, ``"row"``; it says nothing of the kind.
    kind
        What sources are: sound, that is played; pictures, that are seen; rows of numbers, that are neither.
    colours
        Matplotlib's name of the colour map that shows values from less to more, zero in the middle.
    defaults
        Training options that suit this kind of input; they apply where the user gives none.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    unit: ClassVar[str]
    kind: ClassVar[Kind] = "rows"
    colours: ClassVar[str] = "RdBu_r"
    defaults: ClassVar[Mapping[str, Json]] = {}

    @property
    def window(self) -> tuple[int, ...]:
        """Shape of one example within a field; axes after the second span the whole field."""
        ...

    @property
    def stride(self) -> tuple[int, ...]:
        """Steps between windows, one per axis of the field."""
        ...

    def resolve(self, paths: Sequence[Path]) -> Self:  # noqa: ARG002
        """Return this domain with every option that was left open resolved by what the sources are."""
        return self

    def probe(self, path: Path) -> Probe:
        """Read what the header says, cheaply. Raises InputError when it is not readable."""
        ...

    def glance(self, path: Path) -> str:  # noqa: ARG002
        """Return what a look at a little of the content shows that spoils the field, and what to do; "" for nothing.

        ``audiosae inspect`` asks it of a few sources, so it may decode seconds, not hours. The same words for the same
        thing. Raises InputError when the source cannot be decoded.
        """
        return ""

    def field(self, path: Path) -> Iterator[NDArray[np.float32]]:
        """Yield the field of one source in blocks along axis 0, in bounded memory.

        A generator may end with ``return note`` where `note` says what was wrong with a source that could only be
        used in part (``"truncated at 12.4 s"``). Raises InputError with a reason when it cannot be used at all.
        """
        ...

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

    def span(self, path: Path, start: tuple[int, ...]) -> Span:
        """Return where the window that begins at `start` (field coordinates) lies in the source."""
        ...

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Return an atom of shape `window` as a picture: (rows, columns) or (rows, columns, 3), first row on top."""
        ...

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw an atom with the axes a person expects; `limit` is the value at the end of the colour scale."""
        ...

    def excerpt(self, path: Path, span: Span) -> Clip:
        """Return what a window was cut from: playable sound, a piece of picture, rows."""
        ...

    def synthesize(self, atom: NDArray[Any]) -> Clip | None:  # noqa: ARG002
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
