"""Default settings of matplotlib for figures, independent of the user's settings and backend."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_ENVIRONMENT = {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": ""}


@contextlib.contextmanager
def default_settings() -> Iterator[None]:
    """Use the default settings of matplotlib in this context; the user's settings are restored at its end.

    Create, fill and save a figure in the same context: matplotlib reads settings in all three steps.
    """
    matplotlib = _matplotlib()
    unused = {"backend", "backend_fallback", "interactive"}  # figures have no window
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in unused}
    with matplotlib.rc_context({key: value for key, value in defaults.items() if matplotlib.rcParams[key] != value}):
        yield


def _matplotlib() -> ModuleType:
    """Import matplotlib, if necessary without the user's settings.

    The import fails for a backend that is not installed (processes inherit ``MPLBACKEND`` from a notebook) and for a
    settings file that is not UTF-8.
    """
    try:
        return importlib.import_module("matplotlib")
    except ValueError:  # or its subclass UnicodeDecodeError
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # imported modules would keep a reference to the failed package
        with _without_settings():
            return importlib.import_module("matplotlib")


@contextlib.contextmanager
def _without_settings() -> Iterator[None]:
    """Hide the environment variables of matplotlib, and a settings file in the working folder."""
    before = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    spec = importlib.util.find_spec("matplotlib")
    os.environ.update(_ENVIRONMENT)
    try:
        with contextlib.chdir(Path(spec.origin).parent if spec is not None and spec.origin else Path.home()):
            yield
    finally:
        for key in _ENVIRONMENT:
            os.environ.pop(key, None)
        os.environ.update(before)
