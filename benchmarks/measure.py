"""Measurement of figures: calls are timed in turn, and their medians are compared."""

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

Array = Any  # of NumPy, CuPy or PyTorch
_PAUSE = 0.1  # seconds in which the threads of the previous measurement stop spinning
PACKAGES = (
    "audiosae",
    "numpy",
    "scipy",
    "librosa",
    "soundfile",
    "soxr",
    "scikit-learn",
    "torch",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    name
        What is compared with what.
    value, bar
        The ratio, None if it could not be measured (`detail` states why), and its target.
    at_least
        Whether larger values are better.
    detail
        The measured times, as text.
    """

    name: str
    value: float | None
    bar: float
    at_least: bool
    detail: str = ""

    @property
    def reached(self) -> bool:
        """Whether the bar is reached; True if the value was not measured."""
        if self.value is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    @property
    def shown(self) -> str:
        """The value as text."""
        return "not measured" if self.value is None else f"{self.value:.3g}"

    def to_json(self) -> dict[str, Any]:
        """Return the figure as JSON values."""
        return asdict(self) | {"held": self.reached}


def alternate(
    calls: dict[str, Callable[[], Any]],
    *,
    repeats: int,
    least: float = 0.0,
    within: dict[str, Callable[[], AbstractContextManager[Any]]] | None = None,
) -> dict[str, float]:
    """Time calls in turn and return the median seconds of each.

    Parameters
    ----------
    calls
        Functions to time; each is called once before, to warm up.
    repeats
        Number of rounds.
    least
        Shortest duration of a measurement in seconds; short calls are repeated.
    within
        Context managers that are entered around the measurements of a call, as they would be around a whole run.
    """
    contexts = {name: (within or {}).get(name, nullcontext) for name in calls}
    times: dict[str, list[float]] = {name: [] for name in calls}
    repetitions = {}
    for name, call in calls.items():
        with contexts[name]():
            call()
            began = time.perf_counter()
            call()
            repetitions[name] = max(1, round(least / max(1e-9, time.perf_counter() - began)))
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(_PAUSE)
            with contexts[name]():
                call()
                began = time.perf_counter()
                for _ in range(repetitions[name]):
                    call()
                times[name].append((time.perf_counter() - began) / repetitions[name])
    return {name: statistics.median(each) for name, each in times.items()}


def milliseconds(seconds: dict[str, float]) -> str:
    """Return times as text, in milliseconds."""
    return ", ".join(f"{name} {1000 * value:.3g} ms" for name, value in seconds.items())


def machine() -> dict[str, Any]:
    """Return versions and hardware, which are needed to compare figures."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = None
    facts["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts["cpu"] = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        facts["cpu"] = platform.processor()
    facts["gpu"] = detect_gpu().description or None
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    facts["commit"] = commit.stdout.strip()
    return facts
