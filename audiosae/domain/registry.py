"""Finding domains: entry points of the group ``audiosae.domains``, listed without importing, loaded by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast, get_args

from audiosae.domain.guard import GROUP
from audiosae.domain.options import make_domain, options_of
from audiosae.domain.protocol import Domain, Kind
from audiosae.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.domain.protocol import Json

BUILT_IN = "spectrogram"
_WHERE = "images and vectors lie in plugins/ of audiosae's sources: pip install plugins/audiosae-images"
_NEEDED = ("name", "suffixes", "window", "field")


@dataclass(frozen=True)
class Listing:
    """A domain as its package declares it, not imported."""

    name: str
    package: str
    version: str
    target: str


def list_domains() -> list[Listing]:
    """Return every declared domain, in order of name, without importing any."""
    found = {
        Listing(
            point.name, point.dist.name if point.dist else "?", point.dist.version if point.dist else "?", point.value
        )
        for point in metadata.entry_points(group=GROUP)
    }
    return sorted(found, key=lambda listing: (listing.name, listing.package, listing.target))


def find_domain(name: str, *, package: str = "") -> Listing:
    """Return the one declaration of a domain.

    Parameters
    ----------
    name
        Name of the entry point.
    package
        The distribution that had it when a model was made; named in the message when it is missing now.

    Raises
    ------
    PluginError
        No package declares it, or more than one does.
    """
    listings = list_domains()
    found = [listing for listing in listings if listing.name == name]
    if len({listing.package for listing in found}) > 1:
        packages = " and ".join(sorted({listing.package for listing in found}))
        raise PluginError(f"domain {name} is declared by {packages}; uninstall one of them")
    if not found:
        there = ", ".join(sorted({listing.name for listing in listings})) or "none"
        todo = f"try: pip install {package}" if package else _WHERE
        raise PluginError(f"no domain {name} is installed (there is: {there}); {todo}")
    return found[0]


def load_domain(name: str, *, package: str = "") -> type[Domain]:
    """Import the class of a domain.

    Raises
    ------
    PluginError
        It is not declared, declared twice, does not import, or is not a domain.
    """
    listing = find_domain(name, package=package)
    try:
        point = metadata.EntryPoint(name, listing.target, GROUP)
        cls = point.load()
    except (Exception, SystemExit) as error:  # a stranger's module may fail in any way
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PluginError(f"domain {name} of {listing.package} {listing.version} does not import: {reason}") from error
    fault = fault_of(cls, name)
    if fault:
        raise PluginError(
            f"domain {name} of {listing.package} {listing.version} is not a domain: {listing.target} {fault}"
        )
    return cast("type[Domain]", cls)


def fault_of(cls: Any, name: str) -> str:  # noqa: ANN401
    """Return why a class is no domain, or an empty text."""
    missing = [key for key in _NEEDED if getattr(cls, key, None) in (None, getattr(Domain, key, None))]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not isinstance(cls, type) or not issubclass(cls, Domain):
        return "is not a subclass of audiosae.domain.Domain"
    if cls.kind not in get_args(Kind):
        return f"has kind = {cls.kind!r}, wanted one of {', '.join(get_args(Kind))}"
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen or cls.name != name:
        return f"is not a frozen dataclass with name = {name!r}"
    return ""


def domain_to_json(domain: Domain) -> dict[str, Json]:
    """Return what a model file keeps of its domain: name, package, version and options."""
    listing = find_domain(domain.name)
    return {"name": domain.name, "package": listing.package, "version": listing.version, "options": options_of(domain)}


def domain_from_json(kept: Mapping[str, Json]) -> Domain:
    """Build the domain that `domain_to_json` described."""
    options = kept.get("options")
    if not isinstance(kept.get("name"), str) or not isinstance(options, dict):
        raise PluginError("the model's domain is not described by a name and options")
    name, package = str(kept["name"]), str(kept.get("package", ""))
    there = find_domain(name, package=package)
    if package and there.package != package:
        raise PluginError(f"the model needs domain {name} of {package}, and {there.package} is installed; swap them")
    try:
        return make_domain(load_domain(name), options)
    except InputError as error:
        made = f"{package} {kept.get('version', '?')}"
        raise PluginError(
            f"the model was made with {made}, and {there.version} is installed and differs ({error}); install {made}"
        ) from error
