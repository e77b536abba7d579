"""Imports without parts of other packages that are never used here: each process needs less memory.

Imported by name in the server of decoding processes, this module imports SciPy's transforms.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNUSED = ("f2py", "testing")  # of NumPy, imported at first use; SciPy copies all names of NumPy, and so imports them


@contextmanager
def without_unused(*packages: str) -> Iterator[None]:
    """Import SciPy without `numpy.f2py` and `numpy.testing` (7 MiB), and other packages as if some were not installed.

    Parameters
    ----------
    packages
        Optional packages of what is imported, which has its own way to do without. Only for a process of audiosae.
    """
    modules = {name: ModuleType(f"numpy.{name}") for name in _UNUSED if name not in vars(np)}
    hidden = [name for name in packages if name not in sys.modules]
    vars(np).update(modules)
    absent: dict[str, Any] = dict.fromkeys(hidden)  # None in place of a module: the import fails
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name, module in modules.items():
            if vars(np).get(name) is module:  # a submodule that was imported meanwhile stays
                delattr(np, name)
        for name in hidden:
            del sys.modules[name]


with without_unused():
    import_module("scipy.fft")
