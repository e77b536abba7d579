"""Available memory of this process: the system's, and what its control group (container) allows."""

from __future__ import annotations

import contextlib
from pathlib import Path

_GROUPS = (  # control groups of version 2 and 1: folder, files of the limit and of the usage
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


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
