"""Calls of plugin code: an unexpected error becomes one line that names the plugin and the method."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from audiosae.errors import AudiosaeError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audiosae.domain.protocol import Domain

GROUP = "audiosae.domains"  # entry-point group of domains


@contextmanager
def plugin_call(domain: Domain | type[Domain], method: str) -> Iterator[None]:
    """Turn an error of a domain's `method` into a PluginError that names it; errors of audiosae pass unchanged."""
    try:
        yield
    except (AudiosaeError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        call = method if method in ("window", "stride") else f"{method}()"
        raise plugin_error(domain, f"{call} raised {type(error).__name__}: {error}") from error


def plugin_error(domain: Domain | type[Domain], problem: str) -> PluginError:
    """Return the error for a domain that does not follow the interface; it names the package to report it to."""
    packages = {point.dist.name for point in metadata.entry_points(group=GROUP, name=domain.name) if point.dist}
    author = packages.pop() if len(packages) == 1 else domain.__module__
    return PluginError(f"domain {domain.name}: {' '.join(problem.split())}; please report this to {author}")
