"""Suffixes of recordings: those that libsndfile reads, and those that FFmpeg reads with the extra ``av`` (PyAV)."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INSTALL: str = "pip install 'audiosae[av]'"
SNDFILE_SUFFIXES: tuple[str, ...] = (
    ".wav",
    ".flac",
    ".ogg",
    ".mp3",
    ".wave",
    ".oga",
    ".opus",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".snd",
    ".caf",
    ".w64",
    ".rf64",
    ".voc",
    ".nist",
    ".sph",
)
AV_SUFFIXES: tuple[str, ...] = (
    ".m4a",
    ".mp4",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".aac",
    ".wma",
    ".amr",
    ".wv",
    ".m4b",
    ".m4v",
    ".3gp",
    ".mka",
    ".weba",
    ".asf",
    ".wmv",
    ".awb",
    ".ac3",
    ".eac3",
    ".ape",
    ".tta",
    ".spx",
    ".mts",
    ".m2ts",
    ".mpg",
    ".mpeg",
    ".flv",
)
_HEAD = 64  # bytes
_OGG_CODECS = (b"\x7fFLAC", b"Speex   ")  # with which the first packet of an Ogg stream begins


@cache
def has_av() -> bool:
    """Return whether PyAV is installed; it is not imported."""
    return find_spec("av") is not None


def is_av_name(path: Path) -> bool:
    """Return whether the suffix of a file is that of a format that only FFmpeg reads."""
    return path.suffix.lower() in AV_SUFFIXES


def needs_av(path: Path) -> bool:
    """Return whether only FFmpeg reads a file: by its suffix, or because it is Ogg with a codec that libsndfile lacks.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if is_av_name(path):
        return True
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head[:4] == b"OggS" and any(codec in head for codec in _OGG_CODECS)


def kind_of(path: Path) -> str:
    """Return a name of the kind of a file that only FFmpeg reads."""
    return path.suffix.lower() if is_av_name(path) else "Ogg FLAC or Speex"


SUFFIXES: tuple[str, ...] = SNDFILE_SUFFIXES + (AV_SUFFIXES if has_av() else ())
MISSING_SUFFIXES: dict[str, str] = {} if has_av() else dict.fromkeys(AV_SUFFIXES, INSTALL)
