"""Registry of domains: entry points of the group ``audiosae.domains``, listed without import, loaded by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, cast, get_args

from audiosae.domain.guard import GROUP
from audiosae.domain.options import make_domain, options_of
from audiosae.domain.protocol import Domain, Kind
from audiosae.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.domain.protocol import Json

BUILT_IN = "spectrogram"
_PLUGINS = "plugins/audiosae-images (images and vectors are in plugins/ of the sources of audiosae)"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")  # of a distribution; also of a domain
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,49}")
_REQUIRED = ("name", "suffixes", "window", "field")


@dataclass(frozen=True)
class Listing:
    """A domain as declared by its package, without importing it."""

    name: str
    package: str
    version: str
    target: str


def list_domains() -> list[Listing]:
    """Return the declared domains, sorted by name, without importing them."""
    listings = {
        Listing(point.name, getattr(point.dist, "name", "?"), getattr(point.dist, "version", "?"), point.value)
        for point in metadata.entry_points(group=GROUP)
    }
    return sorted(listings, key=lambda listing: (listing.name, listing.package, listing.target))


def find_domain(name: str, *, package: str = "") -> Listing:
    """Return the declaration of a domain.

    Parameters
    ----------
    name
        Name of the entry point.
    package
        The distribution that a model file names; the message repeats it, as a claim of the file, if it can be the
        name of a distribution.

    Raises
    ------
    PluginError
        No package declares the domain, or more than one does.
    """
    listings = list_domains()
    matches = [listing for listing in listings if listing.name == name]
    packages = sorted({listing.package for listing in matches})
    if len(packages) > 1:
        raise PluginError(f"domain {name} is declared by {' and '.join(packages)}; uninstall one of them")
    if not matches:
        installed = ", ".join(sorted({listing.name for listing in listings})) or "none"
        solution = f"try: pip install {_PLUGINS}"
        if package and _NAME.fullmatch(package):
            solution = f"the model file names this package, so trust the file first; try: pip install {package}"
        elif package:
            solution = "the model file does not name a valid package; ask the person who made it"
        raise PluginError(f"no domain {name} is installed (installed: {installed}); {solution}")
    return matches[0]


def load_domain(name: str, *, package: str = "") -> type[Domain]:
    """Import the class of a domain.

    Raises
    ------
    PluginError
        The domain is not declared, is declared twice, cannot be imported, or is not a subclass of `Domain`.
    """
    listing = find_domain(name, package=package)
    origin = f"domain {name} of {listing.package} {listing.version}"
    try:
        cls = metadata.EntryPoint(name, listing.target, GROUP).load()
    except (Exception, SystemExit) as error:  # the module of a plugin may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PluginError(f"{origin} cannot be imported: {reason}") from error
    fault = fault_of(cls, name)
    if fault:
        raise PluginError(f"{origin} is not a domain: {listing.target} {fault}")
    return cast("type[Domain]", cls)


def fault_of(cls: object, name: str) -> str:
    """Return why an object is not a domain class; empty if it is one."""
    missing = [key for key in _REQUIRED if getattr(cls, key, None) in (None, getattr(Domain, key, None))]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not isinstance(cls, type) or not issubclass(cls, Domain):
        return "is not a subclass of audiosae.domain.Domain"
    if cls.kind not in get_args(Kind):
        return f"has kind = {cls.kind!r}, wanted one of {', '.join(get_args(Kind))}"
    if not getattr(getattr(cls, "__dataclass_params__", None), "frozen", False) or cls.name != name:
        return f"is not a frozen dataclass with name = {name!r}"
    return ""


def domain_to_json(domain: Domain) -> dict[str, Json]:
    """Return the description of a domain for a model file: name, package, version and options."""
    own = type(domain).__module__.startswith("audiosae.")  # the package has domains that users cannot choose
    listing = find_domain(BUILT_IN if own else domain.name)
    return {"name": domain.name, "package": listing.package, "version": listing.version, "options": options_of(domain)}


def domain_from_json(description: Mapping[str, Json]) -> Domain:
    """Build a domain from its description (see `domain_to_json`)."""
    options = description.get("options")
    if not isinstance(description.get("name"), str) or not isinstance(options, dict):
        raise PluginError("the model is damaged: it lacks the name or the options of its domain; train again")
    name, package = str(description["name"]), str(description.get("package", ""))
    if not _NAME.fullmatch(name):
        raise PluginError(f"the model is damaged: {name[:40]!r} is not the name of a domain; train again")
    installed = find_domain(name, package=package)
    if package and installed.package != package:
        raise PluginError(
            f"the model file says that it needs domain {name} of {_claimed(package)}, but {installed.package} is "
            "installed; uninstall that and install the other, if you trust the file"
        )
    try:
        return _with_kinds(make_domain(load_domain(name), options), options)
    except InputError as error:
        version = str(description.get("version", "?"))
        made = f"{_claimed(package)} {version if _VERSION.fullmatch(version) else '(no valid version)'}"
        raise PluginError(
            f"the model file says that it was made with {made}, which differs from the installed {installed.version} "
            f"({error}); install that version"
        ) from error


def _with_kinds(domain: Domain, options: Mapping[str, Json]) -> Domain:
    """Return a domain; raise InputError for an option that JSON has as another kind: only the command line has texts.

    True and 1 are equal in Python.
    """
    made = options_of(domain)
    for key, value in options.items():
        if isinstance(value, bool) != isinstance(made[key], bool) or value != made[key]:
            raise InputError(f"option {key} is {value!r}, which means {made[key]!r}")
    return domain


def _claimed(package: str) -> str:
    """Return the name of a package from a file, if it can be one."""
    return package if _NAME.fullmatch(package) else "a package without a valid name"
