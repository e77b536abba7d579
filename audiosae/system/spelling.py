"""How messages spell options: as flags on the command line (``--min-gap 2``), as arguments in Python (``min_gap=2``).

All messages are written with flags. `spelled` changes them where they reach a caller in Python.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ARGUMENTS = {"set": "settings", "o": "out", "n": "count"}  # whose names differ from those of the flags
_COMMAND = r"(?P<command>\baudiosae [a-z]+ [^;:,()]*)"  # to be typed: it stays as it is
_VALUE = r"(?!--)(?:'[^']*'|\"[^\"]*\"|[^\s'\"]\S*?)(?=[:;,.)]*(?:\s|$))"
_SETTINGS = r"--set (?P<settings>\w+=\S*?(?: (?:--set )?\w+=\S*?)*)(?=[:;,.)]*(?:\s|$))"
_FLAG = rf"-(?:-(?P<name>[a-z][a-z0-9-]*[a-z0-9])|(?P<short>[on]))(?![\w-])(?: (?P<value>{_VALUE}))?"
_OPTION = re.compile(rf"{_COMMAND}|(?<![\w-])(?:{_SETTINGS}|{_FLAG})")
_NO_VALUE = re.compile(  # words that follow a flag in a sentence
    r"[(=].*|and|or|out|is|as|to|in|the|with|only|works?|needs?|uses?|appl(?:y|ies)|trains?|takes?|keeps?|may|omits?"
    r"|leaves?|makes?|was|has|sets?|compares?"
)
_on_command_line = False


@contextmanager
def on_command_line() -> Iterator[None]:
    """Leave messages as they are within the context."""
    global _on_command_line  # noqa: PLW0603 (of the process: threads write messages too)
    before, _on_command_line = _on_command_line, True
    try:
        yield
    finally:
        _on_command_line = before


def spelled(message: str) -> str:
    """Return a message with options as the caller spells them."""
    return message if _on_command_line else with_arguments(message)


def with_arguments(message: str, names: Mapping[str, str] | None = None) -> str:
    """Return a message with arguments of Python in place of flags.

    Parameters
    ----------
    names
        Names of arguments that differ from those of the options.
    """
    known = {**_ARGUMENTS, **(names or {})}

    def argument(match: re.Match[str]) -> str:
        if match["command"]:
            return match[0]
        if match["settings"]:
            pairs = (pair.split("=", 1) for pair in match["settings"].replace("--set ", "").split())
            return "settings={" + ", ".join(f'"{key}": {_literal(value)}' for key, value in pairs) + "}"
        name, value = (match["name"] or match["short"]).replace("-", "_"), match["value"]
        name = known.get(name, name)
        if value is None:
            return name
        return f"{name} {value}" if _NO_VALUE.fullmatch(value) else f"{name}={_literal(value)}"

    return _OPTION.sub(argument, message)


def _literal(value: str) -> str:
    is_literal = value[:1] in {"'", '"'} or value in {"None", "True", "False"}
    return value if is_literal or re.fullmatch(r"-?\d+(\.\d*)?(e-?\d+)?", value) else f'"{value}"'
