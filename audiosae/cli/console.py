"""Output of a command: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from audiosae.system.progress import Bar as _Bar
from audiosae.system.progress import Lines, Progress
from audiosae.system.text import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Console(Progress):
    """Output of one command. `quiet`: only errors and JSON. `as_json`: one JSON object instead of the text."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self._quiet, self._json, self._out = quiet, as_json, sys.stdout
        if as_json:
            sys.stdout = sys.stderr  # whatever a plugin prints, standard output is one JSON object
        _open.add(self)

    def say(self, line: str) -> None:
        """Print a message on standard error."""
        if not self._quiet:
            print(terminal(line), file=sys.stderr, flush=True)  # noqa: T201

    def result(self, text: str, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Print the result: the text, or the facts as JSON."""
        self.close()
        if self._json:
            print(json.dumps(_plain(facts()), default=float, allow_nan=False), file=self._out, flush=True)
        elif not self._quiet:
            print(terminal(text), flush=True)  # noqa: T201

    def new_bar(self, title: str, total: float | None, unit: str) -> _Bar | Lines | None:
        """Return a bar on a terminal, plain lines elsewhere."""
        return None if self._quiet else (_Bar if sys.stderr.isatty() else Lines)(title, total, unit)


_open: WeakSet[Console] = WeakSet()


def close_all() -> None:
    """End all stages, so that the terminal shows the cursor again."""
    for console in list(_open):
        console.close()


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
