"""What headers and a few seconds of recordings tell: the rate of most of them, a constant offset."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings import audio
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PROBED = 200  # headers that are read to choose a rate
_HIGHEST_RATE = 22050  # enough for speech, music and most animals; ultrasound detectors keep theirs
_ULTRASOUND_RATE = 192000
_SECONDS = 2.0  # that are heard
_OFFSET = 0.5  # of the rms of the rest; the levels of all bands then move by 2 dB and more, as they are relative


def common_rate(paths: Sequence[Path]) -> int:
    """Return the rate that most of the sound has, by duration; higher ones are brought down to 22050 Hz."""
    seconds: Counter[int] = Counter()
    for path in paths[:: max(1, len(paths) // _PROBED)]:
        try:
            with capture_stderr(CapturedStderr()):  # what a decoder has to say is told when the file is read
                header = audio.read_header(path)
        except InputError:
            continue
        seconds[header.rate] += 1 + min(header.seconds, 1e6)  # type: ignore[assignment]
    if not seconds:
        return _HIGHEST_RATE
    rate = max(sorted(seconds), key=lambda r: seconds[r])
    return rate if rate <= _HIGHEST_RATE or rate >= _ULTRASOUND_RATE else _HIGHEST_RATE


def has_offset(path: Path) -> bool:
    """Return whether the mean of the first seconds is large beside the rms of what varies; InputError: undecodable."""
    samples, _ = audio.read_excerpt(path, 0.0, _SECONDS)
    if not len(samples):
        return False
    mean, deviation = samples.mean(dtype=np.float64), samples.std(dtype=np.float64)
    return bool(0 < deviation < np.inf and abs(mean) > _OFFSET * deviation)
