"""Reading of pictures (Pillow) and of arrays, upright, in pieces of float32 pixels."""

from __future__ import annotations

import stat
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from audiosae.errors import InputError
from audiosae_images.arrays import BORDER, Pictures, open_mat, open_npy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".npy", ".mat")
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")  # others, such as EPS, make Pillow start programs
_PIXELS_AT_ONCE = 2**20
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_ARRAYS: dict[str, Callable[[Path], NDArray[Any]]] = {".npy": open_npy, ".mat": open_mat}
_RGB = 3
_TURNED = range(5, 9)  # EXIF orientations with rows and columns swapped


@dataclass(frozen=True)
class Header:
    """Header of a picture: its upright size in pixels, its file format and its pixel format."""

    rows: int
    columns: int
    format: str
    mode: str


class _Picture(Protocol):
    header: Header

    def piece(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """Return a piece of shape (rows, columns, 1 or 3)."""
        ...


def read_header(path: Path) -> Header:
    """Read the header of a picture, without decoding it.

    Raises
    ------
    InputError
        The file is not a regular file, is empty, unreadable or not a picture, or claims too many pixels.
    """
    with _opened(path) as picture:
        return picture.header


def read_blocks(path: Path, channels: int) -> Iterator[Pixels]:
    """Yield a picture in blocks of rows, each of shape (rows, columns, channels).

    Between the pictures of a stack there is a row of `audiosae_images.arrays.BORDER`.

    Unsigned integers of 8 and 16 bits are scaled to [0, 1]; other values are not changed.

    Parameters
    ----------
    path
        A picture, or an array of pictures (see `audiosae_images.arrays`).
    channels
        1 for grey (ITU-R BT.601 luma), 3 for red, green and blue.

    Raises
    ------
    InputError
        As in `read_header`, or the picture cannot be decoded, or has values that are not finite.
    """
    with _opened(path) as picture:
        rows, columns = picture.header.rows, picture.header.columns
        step = max(1, _PIXELS_AT_ONCE // columns)
        for top in range(0, rows, step):
            block = _in_channels(picture.piece(top, min(top + step, rows), 0, columns), channels)
            good = np.isfinite(block).all(axis=(1, 2))
            if not good.all():
                raise InputError(f"NaN, infinite or too large values: the first in row {top + int(good.argmin())}")
            yield block


def read_piece(path: Path, channels: int, start: tuple[float, ...], end: tuple[float, ...]) -> Pixels:
    """Return the pixels from (row, column) `start` to `end`, exclusive, with the values of `read_blocks`."""
    with _opened(path) as picture:
        limits = picture.header.rows, picture.header.columns
        top, left = (min(max(0, round(edge)), limit) for edge, limit in zip(start, limits, strict=True))
        bottom, right = (min(max(0, round(edge)), limit) for edge, limit in zip(end, limits, strict=True))
        if top >= bottom or left >= right:
            raise InputError(f"no pixels from {start} to {end}: the picture has {limits[0]} rows of {limits[1]} pixels")
        return _in_channels(picture.piece(top, bottom, left, right), channels)


def _in_channels(piece: Pixels, channels: int) -> Pixels:
    if channels == piece.shape[2]:
        return piece
    if channels == 1:
        red, green, blue = (piece[..., i : i + 1] * np.float32(share) for i, share in enumerate(_LUMA))
        grey = red + green + blue  # BLAS would round by the size of the piece
        grey[piece[..., :1] == BORDER] = BORDER
        return grey
    return np.repeat(piece, channels, axis=2)


class _Decoded:
    """A picture read by Pillow; it is decoded completely at the first call of `piece`."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.header = self._upright()

    def _upright(self) -> Header:
        image = self._image
        (columns, rows), turned = image.size, _orientation(image) in _TURNED
        # Newer versions of Pillow give the upright size before decoding.
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            columns, rows = (image.tag_v2[tag] for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength))
            turned = image.tag_v2.get(ExifTags.Base.Orientation, 1) in _TURNED
        columns, rows = (rows, columns) if turned else (columns, rows)
        return Header(rows, columns, image.format or "?", image.mode)

    def piece(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """Crop first, then rotate and convert, so that only the piece is copied."""
        with _reasons():
            self._image.load()
            orientation = _orientation(self._image)
            swapped, flip_x, flip_y = orientation in _TURNED, orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7)
            width, height = self._image.size
            (x0, x1), (y0, y1) = ((top, bottom), (left, right)) if swapped else ((left, right), (top, bottom))
            x0, x1 = (width - x1, width - x0) if flip_x else (x0, x1)
            y0, y1 = (height - y1, height - y0) if flip_y else (y0, y1)
            pixels = _values(self._image.crop((x0, y0, x1, y1)))
        pixels = pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
        return pixels.swapaxes(0, 1) if swapped else pixels


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that Pillow does not apply."""
    if image.format == "TIFF":  # Pillow applies it
        return 1
    if image.format == "PNG" and "exif" not in image.info:  # a further search would decode the picture
        return 1
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 (a broken EXIF block may raise anything; the pixels are good)
        return 1
    return orientation if orientation in range(1, 9) else 1


def _values(image: Image.Image) -> Pixels:
    """Return pixels as numbers, (rows, columns, 1 or 3); transparent ones are blended with white."""
    if image.mode.startswith("I;16"):
        return np.asarray(image, np.float32)[..., None] / np.float32(65535)
    if image.mode in ("I", "F"):
        return np.asarray(image, np.float32)[..., None]
    if image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
        alpha: Pixels = layers[..., _RGB:]
        return layers[..., :_RGB] * alpha + (1 - alpha)
    grey = image.mode in ("1", "L")
    pixels = np.asarray(image.convert("L" if grey else "RGB"), np.float32) / np.float32(255)
    return pixels[..., None] if grey else pixels


class _Array:
    """An array of one picture or several."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        self._pictures = Pictures(array)
        self.header = Header(self._pictures.rows, self._pictures.columns, name, self._pictures.mode)

    def piece(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """Read a piece."""
        return self._pictures.piece(top, bottom, left, right)


@contextmanager
def _opened(path: Path) -> Iterator[_Picture]:
    """Open a picture or an array; InputError with the reason if that fails."""
    with _reasons(), ExitStack() as stack:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file")
        if status.st_size == 0:
            raise InputError("empty: zero bytes")
        if opener := _ARRAYS.get(path.suffix.lower()):
            picture: _Picture = _Array(opener(path), path.suffix[1:].upper())
        else:
            picture = _Decoded(Image.open(stack.enter_context(path.open("rb")), formats=_FORMATS))
        open_file = stack.pop_all()
    with open_file:
        yield picture


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn any error in reading a file into an InputError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on unusual metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (InputError, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"too large to decode safely: {_one_line(error)} (.npy files may have any size)") from error
    except UnidentifiedImageError as error:
        raise InputError(f"not a picture: neither {', '.join(_FORMATS[:-1])} nor {_FORMATS[-1]}") from error
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror}" if error.strerror else _undecodable(error)) from error
    except Exception as error:  # the decoders of Pillow may raise anything for a broken file
        raise InputError(_undecodable(error)) from error


def _undecodable(error: Exception) -> str:
    return f"undecodable: {_one_line(error) or type(error).__name__}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
