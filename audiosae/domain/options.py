"""Options of a domain: from ``--set KEY=VALUE``, to JSON and back."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from audiosae.domain.guard import plugin_call, plugin_error
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from audiosae.domain.protocol import Domain, Json


_BOOLEANS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_SHOWN = 60  # characters of a key or value in an error message
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def option_defaults(cls: type[Domain]) -> dict[str, Json]:
    """Return the options of a domain class with their defaults, None for an option without one."""
    return {f.name: None if f.default is MISSING else f.default for f in fields(cls)}  # type: ignore[arg-type]


def options_of(domain: Domain) -> dict[str, Json]:
    """Return the options of a domain as JSON values, from which `make_domain` builds it again."""
    return {f.name: getattr(domain, f.name) for f in fields(domain)}  # type: ignore[arg-type]


def make_domain(cls: type[Domain], options: Mapping[str, Any]) -> Domain:
    """Build a domain from JSON values or from the strings of the command line.

    Raises
    ------
    InputError
        The domain does not have an option, or a value has the wrong type.
    """
    annotations = {f.name: f.type for f in fields(cls)}  # type: ignore[arg-type]
    # only types of options: other annotations may not be importable at run time
    hints = get_type_hints(type("Options", (), {"__annotations__": annotations, "__module__": cls.__module__}))
    values = {}
    for key, value in options.items():
        if key not in hints:
            raise InputError(
                f"{_setting(key, value)}: {cls.name} has no option {key[:_SHOWN]}; it has {', '.join(hints)}"
            )
        try:
            values[key] = _convert(value, hints[key])
        except (ValueError, TypeError, KeyError, OverflowError):
            expected = _EXPECTED.get(hints[key]) or "one of " + ", ".join(map(str, get_args(hints[key])))
            raise InputError(f"{_setting(key, value)}: {cls.name}'s {key} must be {expected}") from None
    with plugin_call(cls, "__post_init__"):
        return cls(**values)


def _setting(key: str, value: object) -> str:
    """Return an option as it is given on the command line; a model file may have any, so a long one is shortened."""
    return f"--set {key[:_SHOWN]}={str(value)[:_SHOWN]}"


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` strings; the last value of a key is used."""
    parsed = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--set {text}: wanted KEY=VALUE, for instance --set n_mels=64")
        parsed[key.strip()] = value.strip()
    return parsed


def _convert(value: object, kind: type[Any]) -> object:
    """Turn a JSON value or a text into the annotated type; any error means that this is not possible."""
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in reversed(get_args(kind))}[str(value)]
    if kind is bool:
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    is_fraction = isinstance(value, float) and kind is int and value != int(value)
    if isinstance(value, bool) or is_fraction or (kind is str and not isinstance(value, str)):
        raise TypeError
    return kind(value)


def resolved(domain: Domain, paths: Sequence[Path]) -> Domain:
    """Return a domain with all options resolved from the sources, and with valid windows.

    Raises
    ------
    PluginError
        The code of the domain fails, or `window` or `stride` is not one positive whole number per axis.
    """
    odd = {number for number, path in enumerate(paths) if not path.is_file()}  # a pipe might never end
    files = [path for number, path in enumerate(paths) if number not in odd] if odd else paths
    with plugin_call(domain, "resolve"):
        result = domain.resolve(files)
        if type(result) is not type(domain):
            raise TypeError(f"it returned {result!r}, wanted a {type(domain).__name__}")
        if make_domain(type(result), json.loads(json.dumps(options_of(result)))) != result:
            raise TypeError(f"the options of {result} change when they are saved as JSON")
    check_window(result)
    return result


def check_window(domain: Domain) -> None:
    """Raise PluginError for a domain whose `window` or `stride` is not one positive whole number per axis."""
    with plugin_call(domain, "window"):
        window = domain.window
    if not _is_shape(window):
        raise plugin_error(
            domain, f"wanted window as a tuple with one whole number per axis of the field, found {window!r}"
        )
    with plugin_call(domain, "stride"):
        stride = domain.stride
    if not _is_shape(stride) or len(stride) != len(window) or (0 in stride and 0 not in window):
        raise plugin_error(
            domain,
            f"wanted stride as a tuple with one whole number above 0 per axis of the window, found {stride!r} for a "
            f"window of {window!r}",
        )


def _is_shape(shape: object) -> bool:
    """Return whether a value is a shape; 0 is valid: a width stays 0 if no file can be read to resolve it."""
    return (
        isinstance(shape, tuple)
        and len(shape) > 0
        and all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in shape)
    )
