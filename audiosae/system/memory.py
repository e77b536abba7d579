"""Available memory of this process, and what it keeps of the memory that it no longer uses."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from pathlib import Path

_GROUPS = (  # control groups of version 2 and 1: folder, files of the limit and of the usage
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
# of mallopt: memory that is kept at the end of the heap, and the size from which arrays are outside of it
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGE = 2**25, 2**24  # bytes
_SOON, _MEDIUM = 2**20, 2**20


def keep_freed() -> None:
    """Keep freed memory for the next arrays of this process, up to 32 MiB; on other systems than glibc do nothing.

    By default, the C library returns it to the system after each recording, and often within one: each page is then
    zeroed and mapped again, which took five per cent of the time of decoding. Settings of the user are not changed.
    """
    _set_malloc(_KEPT, _LARGE)


def _set_malloc(kept: int, large: int) -> None:
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith("MALLOC_") for name in os.environ):
        library = ctypes.CDLL(None)
        for option, count in ((_TRIM_THRESHOLD, kept), (_MMAP_THRESHOLD, large)):
            library.mallopt(option, count)


def return_freed() -> None:
    """Return the memory of large arrays to the system when they are freed; on other systems than glibc do nothing.

    By default, the C library takes the next arrays from the heap when larger ones were freed, and keeps holes in it.
    """
    _set_malloc(_SOON, _MEDIUM)


def available() -> int | None:
    """Return the bytes of memory that this process may still allocate; None if the system does not report them."""
    import psutil

    limits = [_left_in_group(*group) for group in _GROUPS]
    with contextlib.suppress(OSError):  # /proc is not mounted
        limits.append(int(psutil.virtual_memory().available))
    return min((count for count in limits if count is not None), default=None)


def _left_in_group(folder: Path, limit_file: str, usage_file: str) -> int | None:
    """Return the bytes left in a control group; file pages that the system can reclaim count as free."""
    try:
        limit, usage = (int((folder / name).read_text(encoding="ascii")) for name in (limit_file, usage_file))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):  # no such group, or no limit ("max")
        return None
    return max(0, limit - usage + cached)
