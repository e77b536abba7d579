"""audiosae export."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import Annotated, Literal

import typer

from audiosae.cli import parameters as shared  # noqa: TC001 (Typer reads it)
from audiosae.cli.console import Console  # noqa: TC001 (its annotation is read)


def export(  # noqa: PLR0917
    console: Console,
    model: shared.ModelPath,
    sources: shared.Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .parquet, .csv or .npz.")],
    level: Annotated[Literal["file", "window"], typer.Option(help="One row per file or per window.")] = "file",
    pool: shared.Pool = None,
    segments: shared.Segments = 1,
    code: shared.Code = "sqrt",
    labels: Annotated[str | None, typer.Option(metavar="folder|FILE.csv", help="Add a column label.")] = None,
    label_column: shared.LabelColumn = None,
    when: shared.When = "auto",
    time_zone: shared.TimeZone = None,
    workers: shared.Workers = None,
    backend: shared.Backend = "auto",
    engine: shared.EngineName = "here",
    cache: shared.Cache = None,
    strict: shared.StrictLabels = False,  # noqa: FBT002
) -> None:
    """Write the features of recordings as a table for R, pandas, a spreadsheet or a classifier."""
    from audiosae.commands.export import export_table
    from audiosae.commands.reading import check_skipped

    table = export_table(
        model, sources, out, level=level, pool=pool, segments=segments, code=code, labels=labels,
        label_column=label_column, when=when, time_zone=time_zone, strict=strict, workers=workers, engine=engine,
        backend=backend, cache=cache, progress=console,
    )  # fmt: skip
    used, skipped = table.facts["sources_used"], len(table.skipped)
    console.result(f"wrote {table.rows} rows of {used} sources to {out} ({skipped} skipped)", table.facts)
    check_skipped(table.skipped, strict=strict)
