"""The commands of the command line, made from the functions in `audiosae.commands`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli.console import Console
from audiosae.errors import AudiosaeError
from audiosae.system.parameters import flag, without_none
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from audiosae.system.parameters import Command, Parameter

_PYTHON_ONLY = {"progress"}
_SHARED = {
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and JSON).")],
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")],
    "traceback": Annotated[
        bool, typer.Option("--traceback", help="Show where an error comes from (AUDIOSAE_DEBUG=1: always).")
    ],
}


def typer_function(command: Command) -> Callable[..., int]:
    """Return the function that Typer calls for a command: parse, call, print, return the exit status."""
    parameters = [parameter for parameter in command.parameters if parameter.name not in _PYTHON_ONLY]
    shows_progress = len(parameters) < len(command.parameters)

    @one_blas_thread()
    def called(*, quiet: bool, as_json: bool, traceback: bool, **typed: Any) -> int:  # noqa: ANN401, ARG001
        console = Console(quiet=quiet, as_json=as_json)
        arguments = _arguments(parameters, typed) | ({"progress": console} if shows_progress else {})
        try:
            result: Any = command.function(**arguments)
        except AudiosaeError as error:
            if error.result is not None:
                console.result(command.text(error.result), error.result.facts)  # type: ignore[attr-defined]
            raise
        console.result(command.text(result), result.facts)
        return 0 if getattr(result, "passed", True) else 1

    declared = [_declaration(parameter) for parameter in parameters]
    declared += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in _SHARED.items()
    ]
    called.__name__, called.__doc__ = command.name, _help(command.function)
    called.__signature__ = inspect.Signature(declared, return_annotation=int)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in declared}
    return called


def _arguments(parameters: list[Parameter], typed: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the function; what was not typed has the function's own default."""
    given: dict[str, Any] = {}
    for parameter in parameters:
        name, option, value = parameter.name, parameter.option, typed[parameter.name]
        if value is None and option.otherwise is not None:
            value = option.otherwise(given)
        elif value is not None and option.parse is not None:
            value = option.parse((option.flags or (flag(name),))[0], value)
        if value is not None:
            given[name] = value
    return given


def _declaration(parameter: Parameter) -> inspect.Parameter:
    """Return a parameter as Typer reads it."""
    option, default, name = parameter.option, parameter.default, parameter.name
    kind = option.typed or without_none(parameter.kind)
    if option.flags == ():
        argument = typer.Argument(metavar=option.metavar or None, help=option.help)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, argument])
    required = option.required or default is inspect.Parameter.empty
    computed = parameter.unpacked or option.parse or option.default  # the default stands in the help alone
    shown = option.default or (_shown(default) if computed and not required else "")
    help_text = option.help + (f"  [default: {shown}]" if shown else "")
    kind_or_none = kind if required or not computed else kind | None
    limits: dict[str, Any] = {"min": option.least, "max": option.most} if kind in (int, float) else {}
    flags = option.flags or (((flag(name),) if kind is bool else ()) if name != "as_json" else ())
    extra = typer.Option(*flags, metavar=option.metavar or None, help=help_text, **limits)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind_or_none, extra],
        default=inspect.Parameter.empty if required else None if computed else default,
    )


def _shown(default: Any) -> str:  # noqa: ANN401
    """Return a default as it is typed; "" for a switch or none."""
    if default is None or isinstance(default, bool):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def _help(function: Callable[..., Any]) -> str:
    """Return the first part of a docstring: what the command does."""
    return inspect.cleandoc(function.__doc__ or "").partition("\n\nParameters\n")[0]
