"""The command line: parse, call, print. Nothing else in the package prints or exits."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from audiosae.cli import cache, check, look
from audiosae.cli import evaluate as evaluating
from audiosae.cli import export as exporting
from audiosae.cli import report as reporting
from audiosae.cli import train as training
from audiosae.errors import AudiosaeError, Interrupted

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    help="Learn sparse features of unlabelled recordings, look at them, use them.",
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip
for command in (
    training.train,
    look.render,
    exporting.export,
    evaluating.evaluate,
    reporting.report,
    reporting.diff,
    look.info,
    look.inspect,
    look.domains,
    check.gradcheck,
    check.doctor,
):
    app.command()(command)
app.command("cache")(cache.stored)


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
    out = sys.stdout
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:  # Typer's own reading of Ctrl-C, which says nothing
            raise KeyboardInterrupt  # noqa: TRY301
    except (Exception, KeyboardInterrupt) as error:
        line, code = _explain(error)
        if not line:
            raise
        print("audiosae: " + " ".join(line.split()), file=sys.stderr)  # noqa: T201
    finally:
        sys.stdout = out  # a command that prints JSON has kept it to itself
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: BaseException) -> tuple[str, int]:  # noqa: PLR0911 (one line an error)
    """Return the line that tells of an error and the exit status; no line for what we did not foresee."""
    if isinstance(error, Interrupted):
        return f"interrupted; {error}", 130
    if isinstance(error, AudiosaeError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted; what was read is kept in the cache: the same command goes on from it", 130
    if isinstance(error, OSError):
        return f"cannot go on: {error.strerror or error}", 1
    if isinstance(error, MemoryError):
        if "OutOfMemory" in type(error).__name__:  # CuPy's
            return "the card's memory is full; try fewer --hidden or a smaller --memory, or --backend numpy", 1
        return "not enough memory; try fewer --hidden, --max-windows, or --whiten scale for very wide windows", 1
    if hasattr(error, "format_message"):  # Typer's and Click's usage errors, whichever of the two ships them
        context = getattr(error, "ctx", None)
        command = f"audiosae {context.info_name}" if context is not None and context.parent is not None else "audiosae"
        return f"{error.format_message()} (see {command} --help)", getattr(error, "exit_code", 2)
    return "", 1
