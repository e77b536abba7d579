"""The command line: parse, call, print. Nothing else in the package prints or exits."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from audiosae.cli.build import typer_function
from audiosae.cli.console import close_all
from audiosae.cli.help import InOrder, grouped_class
from audiosae.cli.streams import prepare_streams
from audiosae.commands.cache import cache
from audiosae.commands.diff import diff
from audiosae.commands.doctor import doctor
from audiosae.commands.domains import domains
from audiosae.commands.evaluate import evaluate
from audiosae.commands.export import export
from audiosae.commands.find import find
from audiosae.commands.gradcheck import gradcheck
from audiosae.commands.info import info
from audiosae.commands.inspect import inspect
from audiosae.commands.render import render
from audiosae.commands.report import report
from audiosae.commands.samples import samples
from audiosae.commands.survey import survey
from audiosae.commands.train import train
from audiosae.errors import AudiosaeError, Interrupted
from audiosae.system.parameters import declaration_of

__all__ = ["COMMANDS", "app", "main"]

_INTERRUPTED = 130
_TRACEBACK = "--traceback"
_DEBUG = "AUDIOSAE_DEBUG"
_NO_DETECTION = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # Typer's
COMMANDS = [
    declaration_of(function)
    for function in (
        *(inspect, train, survey, find, report, export, evaluate),  # in the order of the work
        *(render, info, diff, domains, samples, cache, gradcheck, doctor),
    )
]

app: typer.Typer = typer.Typer(
    cls=InOrder,
    help="Learn sparse features of unlabelled recordings, look at them, use them.",
    epilog="Example: audiosae train samples/sounds -o first-run",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command(_command.name, cls=grouped_class(_command))(typer_function(_command))


def _show_version(wanted: bool | None) -> None:  # noqa: FBT001
    if wanted:
        from importlib.metadata import version

        print(f"audiosae {version('audiosae')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Learn sparse features of unlabelled recordings, look at them, use them."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted."""
    prepare_streams()
    _take_named_shell()
    out = sys.stdout
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = app(prog_name="audiosae", standalone_mode=False)
        if code == _INTERRUPTED:  # Typer's own reading of Ctrl-C, which says nothing
            raise KeyboardInterrupt  # noqa: TRY301
    except (Exception, KeyboardInterrupt) as error:
        close_all()
        line, code = _explain(error)
        if not line:
            raise
        if _TRACEBACK in sys.argv or os.environ.get(_DEBUG, "0") not in {"", "0"}:
            traceback.print_exception(error)
        print("audiosae: " + " ".join(line.split()), file=sys.stderr)  # noqa: T201
    finally:
        close_all()
        os.environ.pop(_NO_DETECTION, None)
        sys.stdout = out  # a command that prints JSON has kept it to itself
    sys.exit(code if isinstance(code, int) else 0)


def _take_named_shell() -> None:
    """Let `--show-completion zsh` mean zsh: Typer takes the shell that it runs in, unless it is told not to look."""
    if len(sys.argv) > 2 and sys.argv[1] in {"--show-completion", "--install-completion"}:  # noqa: PLR2004
        os.environ[_NO_DETECTION] = "1"


def _explain(error: BaseException) -> tuple[str, int]:  # noqa: PLR0911 (one line an error)
    """Return the line for an error and the exit status; "" for unexpected exceptions."""
    if isinstance(error, Interrupted):
        return f"interrupted; {error}", 130
    if isinstance(error, AudiosaeError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted; what was read is kept in the cache: the same command goes on from it", 130
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename and error.strerror else ""
        return f"cannot go on: {named}{error.strerror or error}", 1
    if isinstance(error, MemoryError):
        if "OutOfMemory" in type(error).__name__:  # CuPy's
            return "the GPU's memory is full; try fewer --hidden or a smaller --memory, or --backend numpy", 1
        return "not enough memory; try fewer --hidden, --max-windows, or --whiten scale for very wide windows", 1
    if hasattr(error, "format_message"):  # Typer's and Click's usage errors, whichever of the two ships them
        context = getattr(error, "ctx", None)
        command = f"audiosae {context.info_name}" if context is not None and context.parent is not None else "audiosae"
        return f"{error.format_message()} (see {command} --help)", getattr(error, "exit_code", 2)
    return "", 1
