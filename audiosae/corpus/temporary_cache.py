"""A cache for one command, which keeps nothing: a temporary folder, also removed if the command was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.corpus.cache import release
from audiosae.system.locks import lock_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "audiosae-fields-"
_ABANDONED = 3600.0  # seconds since the last entry, for file systems without locks


@contextlib.contextmanager
def temporary_cache() -> Iterator[Path]:
    """Yield a folder for decoded fields that is removed at the end; remove those that killed commands have left."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_abandoned(path)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with lock_folder(folder) or contextlib.nullcontext():
            try:
                yield folder
            finally:
                release(folder)


def _remove_abandoned(path: Path) -> None:
    """Remove a folder of this user that no process has locked and into which nothing was written for an hour."""
    status = path.lstat()
    if path.is_symlink() or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        return
    written = max((each.lstat().st_mtime for each in path.glob("*")), default=0.0)
    if time.time() - max(written, status.st_mtime) < _ABANDONED or (lock := lock_folder(path)) is None:
        return
    lock.close()
    shutil.rmtree(path, ignore_errors=True)
