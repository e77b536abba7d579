"""Progress callbacks of long operations. The default does nothing; the CLI prints."""

from __future__ import annotations


class Progress:
    """Callbacks of one operation; this base class ignores them."""

    def stage(self, title: str, total: float | None, unit: str) -> None:
        """Begin a stage of `total` units, or of unknown length."""

    def advance(self, amount: float, **facts: str) -> None:
        """Report work done in the stage, and what a person would like to see beside it."""

    def say(self, line: str) -> None:
        """Report a message."""
