"""Progress callbacks of long operations: none, kept messages, or bars of rich."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

_REDRAW_SECONDS = 0.2  # between two drawings of a bar


def counted(number: int, what: str) -> str:
    """Return a number with its noun: ``1 event``, ``2,000 events``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


class Progress:
    """Callbacks of one operation; this base class ignores them."""

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage of `total` units, or of unknown length."""

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done in the stage, and facts to show beside the bar."""

    def say(self, line: str) -> None:
        """Report a message."""

    def close(self) -> None:
        """End the stage."""


class Notes(Progress, AbstractContextManager["Notes"]):
    """Store the messages of an operation for its result, and forward everything.

    Parameters
    ----------
    shown
        Where progress is forwarded: nowhere (False), to a terminal or notebook (True), or to another object.

    Attributes
    ----------
    lines
        The messages so far.
    """

    def __init__(self, shown: bool | Progress = False) -> None:  # noqa: FBT001, FBT002 (progress=True reads well)
        self._inner = shown if isinstance(shown, Progress) else ProgressBars() if shown else Progress()
        self.lines: list[str] = []

    def __exit__(self, *error: object) -> None:
        """End the stage, also after an error: the terminal shows the cursor again."""
        self.close()

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage."""
        self._inner.stage(title, total, unit)

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done."""
        self._inner.advance(amount, **facts)

    def say(self, line: str) -> None:
        """Store a message."""
        self.lines.append(line)
        self._inner.say(line)

    def close(self) -> None:
        """End the stage."""
        self._inner.close()


class ProgressBars(Progress):
    """Show bars and messages of rich on standard error, or in the cell of a notebook.

    A notebook without ipywidgets cannot redraw a bar: it shows a line at the beginning of each stage.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar: Bar | None = None

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage."""
        self.close()
        if self._console.is_jupyter and find_spec("ipywidgets") is None:
            self.say(f"{title}: {total:,.0f} {unit}" if total else title)
        else:
            self._bar = Bar(title, total, unit, self._console)

    def advance(self, amount: float, **facts: str) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(amount, facts)

    def say(self, line: str) -> None:
        """Show a message, above the bar if there is one."""
        self._console.out(line, highlight=False)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Bar:
    """A bar of rich: title, share, rate, remaining time, and facts; on standard error without a console."""

    def __init__(self, title: str, total: float | None, unit: str, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._unit, self._began, self._done, self._drawn = unit, time.monotonic(), 0.0, 0.0
        self._bar = Progress(
            TextColumn("{task.description:<10}"), BarColumn(bar_width=_bar_width()),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[facts]}"),
            console=console or Console(stderr=True),
            auto_refresh=False,  # a drawing thread would write to captured standard error
        )  # fmt: skip
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, rate="", facts="")

    def advance(self, amount: float, facts: Mapping[str, str]) -> None:
        """Move the bar by an amount, and show facts beside it."""
        self._done += amount
        rate = f"{self._done / max(1e-9, time.monotonic() - self._began):,.0f} {self._unit}/s"
        self._bar.update(self._task, advance=amount, rate=rate, facts=joined(facts))
        if (now := time.monotonic()) - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._bar.refresh()

    def pause(self) -> None:
        """Do nothing: rich redraws the bar below a printed line."""

    def close(self) -> None:
        """Stop the bar as it is."""
        self._bar.stop()


def joined(facts: Mapping[str, str]) -> str:
    """Return facts as text beside a bar."""
    return "  ".join(f"{key} {value}" for key, value in facts.items())


def _bar_width() -> int:
    """Return the width of a bar, which leaves room for the numbers in a narrow terminal."""
    return min(24, max(6, shutil.get_terminal_size().columns - 76))
