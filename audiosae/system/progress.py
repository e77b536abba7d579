"""Progress callbacks of long operations. The default does nothing; the CLI prints."""

from __future__ import annotations

import shutil
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_REDRAWN = 0.2  # s, between two drawings of a bar


def counted(number: int, what: str) -> str:
    """Return how many of something there are in words: ``1 event``, ``2,000 events``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


class Progress:
    """Callbacks of one operation; this base class ignores them."""

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage of `total` units, or of unknown length."""

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done in the stage, and what a person would like to see beside it."""

    def say(self, line: str) -> None:
        """Report a message."""

    def close(self) -> None:
        """End the stage."""


class Notes(Progress):
    """Keeps the messages of an operation for its result, and passes everything on.

    Parameters
    ----------
    shown
        Who is told: nobody (False), a person in a terminal or a notebook (True), or another.

    Attributes
    ----------
    lines
        The messages so far.
    """

    def __init__(self, shown: bool | Progress = False) -> None:  # noqa: FBT001, FBT002 (progress=True reads well)
        self._inner = shown if isinstance(shown, Progress) else Shown() if shown else Progress()
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the stage, whatever went wrong in it: the cursor is there again."""
        self.close()

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage."""
        self._inner.stage(title, total, unit)

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done."""
        self._inner.advance(amount, **facts)

    def say(self, line: str) -> None:
        """Keep a message."""
        self.lines.append(line)
        self._inner.say(line)

    def close(self) -> None:
        """End the stage."""
        self._inner.close()


class Shown(Progress):
    """Bars and messages of rich's on standard error, or in the cell of a notebook.

    A notebook without ipywidgets cannot draw a bar again: it has a line when a stage begins.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage."""
        from rich.console import Console

        self.close()
        if Console(stderr=True).is_jupyter and find_spec("ipywidgets") is None:
            self.say(f"{title}: {total:,.0f} {unit}" if total else title)
        else:
            self._bar = Bar(title, total, unit)

    def advance(self, amount: float, **facts: str) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(amount, facts)

    def say(self, line: str) -> None:
        """Show a message; above the bar, where there is one."""
        from rich.console import Console

        (self._bar.console if self._bar is not None else Console(stderr=True)).out(line, highlight=False)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Bar:
    """A bar of rich's: title, share, rate, time left, and the facts."""

    def __init__(self, title: str, total: float | None, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._unit, self._began, self._done, self._drawn = unit, time.monotonic(), 0.0, 0.0
        self.console: Console = Console(stderr=True)
        self._bar: RichProgress = Progress(
            TextColumn("{task.description:<10}"), BarColumn(bar_width=_bar_width()),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[facts]}"),
            console=self.console, auto_refresh=False,  # a thread that draws would write into captured standard error
        )  # fmt: skip
        self._bar.start()
        self._task: TaskID = self._bar.add_task(title, total=total, rate="", facts="")

    def advance(self, amount: float, facts: Mapping[str, str]) -> None:
        """Move the bar by so much; `facts` are shown beside it."""
        self._done += amount
        rate = f"{self._done / max(1e-9, time.monotonic() - self._began):,.0f} {self._unit}/s"
        self._bar.update(self._task, advance=amount, rate=rate, facts=joined(facts))
        if (now := time.monotonic()) - self._drawn >= _REDRAWN:
            self._drawn = now
            self._bar.refresh()

    def pause(self) -> None:
        """Let a line be printed; rich redraws below it."""

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


def joined(facts: Mapping[str, str]) -> str:
    """Return facts as they are shown beside a bar."""
    return "  ".join(f"{key} {value}" for key, value in facts.items())


def _bar_width() -> int:
    """Return how much of a narrow terminal the bar may take from the numbers beside it."""
    return min(24, max(6, shutil.get_terminal_size().columns - 76))
