"""Windows of a sound as if it was a recording of its own, so that a short file and a stretch of a recording are equal.

What surrounds a sound in time, its background noise and the level of its recording are unknown in a file that was cut
out of a recording. So nothing of them is used: the levels within the sound, down to a fixed depth below the loudest
one, are scaled to the same strength and placed in front of the mean of the model's training windows.
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

_DEPTH = 30.0  # dB below the loudest level that are shown


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
        rise = np.maximum(own - (own.max() - np.float32(_DEPTH)), 0)
        field[frames // 2 : frames // 2 + len(own), shown] = rise
        return scaled_windows(model, field, rise)
