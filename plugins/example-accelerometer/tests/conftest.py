from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

if find_spec("example_accelerometer") is None:  # not installed: test this folder
    sys.path.insert(0, str(Path(__file__).parents[1]))


def write_recording(path: Path, *, seconds: float = 30, rate: float = 50, seed: int = 0) -> Path:
    """Write a recording of walking, running and standing: steps along z, half as fast along x, gravity, noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    steps_per_second = np.repeat(rng.choice([0, 1.8, 2.8], 1 + int(seconds // 5)), int(5 * rate))[: len(time)]
    phase = 2 * np.pi * np.cumsum(steps_per_second) / rate
    strength = steps_per_second * rng.uniform(0.5, 1.5)
    axes = [strength * np.sin(phase / 2), 0.3 * strength * np.cos(phase), 9.81 + strength * np.sin(phase) ** 3]
    table = np.column_stack([time, np.array(axes).T + 0.1 * rng.normal(size=(len(time), 3))])
    np.savetxt(path, table, delimiter=",", header="time,x,y,z", comments="", fmt="%.6g")
    return path


@pytest.fixture
def write() -> Callable[..., Path]:
    return write_recording
