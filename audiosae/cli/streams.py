"""Standard streams as they are found: in any code page, or not there at all."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """See to it that printing never fails for want of a character or of a stream.

    What the encoding lacks is escaped. A stream that was closed before the start (daemons), or is none (pythonw), takes
    everything and keeps nothing; its descriptor is filled too, lest the next file that is opened becomes the standard
    error of the C libraries.
    """
    for descriptor in (0, 1, 2):
        _fill(descriptor)
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fill(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened == descriptor:
            os.set_inheritable(opened, True)  # noqa: FBT003
        else:
            os.close(opened)


def _nowhere() -> TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (it lives as long as the process)
