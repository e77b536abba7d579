"""Folders that two runs must not change at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Held:
    """A lock on a folder, until it is closed or the process ends, however it ends."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        """Hold it for the length of a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it go."""
        self.close()

    def close(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def hold(folder: Path, *, shared: bool = False) -> Held | None:
    """Lock a folder; None when another process holds it.

    The lock is the system's (flock), so none is left behind by a process that was killed. Where a file system or the
    system has no such locks, it is granted.

    Parameters
    ----------
    folder
        A folder that is there.
    shared
        Whether others may hold it shared at the same time.
    """
    try:
        import fcntl
    except ImportError:
        return Held(None)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        pass
    return Held(descriptor)
