"""How much memory this process may still take."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def available() -> int | None:
    """Return the bytes of memory that this process may still take; None where the system does not tell."""
    found = [_of_group(*group) for group in _GROUPS]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    known = [number for number in found if number is not None]
    return min(known) if known else _by_system()


def _by_system() -> int | None:
    """Return what Windows says is free; elsewhere all the memory there is, which nothing can exceed."""
    if sys.platform == "win32":
        return _free_on_windows()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _free_on_windows() -> int | None:
    """Return the free physical memory, from GlobalMemoryStatusEx."""
    import ctypes

    kernel: Any = getattr(ctypes, "windll", None)
    status = (ctypes.c_uint64 * 8)()  # MEMORYSTATUSEX: two numbers of 4 bytes, seven of 8; the second of these is free
    status[0] = ctypes.sizeof(status)
    if kernel is None or not kernel.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status[2])


def _of_group(folder: Path, most: str, used: str) -> int | None:
    """Return what a control group (a container) has left; pages of files that it would give back count as free."""
    try:
        limit, now = (int((folder / name).read_text(encoding="ascii")) for name in (most, used))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):  # not there, or "max"
        return None
    return max(0, limit - now + cached)
