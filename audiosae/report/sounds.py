"""Sounds for a page: small files that every browser plays, as text."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RATES = (8000, 11025, 12000, 16000, 22050)  # of MP3, as high as a page can afford
_INAUDIBLE = 96000  # from this rate on, sound is slowed down: ultrasound cannot be heard otherwise
SLOWED = 10  # as bat workers do
_PEAK = 0.9
_AT_ONCE = 4096  # samples: libsndfile crashed on one long block of a compressed format


@dataclass(frozen=True)
class Sound:
    """A sound as a page keeps it.

    Attributes
    ----------
    data
        A data URL.
    slowed
        How many times slower than it was it plays.
    """

    data: str
    slowed: int


def encode_sound(samples: NDArray[np.float32], rate: int) -> Sound:
    """Return a mono sound, brought to one peak level and to a rate that browsers play, compressed.

    MP3 where libsndfile writes it (1.1 and newer), else 16-bit WAV.
    """
    import soundfile

    slowed = SLOWED if rate > _INAUDIBLE else 1
    rate = round(rate / slowed)
    wanted = next(r for r in _RATES if r >= min(rate, _RATES[-1]))
    samples = _resampled(np.nan_to_num(samples), rate, wanted)
    samples = samples * (_PEAK / max(float(np.abs(samples).max(initial=0)), 1e-6))
    mp3 = "MP3" in soundfile.available_formats()
    kind, subtype, mime = ("MP3", "MPEG_LAYER_III", "audio/mpeg") if mp3 else ("WAV", "PCM_16", "audio/wav")
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", wanted, 1, format=kind, subtype=subtype) as writer:
        for at in range(0, len(samples), _AT_ONCE):
            writer.write(samples[at : at + _AT_ONCE])
    return Sound(f"data:{mime};base64,{base64.b64encode(file.getvalue()).decode()}", slowed)


def _resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    if rate == wanted or not len(samples):
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, rate, wanted, quality="HQ"), np.float32)
