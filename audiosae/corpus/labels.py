"""Labels of sources: from the parent folder, or from columns of a CSV."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from audiosae.corpus.sources import folder_name, printable, some_of
from audiosae.corpus.spreadsheets import KEY, read_rows
from audiosae.errors import InputError
from audiosae.system.files import uncelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audiosae.corpus.sources import Source

FOLDER = "folder"
_NAMES_SHOWN = 3  # in an error message


def read_labels(labels: str, sources: Sequence[Source], column: str | None = None) -> list[str | None]:
    """Return one label per source, None for a source without one in the CSV.

    Parameters
    ----------
    labels
        ``folder`` for the name of the parent folder, or a CSV with a column `filename`.
    column
        Column of the CSV; optional if it is the only one besides `filename`, or is named `label`.

    Raises
    ------
    InputError
        The file or column does not exist, a source has two rows, a row has several sources, or there are no labels.
    """
    if labels == FOLDER:
        return [folder_name(source.path) for source in sources]
    return read_column(Path(labels), sources, column)


def read_column(
    path: Path, sources: Sequence[Source], column: str | None, *, option: str = "--label-column"
) -> list[str | None]:
    """Return one value of a CSV column per source, without leading and trailing spaces; see `read_labels`."""
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
    """Raise InputError for a CSV with files that are not among the sources."""
    names = _Names(sources)
    gone = [row[KEY] for row in read_rows(path, names.known)[0] if not names.known(row[KEY])]
    if gone:
        raise InputError(f"{path} names {some_of(gone)}: not among the {len(sources)} sources; name their folder too, "
                         f"or leave the rows out")  # fmt: skip


class _Names:
    """Numbers of sources by name: exact, normalized, exact without the folder, normalized without the folder."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        whole = [source.name for source in sources]
        bare = [printable(source.path.name) for source in sources]
        self._tiers = [_numbered(names) for names in (whole, map(_normalized, whole), bare, map(_normalized, bare))]

    def known(self, name: str) -> bool:
        """Return whether a name is that of exactly one source."""
        return len(self.numbers(name)) == 1

    def numbers(self, name: str) -> list[int]:
        """Return the sources that a name may refer to: those of the first kind of match that has any."""
        for text in (name, printable(name)):  # as on disk, or as shown in messages
            keys = (text, _normalized(text)) * 2
            for tier, key in zip(self._tiers, keys, strict=True):
                if key in tier:
                    return tier[key]
        return []


def _numbered(names: Iterable[str]) -> dict[str, list[int]]:
    numbers = defaultdict(list)
    for number, name in enumerate(names):
        numbers[name].append(number)
    return dict(numbers)


def _normalized(name: str) -> str:
    r"""Return a name in its normal form: ``./a.wav``, ``a.wav`` and ``.\a.wav`` are equal, in any Unicode form.

    An apostrophe that keeps a spreadsheet from evaluating the name is removed.
    """
    parts = normalize("NFC", uncelled(name).strip().replace("\\", "/")).split("/")
    return "/".join(part for number, part in enumerate(parts) if part not in (".", "") or (not part and not number))


def _matched(path: Path, rows: list[dict[str, str]], names: _Names) -> list[tuple[int, dict[str, str]]]:
    """Return rows with the numbers of their sources, without the rows of other files."""
    matches, ambiguous = [], []
    for row in rows:
        numbers = names.numbers(row[KEY])
        matches.append((numbers[0] if numbers else -1, row))
        ambiguous += [(row[KEY], numbers)] if len(numbers) > 1 else []
    if ambiguous:
        name, numbers = ambiguous[0]
        candidates = " or ".join(names.sources[number].name for number in numbers[:_NAMES_SHOWN])
        raise InputError(f"{path} names {name}, which may be {candidates}; wanted a {KEY} that is that of one file")
    keys = [number if number >= 0 else _normalized(row[KEY]) for number, row in matches]
    counts = Counter(keys)
    twice = [row[KEY] for key, (_, row) in zip(keys, matches, strict=True) if counts[key] > 1]
    if twice:
        raise InputError(f"{path} names {some_of(list(dict.fromkeys(twice)))} more than once")
    return [(number, row) for number, row in matches if number >= 0]


def _value(text: str) -> str | None:
    """Return a label in its normal form, without leading and trailing spaces; None if it is empty."""
    return normalize("NFC", text.strip()) or None


def _only(columns: list[str], path: Path, option: str) -> str:
    others = [name for name in columns if name != KEY]
    if "label" in others:
        return "label"
    if len(others) != 1:
        raise InputError(f"{path} has the columns {', '.join(others) or 'filename alone'}; choose one with {option}")
    return others[0]
