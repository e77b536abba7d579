"""Locks on folders that two runs must not change at once."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_LOCK_FILE, _LOCK_BYTES = ".lock", 2**30


class FolderLock:
    """A lock on a folder, until it is closed or the process ends, however it ends."""

    def __init__(self, descriptor: int | None, file: Path | None = None) -> None:
        self._descriptor, self._file = descriptor, file

    def __enter__(self) -> Self:
        """Hold it for the length of a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.close()

    def covers(self, folder: Path) -> bool:
        """Return whether a folder is still the one that was locked, and was not removed or put in its place."""
        if self._descriptor is None:
            return folder.is_dir()
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(folder))  # noqa: PTH116
        except OSError:
            return False

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            if self._file is not None:
                with contextlib.suppress(OSError):  # another has it open
                    self._file.unlink()


def lock_folder(folder: Path, *, shared: bool = False) -> FolderLock | None:
    """Lock a folder; None when another process holds it.

    The lock is the system's (flock; on Windows bytes of a file in the folder), so none is left behind by a process that
    was killed. Where a file system or the system has no such locks, it is granted. A shared one leaves room for other
    shared ones.
    """
    try:
        import fcntl
    except ImportError:
        return _hold_file(folder, shared=shared)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        pass
    return FolderLock(descriptor)


def _hold_file(folder: Path, *, shared: bool) -> FolderLock | None:
    """Lock bytes of a file in a folder: all of them alone, or shared one of one's own. For Windows."""
    try:
        import msvcrt
    except ImportError:
        return FolderLock(None)
    system: Any = msvcrt  # the type checker knows it on Windows alone
    file = folder / _LOCK_FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        os.lseek(descriptor, os.getpid() % _LOCK_BYTES if shared else 0, os.SEEK_SET)
        system.locking(descriptor, system.LK_NBLCK, 1 if shared else _LOCK_BYTES)
    except OSError:
        os.close(descriptor)
        return None
    return FolderLock(descriptor, file)
