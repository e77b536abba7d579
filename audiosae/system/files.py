"""Files written whole: aside, then moved into place; CSV in which no name or label is taken for a formula."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:  # noqa: ANN401
    """Return a value as it may stand in a cell: a text that a spreadsheet would compute gets an apostrophe before it.

    Source: OWASP, "CSV injection".
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def write_aside(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then move it there."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)  # noqa: PTH105 (one atomic call)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}; what was there before is untouched") from error


def file_digest(path: Path) -> str:
    """Return the BLAKE2b of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
