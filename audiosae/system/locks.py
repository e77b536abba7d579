"""Locks on folders: shared for runs that read a folder, exclusive for a run that changes it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_LOCK_FILE, _LOCK_BYTES = ".lock", 2**30


class FolderLock(contextlib.AbstractContextManager["FolderLock"]):
    """Lock on a folder. `close` releases it, and so does the end of the process, even if the process is killed."""

    def __init__(self, descriptor: int | None, file: Path | None = None) -> None:
        self._descriptor, self._file = descriptor, file

    def __exit__(self, *error: object) -> None:
        self.close()

    def covers(self, folder: Path) -> bool:
        """Return whether the folder at this path is still the locked one, and was not removed or replaced."""
        if self._descriptor is None:
            return folder.is_dir()
        try:
            return os.path.samestat(os.fstat(self._descriptor), folder.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            if self._file is not None:
                with contextlib.suppress(OSError):  # another process has it open
                    self._file.unlink()


def lock_folder(folder: Path, *, shared: bool = False) -> FolderLock | None:
    """Lock a folder; None if another process has locked it.

    The operating system manages the lock (flock; on Windows a lock on bytes of a file in the folder), so a killed
    process leaves no lock behind. If the system or the file system has no such locks, every request succeeds. Shared
    locks exclude exclusive locks, but not each other.
    """
    try:
        import fcntl
    except ImportError:
        return _lock_file(folder, shared=shared)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        pass
    return FolderLock(descriptor)


def _lock_file(folder: Path, *, shared: bool) -> FolderLock | None:
    """Lock bytes of a file in a folder, for Windows: all bytes if exclusive, one byte per process if shared."""
    try:
        import msvcrt
    except ImportError:
        return FolderLock(None)
    system: Any = msvcrt  # the type checker knows its functions on Windows only
    file = folder / _LOCK_FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        os.lseek(descriptor, os.getpid() % _LOCK_BYTES if shared else 0, os.SEEK_SET)
        system.locking(descriptor, system.LK_NBLCK, 1 if shared else _LOCK_BYTES)
    except OSError:
        os.close(descriptor)
        return None
    return FolderLock(descriptor, file)
