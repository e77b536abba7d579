"""Windows of a sound as if it was a recording of its own, so that a short file and a stretch of a recording are equal.

What surrounds a sound in time, its background noise and the level of its recording are unknown in a file that was cut
out of a recording. So nothing of them is used. The quarter of the levels within the sound that are lowest are taken for
background noise; what rises above them is scaled to the same strength and placed in front of the mean of the model's
training windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.event_codes import scaled_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.sounds.noise_floor import BandLevels, Stretch

_NOISE_QUANTILE, _ABOVE_NOISE = 0.25, 3.0  # of the levels of a sound; dB above it from which levels are shown
_LEAST_DEPTH, _DEPTH = 20.0, 60.0  # dB below the loudest level that are shown at least, and at most


@dataclass(frozen=True)
class SingleSounds:
    """Function that returns the windows of single sounds; can be sent to another process.

    Attributes
    ----------
    bands
        First and last band that are shown; the others show the background. None for all.
    """

    bands: tuple[int, int] | None = None

    def __call__(self, model: Model, levels: BandLevels, sound: Stretch) -> NDArray[np.float32]:
        """Return a window around each row of a sound, (rows, width)."""
        frames, (first, last) = model.domain.window[0], self.bands or (0, levels.bands - 1)
        shown = slice(first, last + 1)
        field = np.zeros((sound.end - sound.start + frames - 1, levels.bands), np.float32)
        own = np.asarray(levels.field[sound.start : sound.end, shown])
        noise, loudest = float(np.quantile(own, _NOISE_QUANTILE)) + _ABOVE_NOISE, float(own.max())
        rise = np.maximum(own - np.float32(min(max(noise, loudest - _DEPTH), loudest - _LEAST_DEPTH)), 0)
        field[frames // 2 : frames // 2 + len(own), shown] = rise
        return scaled_windows(model, field, rise)
