"""Preparation of the standard streams: any character can be printed, and a missing stream is replaced."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Make printing safe in any encoding and without standard streams.

    Characters that the encoding lacks are escaped. A stream that was closed before the start (as in daemons) or is None
    (pythonw) is replaced by the null device, and so is its descriptor: otherwise the next opened file would get it and
    receive the messages of C libraries.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null == descriptor:
                os.set_inheritable(null, True)  # noqa: FBT003
            else:
                os.close(null)
    sys.stdout, sys.stderr = (stream or _null() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _null() -> TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (open until the process ends)
