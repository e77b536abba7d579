"""The command line: parse, call, print. Nothing else in the package prints or exits."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from audiosae.cli import check, look
from audiosae.cli import train as training
from audiosae.errors import AudiosaeError, InterruptedRun

__all__ = ["app", "main"]

app = typer.Typer(
    help="Learn sparse features of unlabelled recordings, look at them, use them.",
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip
for command in (training.train, look.render, look.info, look.inspect, look.domains, check.gradcheck, check.doctor):
    app.command()(command)


def _show_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from importlib.metadata import version

        print(f"audiosae {version('audiosae')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,  # noqa: FBT002, ARG001
) -> None:
    """Learn sparse features of unlabelled recordings, look at them, use them."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False)
    except InterruptedRun:
        return _tell("interrupted; the checkpoint is written: the same command with --resume goes on from it", 130)
    except AudiosaeError as error:
        return _tell(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        return _tell("interrupted; what was read is kept in the cache: the same command goes on from it", 130)
    except MemoryError:
        return _tell("not enough memory; try fewer --hidden or a smaller --max-windows", 1)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's and Click's usage errors have it, whoever ships them
            raise
        return _tell(f"{error.format_message()} (see audiosae --help)", getattr(error, "exit_code", 2))
    return code if isinstance(code, int) else 0


def _tell(line: str, code: int) -> int:
    print("audiosae: " + " ".join(line.split()), file=sys.stderr)  # noqa: T201
    return code
