"""Declaration of options: name, type, default, range, group and help text are stated once, in a signature.

A parameter of a command, or a field of a dataclass of options, is annotated with `Option`. From these declarations the
command line, the check of ranges, the groups of ``--help``, the section Parameters of the docstring and the tables of
the manual are generated.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import textwrap
from dataclasses import dataclass, fields
from functools import wraps
from numbers import Integral, Real
from operator import attrgetter
from types import MappingProxyType, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from audiosae.errors import AudiosaeError, InputError
from audiosae.system.progress import counted
from audiosae.system.spelling import spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

P = ParamSpec("P")
R = TypeVar("R")

Group = Literal["Input", "Model", "Training", "Method", "Machine", "Output"]
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LARGEST_SIZE = 2**60  # bytes: a larger one is a typing error
_KINDS: dict[type, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
}


@dataclass(frozen=True)
class Option:
    """Declaration of an option, besides its name, type and default.

    Attributes
    ----------
    help
        One or two sentences, for the command line and for Python.
    python
        Additional sentence for the docstring of the Python function.
    group
        Heading in ``--help``.
    least, most
        Closed range of a number. The command line refuses other numbers as wrong usage (status 2).
    allowed, wanted
        Any other condition on the value, and its description for the error message.
    flags
        Flags on the command line, if not ``--name`` with hyphens; empty for a positional argument.
    metavar, default
        Value and default in ``--help``, if the signature does not show them.
    typed
        Type of the value on the command line, if it differs from the annotation.
    parse
        Function of the option's flag and the typed text that returns the value for the Python function.
    required
        Whether the option is required on the command line although it has a default in Python.
    otherwise
        Function of the other arguments that returns the value if the option is missing on the command line.
    """

    help: str
    group: Group = "Output"
    least: float | None = None
    most: float | None = None
    allowed: Callable[[Any], bool] | None = None
    wanted: str = ""
    flags: tuple[str, ...] | None = None
    metavar: str = ""
    default: str = ""
    typed: Any = None
    parse: Callable[[str, Any], Any] | None = None
    required: bool = False
    otherwise: Callable[[Mapping[str, Any]], Any] | None = None
    python: str = ""

    @property
    def range(self) -> str:
        """The allowed values in words; "" if any value is allowed."""
        if self.wanted or self.least is None:
            return self.wanted or ("" if self.most is None else f"at most {self.most:g}")
        return f"at least {self.least:g}" if self.most is None else f"{self.least:g} to {self.most:g}"

    def check(self, name: str, value: float | str | None) -> None:
        """Raise InputError if a value is not allowed; None counts as not given."""
        inside = (
            value is None
            or isinstance(value, str)
            or ((self.least is None or value >= self.least) and (self.most is None or value <= self.most))
        )
        if not inside or (value is not None and self.allowed is not None and not self.allowed(value)):
            raise InputError(f"{flag(name)} {value}: wanted {self.range}")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command with its declaration."""

    name: str
    kind: Any
    option: Option
    default: Any
    unpacked: bool = False  # from a TypedDict; the domain may have another default

    def check(self, value: Any) -> None:  # noqa: ANN401
        """Raise InputError if a value of the Python function has the wrong type or is not allowed."""
        if value is None and (self.unpacked or self.default is None):
            return
        if value is None:
            raise InputError(f"{flag(self.name)} None: wanted {self.option.range or 'a value'}")
        checked(self.name, value, without_none(self.kind), self.option)


@dataclass(frozen=True)
class Command:
    """Declaration of a command.

    Attributes
    ----------
    function
        The Python function.
    example
        Example that runs in a clone of the repository.
    text
        Function that returns the text for the terminal from the result.
    parameters
        Parameters in order, including those of an unpacked TypedDict.
    """

    function: Callable[..., Any]
    example: str
    text: Callable[[Any], str]
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str:
        """Name of the command."""
        return self.function.__name__


def command(
    *,
    example: str,
    text: Callable[[Any], str] = attrgetter("text"),
    declared: tuple[type, ...] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a command; see `Command`.

    The arguments are checked against their declared types and ranges, the signature shows the keywords of an unpacked
    TypedDict, and the docstring gets the section Parameters from the declarations. With ``strict=True`` the command
    raises InputError after the work if a source was skipped; the error's `result` is the function's result.

    Parameters
    ----------
    example, text
        See `Command`.
    declared
        Dataclasses of options that declare the keywords of an unpacked TypedDict.
    defaults
        Defaults of the built-in domain, shown in place of those of the dataclasses.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = tuple(_parameters(function, declared, defaults))
        known = {parameter.name: parameter for parameter in parameters}
        signature = inspect.signature(function)
        own, keyword = signature.parameters, inspect.Parameter.KEYWORD_ONLY
        signature = signature.replace(
            parameters=[
                inspect.Parameter(p.name, keyword, default=p.default, annotation=p.kind)
                if p.unpacked
                else own[p.name].replace(annotation=p.kind)
                for p in parameters
            ]
        )

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                arguments = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            try:
                for name, value in arguments.items():
                    known[name].check(value)
                result = function(*args, **kwargs)
                if arguments.get("strict") and (skipped := getattr(result, "skipped", ())):
                    message = f"--strict: {counted(len(skipped), 'source')} skipped; the others were used"
                    raise InputError(message, result)
            except AudiosaeError as error:
                error.args = (spelled(str(error)),)
                raise
            return result

        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__doc__ = _documented(function.__doc__ or "", parameters)
        called.command = Command(called, example, text, parameters)  # type: ignore[attr-defined]
        return called

    return decorate


def declaration_of(function: Callable[..., Any]) -> Command:
    """Return the declaration of a function that `command` has decorated."""
    return function.command  # type: ignore[attr-defined, no-any-return]


def declarations(kind: type) -> dict[str, tuple[Any, Option]]:
    """Return the type and the `Option` of each field of a dataclass of options."""
    names = vars(sys.modules[kind.__module__])  # functions in a declaration need the names of their module
    hints = get_type_hints(kind, globalns=names, include_extras=True)
    return {name: (base, option) for name, hint in hints.items() for base, option in [_split(hint)] if option}


def checked(name: str, value: float | str, kind: object, option: Option) -> float | str:
    """Return the value of an option as a Python value; raise InputError if its type or value is not allowed."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise InputError(f"{flag(name)} {value}: wanted one of {', '.join(get_args(kind))}")
    if isinstance(kind, type) and kind in _KINDS:
        value = _number(name, value, kind)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{flag(name)} {value}: wanted a finite number")
    option.check(name, value)
    return value


def byte_count(option: str, text: str, *, least: str = "0") -> int:
    """Return the number of bytes of a text such as 512M or 1.5G; raise InputError if less than `least`, or absurd."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise InputError(f"{option} {text}: wanted a size such as 512M or 20G")
    size = float(match[1]) * _UNITS[match[2].upper()]
    if size > _LARGEST_SIZE:
        raise InputError(f"{option} {text}: wanted at most {_LARGEST_SIZE // _UNITS['T']}T")
    count = int(size)
    if least != "0" and count < byte_count(option, least):
        raise InputError(f"{option} {text}: wanted at least {least}")
    return count


def flag(name: str) -> str:
    """Return the flag of an option: ``--name`` with hyphens."""
    return "--" + name.replace("_", "-")


def _number(name: str, value: object, kind: type) -> float:
    """Return a number as int, float or bool of Python, as JSON needs; 64.0 and True are not whole numbers."""
    base, wanted = _KINDS[kind]
    is_bool = isinstance(value, bool) or type(value).__name__ == "bool"  # also that of NumPy
    if is_bool != (kind is bool) or not (is_bool or isinstance(value, base)):
        raise InputError(f"{flag(name)} {value!r}: wanted {wanted}")
    return value if isinstance(value, int | float) else kind(value)


def without_none(kind: object) -> object:
    """Return the type that an optional type has besides None."""
    kinds = [each for each in get_args(kind) if each is not NoneType]
    return kinds[0] if get_origin(kind) in {Union, UnionType} and len(kinds) == 1 else kind


def _split(hint: object) -> tuple[object, Option | None]:
    """Return the type and the `Option` of an annotation."""
    if get_origin(hint) is not Annotated:
        return hint, None
    base, *extras = get_args(hint)
    return base, next((extra for extra in extras if isinstance(extra, Option)), None)


def _parameters(
    function: Callable[..., Any], declared: tuple[type, ...], defaults: Mapping[str, Any]
) -> Iterator[Parameter]:
    """Yield the parameters of a function, with the keys of an unpacked TypedDict in place of the keyword dictionary."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            keys = get_type_hints(next(iter(get_args(hints.get(name))), object))
            found = [
                Parameter(
                    field.name,
                    *declarations(owner)[field.name],
                    defaults.get(field.name, field.default),
                    unpacked=True,
                )
                for owner in declared
                for field in fields(owner)
                if field.name in keys
            ]
            if not keys or keys.keys() != {each.name for each in found}:
                raise TypeError(f"{function.__name__}: every key of the TypedDict of **{name} must be in `declared`")
            yield from found
            continue
        kind, option = _split(hints.get(name))
        if option is None or parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError(f"{function.__name__}: parameter {name} has no Option")
        if parameter.default not in {None, inspect.Parameter.empty}:
            option.check(name, parameter.default)
        yield Parameter(name, kind, option, parameter.default)


def _documented(doc: str, parameters: tuple[Parameter, ...]) -> str:
    """Return a docstring with the section Parameters inserted before the section Returns."""
    head, separator, rest = doc.partition("    Returns\n    -------")
    lines = ["    Parameters", "    ----------"]
    for parameter in parameters:
        option = parameter.option
        default = "" if option.required or not option.default else f"Default: {option.default}."
        text = " ".join(part for part in (option.help, option.python or default) if part)
        lines += [f"    {parameter.name}", *textwrap.wrap(text, 112, initial_indent=" " * 8, subsequent_indent=" " * 8)]
    return head + "\n".join(lines) + f"\n\n{separator}{rest}"
