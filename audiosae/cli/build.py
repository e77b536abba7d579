"""Typer functions of the command line, generated from the declared functions in `audiosae.commands`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli.console import Console
from audiosae.errors import AudiosaeError, Interrupted
from audiosae.system.parameters import flag, without_none
from audiosae.system.spelling import on_command_line
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from audiosae.system.parameters import Command, Parameter

_SHARED = {
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors, and the JSON of --json.")],
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")],
    "traceback": Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of an error (always with AUDIOSAE_DEBUG=1).")
    ],
}
_REQUIRED, _KEYWORD = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY


def typer_function(command: Command) -> Callable[..., int]:
    """Return the function that Typer calls for a command: parse, call, print, return the exit status."""
    parameters = [parameter for parameter in command.parameters if parameter.name != "progress"]
    shows_progress = len(parameters) < len(command.parameters)

    @one_blas_thread()
    def called(*, quiet: bool, as_json: bool, **typed: object) -> int:
        console = Console(quiet=quiet, as_json=as_json)
        arguments = _arguments(parameters, typed) | ({"progress": console} if shows_progress else {})
        try:
            with on_command_line():
                result: Any = command.function(**arguments)
        except AudiosaeError as error:
            if error.result is not None:
                failed: Any = error.result
                console.result(command.text(failed), lambda: failed.facts)
            raise
        except KeyboardInterrupt as error:  # Typer would replace it by one without notes
            if notes := getattr(error, "__notes__", []):
                raise Interrupted("; ".join(notes)) from error
            raise
        except EOFError as error:  # Typer would report an interruption
            raise OSError(str(error) or "a file, or the connection to another process, ended too early") from error
        console.result(command.text(result), lambda: result.facts)
        return 0 if getattr(result, "passed", True) else 1

    declared = [_declaration(parameter) for parameter in parameters]
    declared += [inspect.Parameter(name, _KEYWORD, default=False, annotation=kind) for name, kind in _SHARED.items()]
    called.__name__ = command.name
    called.__doc__ = inspect.cleandoc(command.function.__doc__ or "").partition("\n\nParameters\n")[0]
    called.__signature__ = inspect.Signature(declared, return_annotation=int)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in declared}
    return called


def _arguments(parameters: Sequence[Parameter], typed: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of the function; options that were not typed keep the function's defaults."""
    arguments: dict[str, object] = {}
    for parameter in parameters:
        name, option, value = parameter.name, parameter.option, typed[parameter.name]
        if value is None and option.otherwise is not None:
            value = option.otherwise(arguments)
        elif value is not None and option.parse is not None:
            value = option.parse((option.flags or (flag(name),))[0], value)
        if value is not None:
            arguments[name] = value
    return arguments


def _declaration(parameter: Parameter) -> inspect.Parameter:
    """Return a parameter in the form that Typer reads."""
    option, default, name = parameter.option, parameter.default, parameter.name
    kind: Any = option.typed or without_none(parameter.kind)
    if option.flags == ():
        argument = typer.Argument(metavar=option.metavar or None, help=option.help)
        return inspect.Parameter(name, _KEYWORD, annotation=Annotated[kind, argument])
    required = option.required or default is _REQUIRED
    computed = not required and bool(parameter.unpacked or option.parse or option.default)  # Typer shows no default
    shown = option.default or (_shown(default) if computed else "")
    limits: dict[str, Any] = {"min": option.least, "max": option.most} if kind in (int, float) else {}
    extra = typer.Option(
        *(option.flags or ((flag(name),) if kind is bool else ())),
        metavar=option.metavar or None,
        help=option.help + (f"  [default: {shown}]" if shown else ""),
        **limits,
    )
    return inspect.Parameter(
        name,
        _KEYWORD,
        annotation=Annotated[kind | None if computed else kind, extra],
        default=_REQUIRED if required else None if computed else default,
    )


def _shown(default: object) -> str:
    """Return a default as typed on the command line; "" for a switch or None."""
    if default is None or isinstance(default, bool):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)
