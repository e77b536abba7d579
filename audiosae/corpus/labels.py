"""Labels of sources: from the parent folder, or from columns of a CSV."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from audiosae.corpus.sources import folder_name, printable
from audiosae.corpus.spreadsheets import KEY, read_rows
from audiosae.errors import InputError
from audiosae.system.files import uncelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audiosae.corpus.sources import Source

FOLDER = "folder"
_NAMED = 3  # of several faulty names, this many are told


def read_labels(labels: str, sources: Sequence[Source], column: str | None = None) -> list[str | None]:
    """Return one label per source, None for those that a CSV tells nothing of.

    Parameters
    ----------
    labels
        ``folder`` for the name of the parent folder, or a CSV with a column `filename`.
    column
        Of the CSV; may be left out when there is just one besides `filename`, or one named `label`.

    Raises
    ------
    InputError
        No such file or column, two rows for one source, a row for more than one, no label for any.
    """
    if labels == FOLDER:
        return [folder_name(source.path) for source in sources]
    return read_column(Path(labels), sources, column)


def read_column(
    path: Path, sources: Sequence[Source], column: str | None, *, option: str = "--label-column"
) -> list[str | None]:
    """Return one value of a CSV's column per source, without blanks at its ends; see `read_labels`."""
    names = _Names(sources)
    rows, columns = read_rows(path, names.known)
    column = column or _only(columns, path, option)
    if column not in columns:
        raise InputError(f"{option} {column}: {path} has no such column; it has {', '.join(columns)}")
    values = {number: _value(row[column]) for number, row in _matched(path, rows, names)}
    if not any(values.values()):
        why = f"has nothing in column {column} for" if values else "has no row for"
        raise InputError(
            f"{path} {why} {some_of([source.name for source in sources])}; wanted a {KEY} relative to the source "
            f"folder, or with the folder as it was named where there are several"
        )
    return [values.get(number) for number in range(len(sources))]


def check_rows(path: Path, sources: Sequence[Source]) -> None:
    """Refuse a CSV that names files which are not among the sources."""
    names = _Names(sources)
    gone = [row[KEY] for row in read_rows(path, names.known)[0] if not names.known(row[KEY])]
    if gone:
        raise InputError(f"{path} names {some_of(gone)}: not among the {len(sources)} sources; name their folder too, "
                         f"or leave the rows out")  # fmt: skip


def some_of(names: Sequence[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


class _Names:
    """Numbers of sources by name: as it is, however it may be spelt, and the same of the name without its folder."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        whole = [source.name for source in sources]
        bare = [printable(source.path.name) for source in sources]
        self._tiers = [_numbered(names) for names in (whole, map(spelt, whole), bare, map(spelt, bare))]

    def known(self, name: str) -> bool:
        """Return whether a name is that of a source, and of one alone."""
        return len(self.numbers(name)) == 1

    def numbers(self, name: str) -> list[int]:
        """Return the sources that a name may mean: those of the first kind of likeness in which there are any."""
        for text in (name, printable(name)):  # as it is on disk, or as it is shown
            keys = (text, spelt(text)) * 2
            for tier, key in zip(self._tiers, keys, strict=True):
                if key in tier:
                    return tier[key]
        return []


def _numbered(names: Iterable[str]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for number, name in enumerate(names):
        found[name].append(number)
    return dict(found)


def spelt(name: str) -> str:
    r"""Return the one spelling of a name: ``./a.wav``, ``a.wav`` and ``.\a.wav``, composed or not, are one file's.

    An apostrophe that keeps a spreadsheet from computing the name is none of it.
    """
    parts = normalize("NFC", uncelled(name).strip().replace("\\", "/")).split("/")
    return "/".join(part for number, part in enumerate(parts) if part not in (".", "") or (not part and not number))


def _matched(path: Path, rows: list[dict[str, str]], names: _Names) -> list[tuple[int, dict[str, str]]]:
    """Return rows with the numbers of their sources, without the rows of files that are not among these."""
    found, ambiguous = [], []
    for row in rows:
        numbers = names.numbers(row[KEY])
        found.append((numbers[0] if numbers else -1, row))
        ambiguous += [(row[KEY], numbers)] if len(numbers) > 1 else []
    if ambiguous:
        name, numbers = ambiguous[0]
        meant = " or ".join(names.sources[number].name for number in numbers[:_NAMED])
        raise InputError(f"{path} names {name}, which may be {meant}; wanted a {KEY} that is that of one file")
    counts = Counter(number if number >= 0 else spelt(row[KEY]) for number, row in found)
    twice = [row[KEY] for number, row in found if counts[number if number >= 0 else spelt(row[KEY])] > 1]
    if twice:
        raise InputError(f"{path} names {some_of(list(dict.fromkeys(twice)))} more than once")
    return [(number, row) for number, row in found if number >= 0]


def _value(text: str) -> str | None:
    """Return a label as one class has it: without blanks at its ends, its letters composed."""
    return normalize("NFC", text.strip()) or None


def _only(columns: list[str], path: Path, option: str) -> str:
    others = [name for name in columns if name != KEY]
    if "label" in others:
        return "label"
    if len(others) != 1:
        raise InputError(f"{path} has the columns {', '.join(others) or 'filename alone'}; choose one with {option}")
    return others[0]
