"""The command line: it parses, calls and prints; nothing else in the package prints or exits."""

from __future__ import annotations

import os
import sys
import traceback
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli.build import typer_function
from audiosae.cli.console import close_all
from audiosae.cli.explain import INTERRUPTED, explain
from audiosae.cli.help import GroupedCommand, InOrder
from audiosae.cli.streams import prepare_streams
from audiosae.system.interrupts import (
    hold_interrupts,
    record_interrupts,
    repeat_lost_interrupts,
    was_interrupted,
)
from audiosae.system.memory import return_freed
from audiosae.system.parameters import declaration_of
from audiosae.system.stderr import restore_stderr
from audiosae.system.text import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.system.parameters import Command

    COMMANDS: list[Command]
    app: typer.Typer

__all__ = ["COMMANDS", "NAMES", "app", "main"]

NAMES = (  # of the commands, in the order of use; each is the function of that name in audiosae.commands.NAME
    *("inspect", "train", "survey", "open", "find", "report", "export", "evaluate"),
    *("render", "info", "diff", "domains", "samples", "cache", "gradcheck", "doctor"),
)

_WAITING = ("survey",)  # commands that have much in memory while they wait for other processes
_SUMMARY = "Learn sparse features of unlabelled recordings, look at them and use them."
_NO_DETECTION = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # environment variable of Typer


@cache
def load_command(name: str) -> Command:
    """Import a command and return its declaration; the modules of the others are not loaded."""
    return declaration_of(getattr(import_module(f"audiosae.commands.{name}"), name))


def make_app(names: Sequence[str] = NAMES) -> typer.Typer:
    """Return the command line with some of the commands."""
    made = typer.Typer(
        cls=InOrder,
        help=_SUMMARY,
        epilog="Example: audiosae train samples/sounds -o first-run",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    made.callback(help=_SUMMARY)(_root)
    for command in map(load_command, names):
        kind = type(command.name, (GroupedCommand,), {"declared": command})
        made.command(command.name, cls=kind)(typer_function(command))
    return made


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Return `app`, the command line with all commands, or `COMMANDS`, their declarations: made on first use."""
    if name == "app":
        return globals().setdefault(name, make_app())
    if name == "COMMANDS":
        return globals().setdefault(name, [load_command(each) for each in NAMES])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _show_version(requested: object) -> None:
    if requested:
        from importlib.metadata import version

        print(f"audiosae {version('audiosae')}")  # noqa: T201
        raise typer.Exit


def _root(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None: ...


def main() -> None:
    """Run the command line and exit with status 0 (success), 1 (error), 2 (wrong usage) or 130 (interrupted)."""
    prepare_streams()
    out = sys.stdout
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    if sys.argv[1] in {"--show-completion", "--install-completion"} and sys.argv[2:]:
        os.environ[_NO_DETECTION] = "1"  # the named shell is used, not the one that runs this process
    command: Command | None = None
    try:
        with repeat_lost_interrupts(), record_interrupts():
            needed: Sequence[str] = NAMES  # for help, completion and suggestions
            if sys.argv[1] in {*NAMES, "--version"} and "_AUDIOSAE_COMPLETE" not in os.environ:
                needed = [name for name in NAMES if name == sys.argv[1]]
            if sys.argv[1] in _WAITING:
                return_freed()
            with hold_interrupts():  # C code of NumPy that is being loaded prints a KeyboardInterrupt
                command = load_command(needed[0]) if len(needed) == 1 else None
            code = make_app(needed)(prog_name="audiosae", standalone_mode=False)
            if code == INTERRUPTED:  # Typer caught Ctrl-C and printed nothing
                raise KeyboardInterrupt  # noqa: TRY301
    except (Exception, KeyboardInterrupt) as error:
        restore_stderr()
        close_all()
        line, code = explain(error, command)
        if not line and was_interrupted():
            line, code = explain(KeyboardInterrupt(), command)
        if not line:
            raise
        if "--traceback" in sys.argv or os.environ.get("AUDIOSAE_DEBUG", "0") not in {"", "0"}:
            print(terminal("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201
        print(terminal("audiosae: " + " ".join(line.split())), file=sys.stderr)  # noqa: T201
    finally:
        close_all()
        os.environ.pop(_NO_DETECTION, None)
        sys.stdout = out  # a command with --json has replaced it
    sys.exit(code if isinstance(code, int) else 0)
