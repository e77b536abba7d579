"""A domain's options: from ``--set KEY=VALUE``, to JSON and back."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import numpy as np

from audiosae.domain.guard import plugin_call, plugin_error
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from audiosae.domain.protocol import Domain, Json


_BOOLEANS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def option_defaults(cls: type[Domain]) -> dict[str, Json]:
    """Return the options of a domain class with their defaults (None where an option must be given)."""
    return {f.name: None if f.default is MISSING else f.default for f in fields(cls)}  # type: ignore[arg-type]


def options_of(domain: Domain) -> dict[str, Json]:
    """Return the options of a domain as JSON values; `make_domain` takes them back."""
    return {f.name: getattr(domain, f.name) for f in fields(domain)}  # type: ignore[arg-type]


def make_domain(cls: type[Domain], options: Mapping[str, Any]) -> Domain:
    """Build a domain from JSON values or from the strings of the command line.

    Raises
    ------
    InputError
        An option that the domain does not have, or a value of the wrong kind.
    """
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    hints = _option_types(cls)
    values = {}
    for key, value in options.items():
        if key not in known:
            raise InputError(f"--set {key}={value}: {cls.name} has no option {key}; it has {', '.join(known)}")
        try:
            values[key] = _convert(value, hints[key])
        except (ValueError, TypeError, KeyError, OverflowError):
            raise InputError(f"--set {key}={value}: {cls.name}'s {key} wants {_wanted(hints[key])}") from None
    with plugin_call(cls, "__post_init__"):
        return cls(**values)


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` strings; the last of several wins."""
    parsed = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--set {text}: wanted KEY=VALUE, for instance --set n_mels=64")
        parsed[key.strip()] = value.strip()
    return parsed


def _option_types(cls: type[Domain]) -> dict[str, Any]:
    """Return the types of the fields alone: a domain's other annotations may not be importable at run time."""
    annotations = {f.name: f.type for f in fields(cls)}  # type: ignore[arg-type]
    return get_type_hints(type("Options", (), {"__annotations__": annotations, "__module__": cls.__module__}))


def _wanted(kind: Any) -> str:  # noqa: ANN401
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    return _WANTED[kind]


def _convert(value: Any, kind: Any) -> Any:  # noqa: ANN401
    """Turn a JSON value or a text into the annotated type; ValueError when it is not one."""
    if get_origin(kind) is Literal:
        found = [choice for choice in get_args(kind) if str(choice) == str(value)]
        return found[0] if found else _refuse()
    if kind is bool:
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
        return _refuse()
    if kind is int and isinstance(value, float) and value != int(value):
        return _refuse()
    return kind(value)


def _refuse() -> NoReturn:
    raise ValueError


def resolved(domain: Domain, paths: Sequence[Path]) -> Domain:
    """Have a domain choose what was left open, and see that windows can be cut.

    Raises
    ------
    PluginError
        Its code fails, or `window` or `stride` is not one positive whole number per axis.
    """
    with plugin_call(domain, "resolve"):
        found = domain.resolve(paths)
        if type(found) is not type(domain):
            raise TypeError(f"it gave {found!r}, wanted a {type(domain).__name__}")
        if make_domain(type(found), json.loads(json.dumps(options_of(found)))) != found:
            raise TypeError(f"its options do not survive JSON: {found}")
    check_window(found)
    return found


def check_window(domain: Domain) -> None:
    """Refuse a domain whose windows cannot be cut (see `resolved`)."""
    with plugin_call(domain, "window"):
        window = domain.window
    if not _whole(window):
        raise plugin_error(
            domain, f"wanted window as a tuple with one whole number per axis of the field, found {window!r}"
        )
    with plugin_call(domain, "stride"):
        stride = domain.stride
    if not _whole(stride) or len(stride) != len(window) or (0 in stride and 0 not in window):
        raise plugin_error(
            domain,
            f"wanted stride as a tuple with one whole number above 0 per axis of the window, found {stride!r} for a "
            f"window of {window!r}",
        )


def _whole(shape: object) -> bool:
    """Return whether something is a shape; a width of 0 is one: no file could be read that would resolve it."""
    if not isinstance(shape, tuple) or not shape:
        return False
    return all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in shape)
