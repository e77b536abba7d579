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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{wanted.option} {path}: {error.strerror}; wanted {wanted.example}") from error
    encoding = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), _UTF8)
    if encoding == _UTF8 and b"\0" in content:
        raise InputError(f"{wanted.option} {path}: not a CSV in UTF-8 (it has null bytes); {_SAVE}")
    try:
        return _parsed(path, content.decode(encoding), wanted)
    except UnicodeDecodeError as error:
        texts = _in_code_pages(path, content, known, wanted) if encoding == _UTF8 else set()
        if len(texts) != 1:
            reason = f"{error.reason} at byte {error.start}"
            raise InputError(f"{wanted.option} {path}: not a CSV in {encoding.upper()} ({reason}); {_SAVE}") from error
    table = _parsed(path, texts.pop(), wanted)
    if known is None:
        say(f"{wanted.option} {path}: not in UTF-8, so it is read as Windows-1252; if letters are wrong, {_SAVE}")
    return table


def _in_code_pages(path: Path, content: bytes, known: Callable[[str], bool] | None, wanted: Wanted) -> set[str]:
    """Return the text of a table in all code pages in which its names are known, or as Western European."""
    texts = set()
    for page in _PAGES if known else (WESTERN,):
        with contextlib.suppress(UnicodeDecodeError, InputError):
            text = content.decode(page)
            rows = _parsed(path, text, wanted)[0] if known else []
            names = [row[wanted.key] for row in rows if not row[wanted.key].isascii()]
            if known is None or (names and all(map(known, names))):
                texts.add(text)
    return texts


def _parsed(path: Path, text: str, wanted: Wanted) -> tuple[list[dict[str, str]], list[str]]:
    try:
        table = max((_split(text, separator) for separator in _SEPARATORS), key=lambda rows: _fits(rows, wanted.key))
    except csv.Error as error:
        raise InputError(f"{wanted.option} {path}: not a CSV ({error})") from error
    columns = [cell.strip() for cell in table[0][1]] if table else []
    while columns and not columns[-1]:
        columns.pop()
    if wanted.key not in columns:
        raise InputError(
            f"{path} has no column {wanted.key}, only {column_names(columns) or 'empty lines'}; wanted {wanted.example}"
        )
    for number, row in table[1:]:
        if len(row) < len(columns) or any(cell.strip() for cell in row[len(columns) :]):
            raise InputError(
                f"{path}: line {number} has {counted(len(row), 'cell')}, wanted {len(columns)}; correct this line"
            )
    return [dict(zip(columns, row, strict=False)) for _, row in table[1:]], columns


def column_names(columns: Sequence[str]) -> str:
    """Return the first names of columns for an error message."""
    return some_of([shown(name)[1:-1] for name in columns], _COLUMNS_SHOWN)


def _split(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with the numbers of their lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    return rows[1:] if rows and "".join(rows[0][1]).lower().startswith("sep=") else rows  # Excel writes that line


def _fits(table: list[tuple[int, list[str]]], key: str) -> tuple[bool, int]:
    head = [cell.strip() for cell in table[0][1]] if table else []
    return key in head, len(head)
