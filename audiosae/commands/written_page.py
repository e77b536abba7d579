"""The result of the commands that write a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from audiosae.system.frames import pandas_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from audiosae.corpus.journal import Record


@dataclass(frozen=True)
class Page:
    """A page that was written: one file of HTML that opens offline.

    Attributes
    ----------
    path
        Of the file.
    facts
        What ``report --json`` or ``diff --json`` prints: how many units, windows, sources; pairs of units.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages: files that were passed over, are not whole or have no label.

    Examples
    --------
    >>> page = audiosae.report(model, sounds, "report.html")
    >>> page.path.name, page.facts["units"], page.skipped
    ('report.html', 6, [])
    """

    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    skipped: Sequence[Record] = field(default=(), repr=False)
    notes: Sequence[str] = field(default=(), repr=False)

    def frame(self) -> pd.DataFrame:
        """Return the facts that are single values as a pandas frame with the columns fact and value."""
        single = {key: value for key, value in self.facts.items() if isinstance(value, str | int | float)}
        return pandas_frame({"fact": list(single), "value": list(single.values())})

    def _repr_html_(self) -> str:
        """Return a link to the page, for a notebook."""
        return f'<a href="{escape(self.path.as_posix())}" target="_blank">{escape(str(self.path))}</a>'
