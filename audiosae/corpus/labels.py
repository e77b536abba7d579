"""Labels of sources: from the parent folder, or from columns of a CSV."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from audiosae.corpus.sources import folder_name, printable
from audiosae.corpus.spreadsheets import KEY, column_names, read_rows
from audiosae.errors import InputError
from audiosae.system.files import uncelled
from audiosae.system.text import one_line, some_of

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
    names = SourceNames(sources)
    rows, columns = read_rows(path, names.known)
    names.choose_form([row[KEY] for row in rows])
    column = column or _only(columns, path, option)
    if column not in columns:
        raise InputError(f"{option} {column}: {path} has no such column; it has {column_names(columns)}")
    values = {number: normalize("NFC", row[column].strip()) or None for number, row in _matched(path, rows, names)}
    if not any(values.values()):
        problem = f"has only empty cells in column {column} for" if values else "has no row for"
        raise InputError(
            f"{path} {problem} {some_of([source.name for source in sources])}; wanted paths in the "
            f"column {KEY}: relative to the source folder, or with the folders as typed if there are several"
        )
    return [values.get(number) for number in range(len(sources))]


def check_rows(path: Path, sources: Sequence[Source]) -> None:
    """Raise InputError for a CSV with files that are not among the sources."""
    names = SourceNames(sources)
    rows = [row[KEY] for row in read_rows(path, names.known)[0]]
    names.choose_form(rows)
    unknown = [row for row in rows if not names.known(row)]
    if unknown:
        raise InputError(
            f"{path} has rows for {some_of(unknown)}, not among the {len(sources)} sources; add the files to the "
            f"sources, or remove the rows"
        )


class SourceNames:
    """Numbers of sources by name: exact, normalized, exact without the folder, normalized without the folder.

    Tables name files as on disk, or as audiosae shows them (`printable`). A name with a backslash may be one file in
    one form and another in the other; a name that is possible in one form only tells the form of the table.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._form = ""
        whole = [source.name for source in sources]
        bare = [printable(source.path.name) for source in sources]
        self._tiers = [_numbered(names) for names in (whole, map(normalized, whole), bare, map(normalized, bare))]

    def known(self, name: str) -> bool:
        """Return whether exactly one source may have a name."""
        return len(self.numbers(name)) == 1

    def numbers(self, name: str) -> list[int]:
        """Return the sources that a name may refer to: those of the first kind of match that has any."""
        shown, on_disk = self._find(name), self._find(printable(name))
        if not shown or not on_disk or shown == on_disk:
            return shown or on_disk
        return {"shown": shown, "on disk": on_disk}.get(self._form, [*shown, *on_disk])

    def choose_form(self, names: Sequence[str]) -> None:
        """Recognize the form of all names of a table."""
        if any(one_line(name) != name for name in names):
            self._form = "on disk"
        elif any("\\\\" in name and self._find(name) for name in names):
            self._form = "shown"

    def _find(self, text: str) -> list[int]:
        keys = (text, normalized(text)) * 2
        return next((tier[key] for tier, key in zip(self._tiers, keys, strict=True) if key in tier), [])


def _numbered(names: Iterable[str]) -> dict[str, list[int]]:
    numbers = defaultdict(list)
    for number, name in enumerate(names):
        numbers[name].append(number)
    return dict(numbers)


def normalized(name: str) -> str:
    r"""Return a name in its normal form: ``./a.wav``, ``a.wav`` and ``.\a.wav`` are equal, in any Unicode form.

    The apostrophe that prevents a spreadsheet from evaluating the name is removed.
    """
    parts = normalize("NFC", uncelled(name).strip().replace("\\", "/")).split("/")
    return "/".join(part for number, part in enumerate(parts) if part not in (".", "") or (not part and not number))


def _matched(path: Path, rows: list[dict[str, str]], names: SourceNames) -> list[tuple[int, dict[str, str]]]:
    """Return rows with the numbers of their sources, without the rows of other files."""
    matches = [(names.numbers(row[KEY]), row) for row in rows]
    for numbers, row in matches:
        if len(numbers) > 1:
            candidates = " or ".join(names.sources[number].name for number in numbers[:_NAMES_SHOWN])
            raise InputError(
                f"{path} names {row[KEY]}, which may be {candidates}; wanted a {KEY} that only one file has"
            )
    keys = [numbers[0] if numbers else normalized(row[KEY]) for numbers, row in matches]
    counts = Counter(keys)
    repeated = dict.fromkeys(row[KEY] for key, row in zip(keys, rows, strict=True) if counts[key] > 1)
    if repeated:
        raise InputError(f"{path} names {some_of(list(repeated))} more than once; leave one row for each file")
    return [(numbers[0], row) for numbers, row in matches if numbers]


def _only(columns: list[str], path: Path, option: str) -> str:
    others = [name for name in columns if name != KEY]
    if "label" in others:
        return "label"
    if not others:
        raise InputError(f"{path} has only the column {KEY}; add a column with the labels")
    if len(others) > 1:
        raise InputError(f"{path} has the columns {', '.join(others)}; choose one with {option}")
    return others[0]
