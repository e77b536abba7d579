"""How a figure is measured: alternating with what it is compared to, medians of repeats."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.backends import detect_gpu

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_PAUSE = 0.1  # seconds in which the threads of what was measured before stop spinning
PACKAGES = ("audiosae", "numpy", "scipy", "librosa", "soundfile", "soxr", "scikit-learn", "torch", "cupy-cuda12x",
            "cupy-cuda13x")  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    name
        What over what.
    value, bar
        The ratio, None where it could not be measured (the detail says why), and what it should reach.
    at_least
        Whether more is better.
    detail
        The times behind it, in words.
    """

    name: str
    value: float | None
    bar: float
    at_least: bool
    detail: str = ""

    @property
    def held(self) -> bool:
        """Whether the bar is reached; what was not measured has not missed it."""
        if self.value is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    @property
    def shown(self) -> str:
        """The value for a person."""
        return "not measured" if self.value is None else f"{self.value:.3g}"

    def to_json(self) -> dict[str, Any]:
        """Return the figure as JSON values."""
        return asdict(self) | {"held": self.held}


def alternate(
    calls: dict[str, Callable[[], Any]],
    *,
    repeats: int,
    least: float = 0.0,
    within: dict[str, Callable[[], AbstractContextManager[Any]]] | None = None,
) -> dict[str, float]:
    """Time calls in turn; return the median seconds of each.

    Parameters
    ----------
    calls
        What is timed; each is called once before, to warm up.
    repeats
        Rounds.
    least
        Seconds that one measurement should take; short calls are repeated within it.
    within
        What is entered around the measurements of a call, as it would be around a whole run.
    """
    around = {name: (within or {}).get(name, nullcontext) for name in calls}
    times: dict[str, list[float]] = {name: [] for name in calls}
    inner = {}
    for name, call in calls.items():
        with around[name]():
            call()
            began = time.perf_counter()
            call()
            inner[name] = max(1, round(least / max(1e-9, time.perf_counter() - began)))
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(_PAUSE)
            with around[name]():
                call()
                began = time.perf_counter()
                for _ in range(inner[name]):
                    call()
                times[name].append((time.perf_counter() - began) / inner[name])
    return {name: statistics.median(found) for name, found in times.items()}


def told(seconds: dict[str, float]) -> str:
    """Return times in words."""
    return ", ".join(f"{name} {1000 * value:.3g} ms" for name, value in seconds.items())


def peak_memory(command: list[str], **environment: str) -> float:
    """Run a command; return the most memory that it and its children held at once, in MiB (Linux)."""
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _held(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return peak


def _held(pid: int) -> float:
    """Return the anonymous memory of a process and its children in MiB.

    What is mapped from files can be given back at any time and does not count.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    own = sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))
    return own + sum(_held(int(child)) for child in children)


def machine() -> dict[str, Any]:
    """Return what a reader must know to compare figures."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    found["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found["cpu"] = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        found["cpu"] = platform.processor()
    found["gpu"] = detect_gpu().description or None
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    found["commit"] = commit.stdout.strip()
    return found
