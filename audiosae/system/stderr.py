"""Capture of standard error, including the output of C libraries."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import IO, TYPE_CHECKING

from audiosae.system.interrupts import hold_interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAPTURED_BYTES = 300  # of a decoder's messages; the rest is dropped


@dataclass
class CapturedStderr:
    """Text captured from standard error: its first bytes, joined to one line."""

    text: str = ""


@cache
def _stderr_file() -> IO[bytes]:
    """Return the file for captured text of this process; it is open for appending, so no writer overwrites another."""
    file = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (open until the process ends)
    atexit.register(file.close)
    return file


class _Redirected:
    def __init__(self) -> None:
        self._lock, self._depth, self._original = Lock(), 0, -1

    def begin(self) -> int:
        """Redirect standard error to the file; return the offset of the text in it, -1 without standard error."""
        with hold_interrupts(), self._lock:
            if not self._depth:
                try:
                    self._original = os.dup(2)
                except OSError:
                    return -1
                os.dup2(_stderr_file().fileno(), 2)
            self._depth += 1
            return _stderr_file().seek(0, os.SEEK_END)

    def end(self, offset: int) -> bytes:
        """Return the text from an offset on; the last call restores standard error."""
        with hold_interrupts(), self._lock:
            self._depth -= 1
            file = _stderr_file()
            file.seek(offset)
            text = file.read(_CAPTURED_BYTES)
            if not self._depth:
                os.dup2(self._original, 2)
                os.close(self._original)
                file.truncate(0)
            return text

    def restore(self) -> None:
        """Restore standard error if an exception prevented `end`."""
        with self._lock:
            if self._depth:
                self._depth = 0
                os.dup2(self._original, 2)
                os.close(self._original)


_redirected = _Redirected()


def restore_stderr() -> None:
    """End all captures, for the last message of the program: a Ctrl-C may have come as one began or ended."""
    _redirected.restore()


@contextmanager
def capture_stderr(captured: CapturedStderr) -> Iterator[None]:
    """Capture the standard error of this process, including the output of C libraries.

    Captures may be nested, and several threads may capture at once: the last one to end restores standard error.
    Standard error belongs to the process, so the output of other threads is captured too.
    """
    offset = _redirected.begin()
    try:
        yield
    finally:
        if offset >= 0:
            captured.text = " ".join(_redirected.end(offset).decode("utf-8", "replace").split())
