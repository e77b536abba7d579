"""Images and sounds of a page as base64 text: PNG with a small palette, FLAC of rounded samples or WAV."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import default_settings
from audiosae.views.rounded_samples import rounded_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

COLOUR_NDIM = 3  # axes of a colour image (rows, columns, 3), which needs no colour map
SLOWED = 10  # playback of ultrasound, as is usual for bat recordings
_LOWEST_RATE, _HIGHEST_RATE = 8000, 22050  # Hz: browsers play no lower ones; higher ones would take too many bytes
_INAUDIBLE = 96000  # sample rate from which sound is slowed down: ultrasound is not audible otherwise
_PEAK = 0.9
_WAV, _FLAC = "WAV", "FLAC"
_SAMPLES_PER_WRITE = 4096  # encoders of libsndfile 1.2.2 have crashed
_SHADES = 32  # of a spectrogram: more are hardly visible, and 256 take twice the bytes
_FIGURE_COLOURS = 64
_DEPTH_DB = 50.0  # range of a spectrogram, below its loudest value


def tile_png(tile: NDArray[Any], limit: float, colours: str) -> str:
    """Return the PNG of an atom's tile: (rows, columns) in [-`limit`, `limit`] or (rows, columns, 3) in [0, 1]."""
    if tile.ndim == COLOUR_NDIM:
        return _rgb_png(tile)
    shown = np.where(np.isnan(tile), 0, tile)  # outside the pattern
    return _palette_png(np.clip((shown / limit + 1) / 2, 0, 1), colours, 2 * _SHADES + 1)  # one shade is zero


def scene_png(scene: NDArray[Any], colours: str, *, depth: float = 0.0) -> str:
    """Return the PNG of a scene scaled to its own range, or to the `depth` below its largest value if given."""
    high = float(scene.max())
    low = high - depth if depth and scene.ndim < COLOUR_NDIM else float(scene.min())
    if scene.ndim == COLOUR_NDIM:
        return _rgb_png((scene - low) / max(high - low, 1e-12))
    return _palette_png(np.clip((scene - low) / max(high - low, 1e-12), 0, 1), colours, _SHADES)


def sound_scene_png(scene: NDArray[Any]) -> str:
    """Return the PNG of a spectrogram in dB, from 50 dB below its loudest value."""
    return scene_png(scene, "magma", depth=_DEPTH_DB)


def sheet_png(values: NDArray[np.uint8], shades: int) -> str:
    """Return the PNG of spectrograms in at most 16 shades, from 0 to `shades` - 1, with four bits per pixel."""
    from PIL import Image

    picture = Image.fromarray(values)
    picture.putpalette(_palette("magma", shades))
    return _png(picture, bits=4, compress_type=zlib.Z_RLE)  # a seventh of the time of the usual type, and 1 % smaller


def gradient_png(colours: str) -> str:
    """Return the PNG of a colour scale, a strip from its lowest to its highest colour."""
    return _palette_png(np.linspace(0, 1, 2 * _SHADES + 1)[None], colours, 2 * _SHADES + 1)


def figure_pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure rendered as pixels, (height, width, 3); the figure's canvas is the one that rendered it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def pixels_png(pixels: NDArray[np.uint8]) -> str:
    """Return the PNG of pixels (height, width, 3), reduced to 64 colours."""
    from PIL import Image

    return _png(
        Image.fromarray(pixels).quantize(_FIGURE_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    )


def _palette_png(values: NDArray[Any], colours: str, shades: int) -> str:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(np.rint(values * (shades - 1)).astype(np.uint8)))
    picture.putpalette(_palette(colours, shades))
    return _png(picture)


@lru_cache(maxsize=16)
@default_settings()
def _palette(colours: str, shades: int) -> bytes:
    from matplotlib import colormaps

    return bytes(np.rint(255 * colormaps[colours](np.linspace(0, 1, shades))[:, :3]).astype(np.uint8).tobytes())


def _rgb_png(values: NDArray[Any]) -> str:
    from PIL import Image

    return _png(Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)))


def _png(picture: Picture, **options: int) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=8, **options)  # half the time of level 9 for 1 % more bytes
    return base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True)
class Sound:
    """A sound of a page: its data URL, and by which factor it is slowed down."""

    data: str
    slowed: int


def slowing(rate: int) -> int:
    """Return the factor by which a sound of a sample rate in Hz is slowed down, so that ultrasound is audible."""
    return SLOWED if rate > _INAUDIBLE else 1


@dataclass(frozen=True)
class SoundFile:
    """A sound file: its bytes, media type and sample rate in Hz, and by which factor the sound is slowed down."""

    content: bytes
    kind: str
    rate: int
    slowed: int


def encode_sound(samples: NDArray[np.float32], rate: int) -> Sound:
    """Return a mono sound compressed, at a fixed peak level and at a sample rate that browsers play.

    FLAC of samples that are rounded (see `rounded_samples`). Sampling rates above 96 kHz are slowed down.
    """
    slowed = slowing(rate)
    target_rate = min(max(round(rate / slowed), _LOWEST_RATE), _HIGHEST_RATE)
    levelled = _levelled(samples, round(rate / slowed), target_rate)
    content = _sound_file(rounded_samples(levelled), target_rate, _FLAC)
    return Sound(f"data:audio/flac;base64,{base64.b64encode(content).decode()}", slowed)


def wav_sound(samples: NDArray[np.float32], rate: int) -> SoundFile:
    """Return a mono sound with all of its frequencies as 16-bit WAV, at a fixed peak level.

    Sampling rates above 96 kHz are slowed down, and those below 8 kHz are raised, for browsers.
    """
    slowed = slowing(rate)
    target_rate = max(round(rate / slowed), _LOWEST_RATE)
    content = _sound_file(_levelled(samples, round(rate / slowed), target_rate), target_rate, _WAV)
    return SoundFile(content, "audio/wav", target_rate, slowed)


def _levelled(samples: NDArray[np.float32], rate: int, target_rate: int) -> NDArray[np.float32]:
    """Return a sound at another sample rate and at a fixed peak level."""
    samples = np.nan_to_num(samples)
    if rate != target_rate and len(samples):
        import soxr

        samples = np.asarray(soxr.resample(samples, rate, target_rate, quality="HQ"), np.float32)
    return np.asarray(samples * (_PEAK / max(float(np.abs(samples).max(initial=0)), 1e-6)), np.float32)


def _sound_file(samples: NDArray[Any], rate: int, form: str) -> bytes:
    """Return mono samples as a file of 16 bits in a format of libsndfile."""
    from audiosae.system.sound_files import open_sound_file

    file = io.BytesIO()
    with open_sound_file(file, "w", rate, 1, format=form, subtype="PCM_16") as writer:
        for start in range(0, len(samples), _SAMPLES_PER_WRITE):
            writer.write(samples[start : start + _SAMPLES_PER_WRITE])
    return file.getvalue()
