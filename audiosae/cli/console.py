"""Output of a command: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from audiosae.system.progress import Bar as _Bar
from audiosae.system.progress import Progress, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN_SECONDS = 10.0  # between lines without a terminal


class Console(Progress):
    """One command's output; `quiet`: nothing but results and errors; `as_json`: one JSON object in place of text."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self._quiet, self._json, self._out = quiet, as_json, sys.stdout
        if as_json:
            sys.stdout = sys.stderr  # standard output is one JSON object, even if a plugin prints
        self._stage: _Bar | _Lines | None = None
        _open.add(self)

    def say(self, line: str) -> None:
        """Print a message on standard error."""
        if not self._quiet:
            if self._stage is not None:
                self._stage.pause()
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def result(self, text: str, facts: Mapping[str, Any]) -> None:
        """Print the result: the text for a person, or the facts as JSON."""
        self.close()
        if self._json:
            print(json.dumps(_plain(facts), default=float, allow_nan=False), file=self._out, flush=True)
        elif not self._quiet:
            print(text, flush=True)  # noqa: T201

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage with a bar on a terminal, plain lines elsewhere."""
        self.close()
        if not self._quiet:
            self._stage = (_Bar if sys.stderr.isatty() else _Lines)(title, total, unit)

    def advance(self, amount: float, **facts: str) -> None:
        """Move the bar."""
        if self._stage is not None:
            self._stage.advance(amount, facts)

    def close(self) -> None:
        """End the stage."""
        if self._stage is not None:
            self._stage.close()
            self._stage = None


_open: WeakSet[Console] = WeakSet()


def close_all() -> None:
    """End all stages, so that the terminal shows the cursor again."""
    for console in list(_open):
        console.close()


class _Lines:
    """Progress as plain lines: one every ten seconds and one at the end."""

    def __init__(self, title: str, total: float | None, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._began = self._printed = time.monotonic()
        self._done, self._facts = 0.0, ""

    def advance(self, amount: float, facts: Mapping[str, str]) -> None:
        self._done += amount
        self._facts = joined(facts)
        now = time.monotonic()
        if now - self._printed >= _PLAIN_SECONDS:
            self._printed = now
            self._print(now - self._began)

    def pause(self) -> None:
        """Lines need no pause."""

    def close(self) -> None:
        if self._done:
            self._print(time.monotonic() - self._began)

    def _print(self, seconds: float) -> None:
        rate = self._done / max(1e-9, seconds)
        share = f" of {self._total:,.0f}" if self._total else ""
        left = (
            f", {(self._total - self._done) / rate:.0f} s left"
            if self._total and self._total > self._done and rate
            else ""
        )
        line = f"{self._title}: {self._done:,.0f}{share} {self._unit}, {rate:,.0f}/s{left}  {self._facts}"
        print(line.rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value for JSON; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None
