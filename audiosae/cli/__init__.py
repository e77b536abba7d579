"""The command line: parse, call, print. Nothing else in the package prints or exits."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli import cache, check, look
from audiosae.cli import evaluate as evaluating
from audiosae.cli import export as exporting
from audiosae.cli import report as reporting
from audiosae.cli import samples as sampling
from audiosae.cli import survey as surveying
from audiosae.cli import train as training
from audiosae.cli.console import Console, close_all
from audiosae.cli.help import Command
from audiosae.cli.streams import prepare_streams
from audiosae.errors import AudiosaeError, Interrupted
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app", "main"]

_INTERRUPTED = 130
_TRACEBACK = "--traceback"
_DEBUG = "AUDIOSAE_DEBUG"
_NO_DETECTION = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # Typer's


_SHARED = {
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and JSON).")],
    "as_json": Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")],
    "traceback": Annotated[
        bool, typer.Option(_TRACEBACK, help=f"Show where an error comes from ({_DEBUG}=1: always).")
    ],
}


def _with_console(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command its console, and the options of all: two of the console, and one that `main` reads."""

    @wraps(command)
    @one_blas_thread()
    def called(*, quiet: bool, as_json: bool, traceback: bool, **options: Any) -> int | None:  # noqa: ANN401, ARG001
        return command(console=Console(quiet=quiet, as_json=as_json), **options)

    mine = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in mine.parameters.items() if name != "console"]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in _SHARED.items()
    ]
    called.__signature__ = mine.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return called


app: typer.Typer = typer.Typer(
    help="Learn sparse features of unlabelled recordings, look at them, use them.",
    epilog="Example: audiosae train samples/sounds -o first-run",
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip
for _command in (
    training.train,
    look.render,
    exporting.export,
    evaluating.evaluate,
    reporting.report,
    surveying.survey,
    reporting.diff,
    look.info,
    look.inspect,
    look.domains,
    sampling.samples,
    check.gradcheck,
    check.doctor,
):
    app.command(cls=Command)(_with_console(_command))
app.command("find", cls=Command)(_with_console(surveying.find_moments))
app.command("cache", cls=Command)(_with_console(cache.stored))


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
    _give_number("--stability", "1")
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


def _give_number(option: str, number: str) -> None:
    """Let an option that had no value mean a number: scripts of earlier versions go on."""
    for at, given in reversed(list(enumerate(sys.argv))):
        if given == option and not "".join(sys.argv[at + 1 : at + 2]).isdecimal():
            sys.argv.insert(at + 1, number)


def _take_named_shell() -> None:
    """Let `--show-completion zsh` mean zsh: Typer takes the shell that it runs in, unless it is told not to look."""
    if len(sys.argv) > 2 and sys.argv[1] in {"--show-completion", "--install-completion"}:  # noqa: PLR2004
        os.environ[_NO_DETECTION] = "1"


def _explain(error: BaseException) -> tuple[str, int]:  # noqa: PLR0911 (one line an error)
    """Return the line that tells of an error and the exit status; no line for what we did not foresee."""
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
            return "the card's memory is full; try fewer --hidden or a smaller --memory, or --backend numpy", 1
        return "not enough memory; try fewer --hidden, --max-windows, or --whiten scale for very wide windows", 1
    if hasattr(error, "format_message"):  # Typer's and Click's usage errors, whichever of the two ships them
        context = getattr(error, "ctx", None)
        command = f"audiosae {context.info_name}" if context is not None and context.parent is not None else "audiosae"
        return f"{error.format_message()} (see {command} --help)", getattr(error, "exit_code", 2)
    return "", 1
