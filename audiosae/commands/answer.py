"""Result classes of the commands that only print (`Answer`) or that write a page (`Page`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audiosae.system.frames import pandas_frame
from audiosae.system.text import html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from audiosae.corpus.journal import Record


@dataclass(frozen=True)
class Answer:
    """Result of a command that only prints.

    Attributes
    ----------
    text
        Printed in the terminal.
    facts
        Printed with ``--json``.
    passed
        False for exit status 1.
    """

    text: str
    facts: Mapping[str, Any] = field(repr=False)
    passed: bool = True


@dataclass(frozen=True)
class Page:
    """A page that was written: one HTML file that opens offline.

    Attributes
    ----------
    path
        Path of the file.
    facts
        The values that ``report --json`` or ``diff --json`` prints: numbers of units, windows and sources, or pairs of
        units.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages, for example about files that were ignored, are incomplete or have no label.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> page = audiosae.report(model, sounds, "report.html")
    >>> page.path.name, page.facts["units"], page.skipped
    ('report.html', 6, [])
    """

    path: Path
    facts: Mapping[str, Any] = field(repr=False)
    skipped: Sequence[Record] = field(repr=False)
    notes: Sequence[str] = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Return the facts that are single values as a pandas frame with the columns fact and value."""
        single = {key: value for key, value in self.facts.items() if isinstance(value, str | int | float)}
        return pandas_frame({"fact": list(single), "value": list(single.values())})

    def _repr_html_(self) -> str:
        return f'<a href="{html(self.path.as_posix())}" target="_blank">{html(self.path)}</a>'
