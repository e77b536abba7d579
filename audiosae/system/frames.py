"""Tables as text, as HTML for a notebook, and as pandas frames if pandas is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiosae.errors import InputError
from audiosae.system.text import html, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd


def pandas_frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns as a pandas frame; InputError if pandas is not installed."""
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("frame() needs pandas: pip install pandas, or use the arrays of the result") from error
    return pd.DataFrame(dict(columns))


def html_table(rows: Iterable[Sequence[object]], *, head: Sequence[str] = (), caption: str = "") -> str:
    """Return rows as an HTML table; every value is escaped text."""
    title = f"<caption>{html(caption)}</caption>" if caption else ""
    header = f"<thead><tr>{''.join(f'<th>{html(name)}</th>' for name in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{html(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table>{title}{header}<tbody>{body}</tbody></table>"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines with their columns aligned, two spaces between; the last column is not padded."""
    rows = [[one_line(text) for text in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows
    )
