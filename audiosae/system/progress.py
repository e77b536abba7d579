"""Progress of long operations: not shown, or shown as rich bars or plain lines; messages are also stored."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from audiosae.system.spelling import spelled
from audiosae.system.text import one_line, terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

_REDRAW_SECONDS = 0.2  # between two drawings of a bar
_LINE_SECONDS = 10.0  # between two plain lines


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 event``, ``2,000 events``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


class Progress:
    """Callbacks of one operation; this base class shows nothing.

    A subclass that shows progress overrides `say` and `new_bar`; one that handles every call overrides the others too.
    """

    _bar: Bar | Lines | None = None

    def new_bar(self, title: str, total: float | None, unit: str) -> Bar | Lines | None:
        """Return the bar or lines that show a new stage; None to show nothing."""

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage of `total` units, or of unknown length."""
        self.close()
        self._bar = self.new_bar(title, total, unit)

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done in the stage, and facts to show beside the bar."""
        if self._bar is not None:
            self._bar.advance(amount, facts)

    def say(self, line: str) -> None:
        """Report a message."""

    def close(self) -> None:
        """End the stage."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Notes(Progress, AbstractContextManager["Notes"]):
    """Store the messages of an operation for its result, and forward all calls; the context ends the stage.

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
        self.close()

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage."""
        self._inner.stage(title, total, unit)

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done."""
        self._inner.advance(amount, **facts)

    def say(self, line: str) -> None:
        """Store a message, with options as the caller spells them; an empty text is no message."""
        if line := spelled(line):
            self.lines.append(line)
            self._inner.say(line)

    def close(self) -> None:
        """End the stage."""
        self._inner.close()


class ProgressBars(Progress):
    """Bars and messages of rich on standard error, or in the cell of a notebook.

    A notebook without ipywidgets cannot redraw a bar: it shows a line at the beginning of each stage.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    def new_bar(self, title: str, total: float | None, unit: str) -> Bar | None:
        """Return a bar, or show a line where a bar cannot be redrawn."""
        if not self._console.is_jupyter or find_spec("ipywidgets"):
            return Bar(title, total, unit, self._console)
        self.say(f"{title}: {total:,.0f} {unit}" if total else title)
        return None

    def say(self, line: str) -> None:
        """Show a message, above the bar if there is one."""
        self._console.out(terminal(line), highlight=False)


class Bar:
    """Bar of rich with title, share, rate, remaining time and facts; on standard error unless a console is given."""

    def __init__(self, title: str, total: float | None, unit: str, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._unit, self._began, self._done, self._drawn = unit, time.monotonic(), 0.0, 0.0
        self._bar = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=min(24, max(6, shutil.get_terminal_size().columns - 76))),  # the numbers need 76
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=console or Console(stderr=True),
            auto_refresh=False,  # a drawing thread would write to captured standard error
        )
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, rate="", facts="")

    def advance(self, amount: float, facts: Mapping[str, str]) -> None:
        """Move the bar by an amount, and show facts beside it."""
        self._done += amount
        rate = f"{self._done / max(1e-9, time.monotonic() - self._began):,.0f} {self._unit}/s"
        self._bar.update(self._task, advance=amount, rate=rate, facts=_joined(facts))
        if (now := time.monotonic()) - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._bar.refresh()

    def close(self) -> None:
        """Stop the bar in its present state."""
        self._bar.stop()


class Lines:
    """Plain lines on standard error: one every ten seconds, and one at the end of the stage."""

    def __init__(self, title: str, total: float | None, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._began = self._written = time.monotonic()
        self._done, self._facts = 0.0, ""

    def advance(self, amount: float, facts: Mapping[str, str]) -> None:
        """Add to the work done; write a line if the last one is ten seconds old."""
        self._done += amount
        self._facts = _joined(facts)
        if (now := time.monotonic()) - self._written >= _LINE_SECONDS:
            self._written = now
            self._write()

    def close(self) -> None:
        """Write the last line."""
        if self._done:
            self._write()

    def _write(self) -> None:
        rate = self._done / max(1e-9, time.monotonic() - self._began)
        share = f" of {self._total:,.0f}" if self._total else ""
        rest = (self._total or 0) - self._done
        left = f", {rest / rate:.0f} s left" if rest > 0 and rate else ""
        line = f"{self._title}: {self._done:,.0f}{share} {self._unit}, {rate:,.0f}/s{left}  {self._facts}"
        sys.stderr.write(f"{one_line(line.rstrip())}\n")


def _joined(facts: Mapping[str, str]) -> str:
    return one_line("  ".join(f"{key} {value}" for key, value in facts.items()))
