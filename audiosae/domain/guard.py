"""Calling a stranger's code: whatever it raises becomes one line that names the plugin and the method."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from audiosae.errors import AudiosaeError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audiosae.domain.protocol import Domain

GROUP = "audiosae.domains"  # of the entry points by which domains are found
_PROPERTIES = ("window", "stride")


@contextmanager
def asking(domain: Domain | type[Domain], what: str) -> Iterator[None]:
    """Turn what a domain raises within into a PluginError that names the method; what it raises on purpose passes."""
    try:
        yield
    except (AudiosaeError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        call = what if what in _PROPERTIES else f"{what}()"
        raise fault(domain, f"{call} raised {type(error).__name__}: {error}") from error


def fault(domain: Domain | type[Domain], told: str) -> PluginError:
    """Return the error for what a domain should not have done, with whom to tell."""
    cls = domain if isinstance(domain, type) else type(domain)
    packages = {point.dist.name for point in metadata.entry_points(group=GROUP, name=domain.name) if point.dist}
    author = packages.pop() if len(packages) == 1 else cls.__module__
    return PluginError(f"domain {domain.name}: {' '.join(told.split())}; please report this to {author}")
