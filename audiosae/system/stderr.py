"""Capture of standard error, including what C libraries write to it."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
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


@contextmanager
def capture_stderr(captured: CapturedStderr) -> Iterator[None]:
    """Capture what this process writes to standard error meanwhile, C libraries included."""
    file = _stderr_file()
    try:
        kept = os.dup(2)
    except OSError:  # there is none: nothing is written, and nothing to be heard
        yield
        return
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if file.seek(0, os.SEEK_END):
            file.seek(0)
            captured.text = " ".join(file.read(_HEARD).decode("utf-8", "replace").split())
            file.truncate(0)
