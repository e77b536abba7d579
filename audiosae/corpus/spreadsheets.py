"""CSV files of spreadsheets: commas, semicolons or tabs, in UTF-8, UTF-16 or a code page, with empty rows."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "filename"
_SEPARATORS = (",", ";", "\t")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
WESTERN = "cp1252"  # Latin-1 in the version of Windows
_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "cp936", "cp949", "cp950", "mac_roman")
_SAVE = "save it as CSV UTF-8 (so called in Excel; in LibreOffice, choose Unicode (UTF-8) as its character set)"


@dataclass(frozen=True)
class Wanted:
    """The option that a table is read for, the column that it must have, and an example for messages."""

    option: str = "--labels"
    key: str = KEY
    example: str = f"'folder' or a CSV with a column {KEY}"


_LABELS = Wanted()


def read_rows(
    path: Path, known: Callable[[str], bool] | None, wanted: Wanted = _LABELS,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[dict[str, str]], list[str]]:  # fmt: skip
    """Return the rows of a table, and the names of its columns.

    Parameters
    ----------
    known
        Whether a name is that of a file. An encoding other than Unicode is one in which all names with letters beyond
        ASCII are known. None if there are no files to compare with: the encoding is then Western European.

    Raises
    ------
    InputError
        The table cannot be read, its encoding is ambiguous, the wanted column is missing, or the number of cells in
        some row is not that of the first.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{wanted.option} {path}: {error.strerror}; wanted {wanted.example}") from error
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _parsed(path, _decoded(path, content, encoding, wanted), wanted)
    if b"\0" in content:
        raise InputError(f"{wanted.option} {path}: not a CSV in UTF-8 (it has null bytes); {_SAVE}")
    try:
        return _parsed(path, content.decode(), wanted)
    except UnicodeDecodeError as error:
        if known is not None:
            return _in_code_page(path, content, known, error, wanted)
        table = _parsed(path, _decoded(path, content, WESTERN, wanted), wanted)
        say(f"{wanted.option} {path}: not UTF-8, read as Latin-1 (Windows-1252); where letters are wrong, {_SAVE}")
        return table


def _decoded(path: Path, content: bytes, encoding: str, wanted: Wanted) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == WESTERN else encoding.upper()
        raise InputError(f"{wanted.option} {path}: not a CSV in {name} ({error.reason}); {_SAVE}") from error


def _in_code_page(
    path: Path, content: bytes, known: Callable[[str], bool], error: UnicodeDecodeError, wanted: Wanted
) -> tuple[list[dict[str, str]], list[str]]:
    """Read a table in the only code page in which its names are those of files."""
    texts = set()
    for page in _PAGES:
        try:
            text = content.decode(page)
            names = [row[wanted.key] for row in _parsed(path, text, wanted)[0] if not row[wanted.key].isascii()]
        except (UnicodeDecodeError, InputError):
            continue
        if names and all(map(known, names)):
            texts.add(text)
    if len(texts) != 1:
        raise InputError(f"{wanted.option} {path}: not a CSV in UTF-8 ({error.reason} at byte {error.start}); {_SAVE}")
    return _parsed(path, texts.pop(), wanted)


def _parsed(path: Path, text: str, wanted: Wanted) -> tuple[list[dict[str, str]], list[str]]:
    try:
        table = max((_split(text, separator) for separator in _SEPARATORS), key=lambda rows: _fits(rows, wanted.key))
    except csv.Error as error:
        raise InputError(f"{wanted.option} {path}: not a CSV ({error})") from error
    columns = [cell.strip() for cell in table[0][1]] if table else []
    while columns and not columns[-1]:
        columns.pop()
    if wanted.key not in columns:
        raise InputError(f"{path} has no column {wanted.key}; it has {', '.join(columns) or 'nothing'}")
    rows = [(number, _cells(path, number, row, len(columns))) for number, row in table[1:]]
    return [dict(zip(columns, cells, strict=True)) for _, cells in rows], columns


def _split(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with the numbers of their lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    return rows[1:] if rows and "".join(rows[0][1]).lower().startswith("sep=") else rows  # Excel writes that line


def _fits(table: list[tuple[int, list[str]]], key: str) -> tuple[bool, int]:
    head = [cell.strip() for cell in table[0][1]] if table else []
    return key in head, len(head)


def _cells(path: Path, number: int, row: list[str], count: int) -> list[str]:
    """Return the cells of a row, without empty cells after the last column."""
    if len(row) < count or any(cell.strip() for cell in row[count:]):
        raise InputError(f"{path}: line {number} does not have {count} columns")
    return row[:count]
