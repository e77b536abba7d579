"""The settings under which a domain draws: matplotlib's own defaults, whatever the user has chosen for other work."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVIRONMENT = {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": ""}


@contextmanager
def default_settings() -> Iterator[None]:
    """Make, fill and save figures in this block: nothing of the user's settings or backend shows in them.

    Settings are taken when a figure is made, when something is drawn on it and when it is saved, so all three belong
    into the block. Afterwards the user's settings are as they were.
    """
    matplotlib = _matplotlib()
    backend = {"backend", "backend_fallback", "interactive"}  # no figure here has a window
    wanted = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in backend}
    with matplotlib.rc_context({key: value for key, value in wanted.items() if matplotlib.rcParams[key] != value}):
        yield


def _matplotlib() -> Any:  # noqa: ANN401 (a module)
    """Import matplotlib, without the user's settings where they keep it from being imported.

    It refuses a backend that is not installed (a notebook hands ``MPLBACKEND`` on to what it starts), and a file of
    settings that is not UTF-8.
    """
    try:
        return importlib.import_module("matplotlib")
    except ValueError:  # UnicodeDecodeError is one
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # parts that were imported do not find the whole again
        with _without_settings():
            return importlib.import_module("matplotlib")


@contextmanager
def _without_settings() -> Iterator[None]:
    """Hide the variables and, as it is looked for in the working folder first, the file."""
    kept = {key: os.environ.get(key) for key in _ENVIRONMENT}
    spec = find_spec("matplotlib")
    away = Path(spec.origin).parent if spec is not None and spec.origin else Path.home()
    os.environ.update(_ENVIRONMENT)
    try:
        with contextlib.chdir(away):
            yield
    finally:
        for key, value in kept.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
