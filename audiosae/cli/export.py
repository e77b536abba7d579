"""audiosae export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import Annotated

import typer

from audiosae.cli.console import Console
from audiosae.cli.parameters import (
    AsJson,
    BackendChoice,
    BackendName,
    Cache,
    Code,
    CodeName,
    EngineName,
    LabelColumn,
    ModelPath,
    Pool,
    Quiet,
    Segments,
    Sources,
    Strict,
    TimeZone,
    When,
    WhenName,
    Workers,
)


class Level(StrEnum):
    """Choices of --level."""

    clip = "clip"
    window = "window"


def export(  # noqa: PLR0917
    model: ModelPath,
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .parquet, .csv or .npz.")],
    level: Annotated[Level, typer.Option(help="One row per clip or per window.")] = Level.clip,
    pool: Pool = None,
    segments: Segments = 1,
    code: Code = CodeName.sqrt,
    labels: Annotated[str | None, typer.Option(metavar="folder|FILE.csv", help="Add a column label.")] = None,
    label_column: LabelColumn = None,
    when: When = WhenName.auto,
    time_zone: TimeZone = None,
    workers: Workers = None,
    backend: BackendChoice = BackendName.auto,
    engine: EngineName = "here",
    cache: Cache = None,
    strict: Strict = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the features of recordings as a table for R, pandas, a spreadsheet or a classifier."""
    from audiosae.engine.reading import check_skipped
    from audiosae.report.exporting import export_table

    console = Console(quiet=quiet, as_json=as_json)
    table = export_table(
        model, sources, out, level=level.value, pool=pool, segments=segments, code=code.value, labels=labels,
        label_column=label_column, when=when.value, time_zone=time_zone, strict=strict, workers=workers, engine=engine,
        backend=backend.value, cache=cache, progress=console,
    )  # fmt: skip
    used, skipped = table.facts["sources_used"], len(table.skipped)
    console.result(f"wrote {table.rows} rows of {used} sources to {out} ({skipped} skipped)", table.facts)
    check_skipped(table.skipped, strict=strict)
