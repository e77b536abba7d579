"""Capture of standard error, including what C libraries write to it."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEARD = 300  # bytes of what a decoder says on standard error


@dataclass
class CapturedStderr:
    """Text captured from standard error: the first lines, joined."""

    text: str = ""


@cache
def _stderr_file() -> IO[bytes]:
    """Return this process's file for captured text; its descriptor appends, so that no writer overwrites another."""
    file = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (it lives as long as the process)
    atexit.register(file.close)
    return file


class _Redirected:
    """Where standard error of this process leads while anything captures it."""

    def __init__(self) -> None:
        self._lock, self._depth, self._kept = Lock(), 0, -1

    def begin(self) -> int:
        """Lead standard error to the file; return where in it the text begins, -1 if there is no standard error."""
        with self._lock:
            if not self._depth:
                try:
                    self._kept = os.dup(2)
                except OSError:
                    return -1
                os.dup2(_stderr_file().fileno(), 2)
            self._depth += 1
            return _stderr_file().seek(0, os.SEEK_END)

    def end(self, began: int) -> bytes:
        """Return what was written since; the last one to end gives standard error back."""
        with self._lock:
            self._depth -= 1
            file = _stderr_file()
            file.seek(began)
            heard = file.read(_HEARD)
            if not self._depth:
                os.dup2(self._kept, 2)
                os.close(self._kept)
                file.truncate(0)
            return heard


_redirected = _Redirected()


@contextmanager
def capture_stderr(captured: CapturedStderr) -> Iterator[None]:
    """Capture what this process writes to standard error meanwhile, C libraries included.

    Several may capture at once, one within another or in several threads: standard error comes back with the last of
    them. It is the process's, so that what other threads write meanwhile is captured too.
    """
    began = _redirected.begin()
    try:
        yield
    finally:
        if began >= 0:
            captured.text = " ".join(_redirected.end(began).decode("utf-8", "replace").split())
