"""Calling a stranger's code: whatever it raises becomes one line that names the plugin and the method."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import AudiosaeError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from audiosae.domain.protocol import Domain


@contextmanager
def asking(domain: Domain | type[Domain], what: str) -> Iterator[None]:
    """Turn what a domain raises within into a PluginError; what it raises on purpose passes.

    Parameters
    ----------
    domain
        Who is asked.
    what
        The method, for the message.
    """
    try:
        yield
    except (AudiosaeError, MemoryError):
        raise
    except Exception as error:
        cls = domain if isinstance(domain, type) else type(domain)
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(
            f"domain {domain.name}: its {what} failed ({told}); this is a fault in {cls.__module__}, tell its authors"
        ) from error


def settled(domain: Domain, paths: Sequence[Path]) -> Domain:
    """Have a domain choose what was left open, and see that windows can be cut.

    Raises
    ------
    PluginError
        Its code fails, or `window` or `stride` is not one positive whole number per axis.
    """
    with asking(domain, "settle"):
        domain = domain.settle(paths)
    _check_window(domain)
    return domain


def _check_window(domain: Domain) -> None:
    with asking(domain, "window"):
        window = domain.window
    with asking(domain, "stride"):
        stride = domain.stride
    tuples = isinstance(window, tuple) and isinstance(stride, tuple) and len(window) == len(stride) > 0
    whole = tuples and all(isinstance(n, int | np.integer) and n >= 0 for n in window + stride)
    if not whole or (0 in stride and 0 not in window):  # a width of 0: no file could be read that would settle it
        raise PluginError(
            f"domain {domain.name}: wanted window and stride as tuples with one whole number above 0 per axis of the "
            f"field, found {window!r} and {stride!r}; this is a fault in {type(domain).__module__}, tell its authors"
        )
