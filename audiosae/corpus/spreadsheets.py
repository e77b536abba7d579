"""CSV files of spreadsheets: commas, semicolons or tabs, in UTF-8, UTF-16 or a code page, with empty rows."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiosae.errors import InputError
from audiosae.system.progress import counted
from audiosae.system.schema import shown
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Line = tuple[int, list[str]]  # number of a line, from 1, and its cells
KEY = "filename"
_SEPARATORS = (",", ";", "\t")
_MARKS = {  # byte-order marks; UTF-32 before UTF-16, since the little-endian mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UTF8 = "utf-8"
WESTERN = "cp1252"  # the Windows variant of Latin-1
_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "cp936", "cp949", "cp950", "mac_roman")
_COLUMNS_SHOWN = 8
_SAVE = "save it as CSV UTF-8 (Excel), or with the character set Unicode (UTF-8) (LibreOffice)"


@dataclass(frozen=True)
class Wanted:
    """Requirements on a table: the option that names it, the column that it must have, and an example for messages."""

    option: str = "--labels"
    key: str = KEY
    example: str = f"'folder' or a CSV with a column {KEY}"


_LABELS = Wanted()


def read_rows(
    path: Path,
    known: Callable[[str], bool] | None,
    wanted: Wanted = _LABELS,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows of a table, and the names of its columns.

    Parameters
    ----------
    known
        Whether a file has a given name. A table that is not Unicode is read in the one code page in which all names
        with letters beyond ASCII are known. None if there are no files to compare with: it is then read as Western
        European.

    Raises
    ------
    InputError
        The table cannot be read, its encoding is ambiguous, the required column is missing, or a row has another
        number of cells than the first.
    """
    if known is None:
        return _parsed(path, read_text(path, wanted, say=say), wanted)

    def fits(text: str) -> bool:
        """Return whether the names with letters beyond ASCII are known."""
        names = [row[wanted.key] for row in _parsed(path, text, wanted)[0] if not row[wanted.key].isascii()]
        return bool(names) and all(map(known, names))

    return _parsed(path, read_text(path, wanted, fits, pages=_PAGES), wanted)


def read_text(
    path: Path,
    wanted: Wanted,
    fits: Callable[[str], bool] = bool,
    *,
    pages: Sequence[str] = (WESTERN,),
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Return the text of a table in UTF-8, in UTF-16 or UTF-32 with a byte-order mark, or in a code page.

    Parameters
    ----------
    fits
        Whether a text is possible. A table that is not Unicode is read in the one code page in which it is.
    pages
        Code pages to try; if there is only one, `say` gets a message that it was used.

    Raises
    ------
    InputError
        The file cannot be read, or its encoding is ambiguous.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{wanted.option} {path}: {error.strerror}; wanted {wanted.example}") from error
    encoding = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), _UTF8)
    if encoding == _UTF8 and b"\0" in content:
        raise InputError(f"{wanted.option} {path}: not a CSV in UTF-8 (it has null bytes); {_SAVE}")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        texts = _in_code_pages(content, fits, pages) if encoding == _UTF8 else set()
        if len(texts) != 1:
            reason = f"{error.reason} at byte {error.start}"
            raise InputError(f"{wanted.option} {path}: not a CSV in {encoding.upper()} ({reason}); {_SAVE}") from error
    if len(pages) == 1:
        say(f"{wanted.option} {path}: not in UTF-8, so it is read as Windows-1252; if letters are wrong, {_SAVE}")
    return texts.pop()


def _in_code_pages(content: bytes, fits: Callable[[str], bool], pages: Sequence[str]) -> set[str]:
    """Return the text of a table in all code pages in which it is possible."""
    texts = set()
    for page in pages:
        with contextlib.suppress(UnicodeDecodeError, InputError):
            if fits(text := content.decode(page)):
                texts.add(text)
    return texts


def _parsed(path: Path, text: str, wanted: Wanted) -> tuple[list[dict[str, str]], list[str]]:
    try:
        table = best_split(text, lambda head: wanted.key in head)
    except csv.Error as error:
        raise InputError(f"{wanted.option} {path}: not a CSV ({error})") from error
    if wanted.key not in (columns := head_of(table)):
        raise InputError(
            f"{path} has no column {wanted.key}, only {column_names(columns) or 'empty lines'}; wanted {wanted.example}"
        )
    return [row for _, row in rows_of(path, table)], columns


def rows_of(path: Path, table: Sequence[Line]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows below the header, with the numbers of their lines; InputError for a wrong number of cells."""
    columns = head_of(table)
    for number, row in table[1:]:
        if len(row) < len(columns) or any(cell.strip() for cell in row[len(columns) :]):
            raise InputError(
                f"{path}: line {number} has {counted(len(row), 'cell')}, wanted {len(columns)}; correct this line"
            )
    return [(number, dict(zip(columns, row, strict=False))) for number, row in table[1:]]


def head_of(table: Sequence[Line]) -> list[str]:
    """Return the names of the columns of a table, without empty ones at the end."""
    columns = [cell.strip() for cell in table[0][1]] if table else []
    while columns and not columns[-1]:
        columns.pop()
    return columns


def column_names(columns: Sequence[str]) -> str:
    """Return the first names of columns for an error message."""
    return some_of([shown(name)[1:-1] for name in columns], _COLUMNS_SHOWN)


def best_split(text: str, fits: Callable[[list[str]], bool]) -> list[Line]:
    """Return the lines of a table that are not empty, split at commas, semicolons or tabs, whichever suits the header.

    Parameters
    ----------
    fits
        Whether the names of the columns are those of the wanted table.

    Raises
    ------
    csv.Error
        The text is not a CSV.
    """
    tables = (_split(text, separator) for separator in _SEPARATORS)
    return max(tables, key=lambda table: (fits(head_of(table)), len(table[0][1]) if table else 0))


def _split(text: str, separator: str) -> list[Line]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    return rows[1:] if rows and "".join(rows[0][1]).lower().startswith("sep=") else rows  # Excel writes that line
