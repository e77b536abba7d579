"""The command line: it parses, calls and prints; nothing else in the package prints or exits."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from audiosae.cli.build import typer_function
from audiosae.cli.console import close_all
from audiosae.cli.help import GroupedCommand, InOrder
from audiosae.cli.streams import prepare_streams
from audiosae.commands import (
    cache,
    diff,
    doctor,
    domains,
    evaluate,
    export,
    find,
    gradcheck,
    info,
    inspect,
    render,
    report,
    samples,
    survey,
    train,
)
from audiosae.errors import AudiosaeError, Interrupted
from audiosae.system.parameters import declaration_of

__all__ = ["COMMANDS", "app", "main"]

_INTERRUPTED = 130
_SUMMARY = "Learn sparse features of unlabelled recordings, look at them and use them."
_NO_DETECTION = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # of Typer
COMMANDS = [
    declaration_of(function)
    for function in (  # in the order of use
        *(inspect.inspect, train.train, survey.survey, find.find, report.report, export.export, evaluate.evaluate),
        *(render.render, info.info, diff.diff, domains.domains, samples.samples, cache.cache),
        *(gradcheck.gradcheck, doctor.doctor),
    )
]

app: typer.Typer = typer.Typer(
    cls=InOrder,
    help=_SUMMARY,
    epilog="Example: audiosae train samples/sounds -o first-run",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    _class = type(_command.name, (GroupedCommand,), {"declared": _command})
    app.command(_command.name, cls=_class)(typer_function(_command))


def _show_version(requested: object) -> None:
    if requested:
        from importlib.metadata import version

        print(f"audiosae {version('audiosae')}")  # noqa: T201
        raise typer.Exit


@app.callback(help=_SUMMARY)
def _root(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None: ...


def main() -> None:
    """Run the command line and exit: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted."""
    prepare_streams()
    out = sys.stdout
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    if sys.argv[1] in {"--show-completion", "--install-completion"} and sys.argv[2:]:
        os.environ[_NO_DETECTION] = "1"  # the named shell is used, not the one that runs this process
    try:
        code = app(prog_name="audiosae", standalone_mode=False)
        if code == _INTERRUPTED:  # Typer caught Ctrl-C and printed nothing
            raise KeyboardInterrupt  # noqa: TRY301
    except (Exception, KeyboardInterrupt) as error:
        close_all()
        line, code = _explain(error)
        if not line:
            raise
        if "--traceback" in sys.argv or os.environ.get("AUDIOSAE_DEBUG", "0") not in {"", "0"}:
            traceback.print_exception(error)
        print("audiosae: " + " ".join(line.split()), file=sys.stderr)  # noqa: T201
    finally:
        close_all()
        os.environ.pop(_NO_DETECTION, None)
        sys.stdout = out  # a command with --json has replaced it
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: BaseException) -> tuple[str, int]:
    """Return the line for an error and the exit status; "" for unexpected exceptions."""
    line, code = "", 1
    if isinstance(error, Interrupted):
        line, code = f"interrupted; {error}", _INTERRUPTED
    elif isinstance(error, AudiosaeError):
        line = str(error)
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        line, code = "interrupted; decoded files are in the cache and need not be decoded again", _INTERRUPTED
    elif isinstance(error, OSError):
        file = f"{error.filename}: " if error.filename and error.strerror else ""
        line = f"cannot continue: {file}{error.strerror or error}"
    elif isinstance(error, MemoryError) and "OutOfMemory" in type(error).__name__:  # of CuPy
        line = "the GPU's memory is full; lower --hidden or --memory, or use --backend numpy"
    elif isinstance(error, MemoryError):
        line = "not enough memory; lower --hidden or --max-windows, or use --whiten scale for very wide windows"
    elif hasattr(error, "format_message"):  # usage errors of Click, or of the copy of it in Typer
        context = getattr(error, "ctx", None)
        command = f"audiosae {context.info_name}" if context is not None and context.parent is not None else "audiosae"
        line, code = f"{error.format_message()} (see {command} --help)", getattr(error, "exit_code", 2)
    return line, code
