"""Sound files of libsndfile that a Ctrl-C cannot damage. Importing this module loads soundfile."""

from __future__ import annotations

from typing import Any

import soundfile

from audiosae.system.interrupts import hold_interrupts


def open_sound_file(*args: Any, **kwargs: Any) -> soundfile.SoundFile:  # noqa: ANN401
    """Open a sound file that a Ctrl-C cannot damage; the arguments are those of `soundfile.SoundFile`."""
    return _SoundFile(*args, **kwargs)


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile has no types
    """A sound file whose calls of libsndfile are not interrupted; a Ctrl-C takes effect after each call.

    A file that is a Python object is read and written by Python functions that libsndfile calls. An exception in them
    is printed and lost: without it, samples would be missing, and Ctrl-C would have no effect.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        with hold_interrupts():
            super().__init__(*args, **kwargs)

    def read(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return samples; see `soundfile.SoundFile.read`."""
        with hold_interrupts():
            return super().read(*args, **kwargs)

    def write(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Append samples; see `soundfile.SoundFile.write`."""
        with hold_interrupts():
            super().write(*args, **kwargs)

    def seek(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401
        """Move to a frame; see `soundfile.SoundFile.seek`."""
        with hold_interrupts():
            return int(super().seek(*args, **kwargs))

    def __exit__(self, *error: object) -> None:
        with hold_interrupts():
            super().__exit__(*error)
