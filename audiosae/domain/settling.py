"""A domain whose options are all chosen, and whose windows can be cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from audiosae.domain.guard import asking
from audiosae.domain.options import make_domain, options_of
from audiosae.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audiosae.domain.protocol import Domain


def settled(domain: Domain, paths: Sequence[Path]) -> Domain:
    """Have a domain choose what was left open, and see that windows can be cut.

    Raises
    ------
    PluginError
        Its code fails, or `window` or `stride` is not one positive whole number per axis.
    """
    with asking(domain, "settle"):
        found = domain.settle(paths)
        if type(found) is not type(domain):
            raise TypeError(f"it gave {found!r}, wanted a {type(domain).__name__}")
        if make_domain(type(found), json.loads(json.dumps(options_of(found)))) != found:
            raise TypeError(f"its options do not survive JSON: {found}")
    check_window(found)
    return found


def check_window(domain: Domain) -> None:
    """Refuse a domain whose windows cannot be cut (see `settled`)."""
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
