"""Calling a stranger's code: whatever it raises becomes one line that names the plugin and the method."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from audiosae.errors import AudiosaeError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    except (Exception, SystemExit) as error:
        cls = domain if isinstance(domain, type) else type(domain)
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(
            f"domain {domain.name}: its {what} failed ({told}); this is a fault in {cls.__module__}, tell its authors"
        ) from error
