"""How long work tells of itself; the library is silent, the command line listens."""

from __future__ import annotations


class Progress:
    """What a listener can be told. This one tells nobody."""

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage of `total` units, or of unknown length."""

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done in the stage, and what a person would like to see beside it."""

    def say(self, line: str) -> None:
        """Tell something once."""
