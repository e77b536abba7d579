"""audiosae export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import Annotated

import typer

from audiosae.cli.console import Console
from audiosae.cli.parameters import AsJson, Cache, ModelPath, Quiet, Sources, Workers, cache_folder
from audiosae.cli.parameters import worker_count as count_workers


class Level(StrEnum):
    """Choices of --level."""

    clip = "clip"
    window = "window"


class CodeName(StrEnum):
    """Choices of --code."""

    sqrt = "sqrt"
    activation = "activation"


def export(  # noqa: PLR0917
    model: ModelPath,
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .parquet, .csv or .npz.")],
    level: Annotated[Level, typer.Option(help="One row per clip or per window.")] = Level.clip,
    pool: Annotated[str, typer.Option(help="How windows become clips: some of mean, max, std.")] = "mean,max",
    segments: Annotated[int, typer.Option(help="Parts in time that are pooled apart.")] = 1,
    code: Annotated[CodeName, typer.Option(help="Square root of the activation, or the activation.")] = CodeName.sqrt,
    labels: Annotated[str | None, typer.Option(metavar="folder|FILE.csv", help="Add a column label.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Of the labels CSV.")] = None,
    workers: Workers = None,
    cache: Cache = None,
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the features of recordings as a table for R, pandas, a spreadsheet or a classifier."""
    from audiosae import export as writing
    from audiosae.errors import InputError
    from audiosae.features import check_pools
    from audiosae.ingest import ingest
    from audiosae.labels import read_labels
    from audiosae.model import FILE, load_model
    from audiosae.sources import scan

    console = Console(quiet=quiet, as_json=as_json)
    pools = check_pools(pool, segments)
    if out.suffix.lower() not in writing.SUFFIXES:
        raise InputError(f"{out}: cannot write {out.suffix or 'that'}; wanted {', '.join(writing.SUFFIXES)}")
    loaded = load_model(model)
    found = scan(sources, loaded.domain.suffixes, domain=loaded.domain.name)
    known = read_labels(labels, found, label_column) if labels else None
    console.stage("reading", len(found), "files")
    records = ingest(
        loaded.domain,
        found,
        cache=cache_folder(cache),
        workers=count_workers(workers),
        done=lambda _: console.advance(1),
    )
    skipped = [record for record in records if record.status != "used"]
    console.stage("encoding", len(records) - len(skipped), "files")
    rows = writing.export(
        loaded, records, out, level=level.value, pools=pools, segments=segments, code=code.value, labels=known,
        digest=writing.file_digest(model / FILE if model.is_dir() else model), done=lambda _: console.advance(1),
    )  # fmt: skip
    for record in skipped:
        console.say(f"skipped {record.file}: {record.reason}")
    told = f"wrote {rows} rows of {len(records) - len(skipped)} sources to {out} ({len(skipped)} skipped)"
    facts = {
        "table": str(out),
        "rows": rows,
        "sources_used": len(records) - len(skipped),
        "sources_skipped": len(skipped),
    }
    console.result(told, facts)
