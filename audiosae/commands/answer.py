"""The result of a command that has no result class of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Answer:
    """What a command prints.

    Attributes
    ----------
    text
        For the terminal.
    facts
        For ``--json``.
    passed
        False for exit status 1.
    """

    text: str
    facts: Mapping[str, Any] = field(repr=False)
    passed: bool = True
