"""Small pictures for a page: PNG of few colours, as text."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import default_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


_RATES = (8000, 11025, 12000, 16000, 22050)  # of MP3, as high as a page can afford
_INAUDIBLE = 96000  # from this rate on, sound is slowed down: ultrasound cannot be heard otherwise
SLOWED = 10  # as bat workers do
_PEAK = 0.9
_AT_ONCE = 4096  # samples: libsndfile crashed on one long block of a compressed format


_SHADES = 32  # of a spectrogram: the eye tells hardly more, and half the bytes of 256
_FIGURE_COLOURS = 64
_DEPTH_DB = 50.0  # shown below the loudest


def tile_png(tile: NDArray[Any], limit: float, colours: str) -> str:
    """Return an atom's tile, (rows, columns) within plus and minus `limit` or (rows, columns, 3) within 0 and 1."""
    if tile.ndim == 3:  # noqa: PLR2004
        return _of_colours(tile)
    shades = 2 * _SHADES + 1  # one of them is zero
    return _of_shades(np.clip((tile / limit + 1) / 2, 0, 1), colours, shades)


def scene_png(scene: NDArray[Any], colours: str, *, depth: float = 0.0) -> str:
    """Return a picture in shades from its own least to its own largest value, or of the `depth` below that."""
    if scene.ndim == 3:  # noqa: PLR2004
        low, high = float(scene.min()), float(scene.max())
        return _of_colours((scene - low) / max(high - low, 1e-12))
    high = float(scene.max())
    low = high - depth if depth else float(scene.min())
    return _of_shades(np.clip((scene - low) / max(high - low, 1e-12), 0, 1), colours, _SHADES)


def sound_scene_png(scene: NDArray[Any]) -> str:
    """Return a spectrogram in dB, the 50 dB below its loudest value."""
    return scene_png(scene, "magma", depth=_DEPTH_DB)


def gradient_png(colours: str) -> str:
    """Return the colours of a scale from least to most, as a strip."""
    return _of_shades(np.linspace(0, 1, 2 * _SHADES + 1)[None], colours, 2 * _SHADES + 1)


def canvas_of(figure: Figure) -> Any:  # noqa: ANN401 (its methods have no types)
    """Return what a figure is drawn on, as pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return FigureCanvasAgg(figure)


def figure_pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as it is laid out, (height, width, 3)."""
    canvas = canvas_of(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def pixels_png(pixels: NDArray[np.uint8]) -> str:
    """Return pixels (height, width, 3) as a picture of 64 colours."""
    from PIL import Image

    few = Image.fromarray(pixels).quantize(_FIGURE_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return _saved(few)


def _of_shades(values: NDArray[Any], colours: str, shades: int) -> str:
    """Return values in [0, 1] as a picture with a palette."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(np.rint(values * (shades - 1)).astype(np.uint8)))
    picture.putpalette(_palette(colours, shades))
    return _saved(picture)


@lru_cache(maxsize=16)
@default_settings()
def _palette(colours: str, shades: int) -> bytes:
    from matplotlib import colormaps

    palette = np.rint(255 * colormaps[colours](np.linspace(0, 1, shades))[:, :3])
    return bytes(palette.astype(np.uint8).tobytes())


def _of_colours(values: NDArray[Any]) -> str:
    from PIL import Image

    return _saved(Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)))


def _saved(picture: Any) -> str:  # noqa: ANN401 (Pillow's Image, which is not imported for all)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=8)  # half the time of 9, and a hundredth more bytes
    return base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True)
class Sound:
    """A sound as a page keeps it: a data URL, and how many times slower than it was it plays."""

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
