"""The line that is printed for an exception, and the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from audiosae.errors import AudiosaeError, Interrupted

if TYPE_CHECKING:
    from audiosae.system.parameters import Command

INTERRUPTED = 130
_LESS_MEMORY = {  # options that lower the use of memory, with the advice
    "hidden": "lower --hidden",
    "max_windows": "lower --max-windows",
    "whiten": "use --whiten scale for very wide windows",
    "workers": "lower --workers",
}
_LESS_GPU_MEMORY = {"hidden": "lower --hidden", "memory": "lower --memory", "backend": "use --backend numpy"}


def explain(error: BaseException, command: Command | None) -> tuple[str, int]:
    """Return the line for an error of a command and the exit status; "" for unexpected exceptions.

    The command is None if it was not found, or not loaded yet.
    """
    line, code = "", 1
    options = {parameter.name for parameter in command.parameters} if command else set()
    if isinstance(error, Interrupted):
        line, code = f"interrupted; {error}", INTERRUPTED
    elif isinstance(error, AudiosaeError):
        line = str(error)
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        cached = "; decoded files are in the cache and need not be decoded again" if "engine" in options else ""
        line, code = f"interrupted{cached}", INTERRUPTED
    elif isinstance(error, OSError):
        file = f"{error.filename}: " if error.filename and error.strerror else ""
        line = f"cannot continue: {file}{error.strerror or error}"
    elif isinstance(error, MemoryError) and "OutOfMemory" in type(error).__name__:  # of CuPy
        line = "the GPU's memory is full" + _advice(_LESS_GPU_MEMORY, options)
    elif isinstance(error, MemoryError):
        line = "not enough memory" + (_advice(_LESS_MEMORY, options) or "; close other programs")
    elif hasattr(error, "format_message"):  # usage errors of Click, or of the copy of it in Typer
        name = f"audiosae {command.name}" if command else "audiosae"
        message = error.format_message().replace("Value error, ", "")  # a prefix that Typer adds to choices
        line, code = f"{message} (see {name} --help)", getattr(error, "exit_code", 2)
    return line, code


def _advice(known: dict[str, str], options: set[str]) -> str:
    *first, last = [advice for option, advice in known.items() if option in options] or [""]
    return f"; {', '.join(first)}{' or ' if first else ''}{last}" if last else ""
