"""audiosae export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from audiosae.cli.console import Console
from audiosae.cli.parameters import (
    AsJson,
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
from audiosae.cli.reading import check_label_column, check_skipped, find, known_labels, labels_file, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audiosae.corpus.sources import Source


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
    engine: EngineName = "here",
    cache: Cache = None,
    strict: Strict = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write the features of recordings as a table for R, pandas, a spreadsheet or a classifier."""
    from audiosae.autoencoder.model import FILE, load_model
    from audiosae.corpus.journal import told_of
    from audiosae.errors import InputError
    from audiosae.features import export as writing
    from audiosae.features.codes import DEFAULT_POOL, check_pools
    from audiosae.features.stability import read
    from audiosae.features.tables import check_place
    from audiosae.system.files import file_digest

    console = Console(quiet=quiet, as_json=as_json)
    check_label_column(labels, label_column)
    if level is Level.window and (pool or segments != 1):
        raise InputError("--level window: --pool and --segments are for clips; leave them out, or take --level clip")
    pools = check_pools(pool or DEFAULT_POOL, segments)
    check_place(out)
    loaded = load_model(model)
    found = find(loaded, sources, console)
    check_place(out, [*(source.path for source in found), *labels_file(labels)])
    stamp = _stamp(loaded.domain.unit, found, when, time_zone, console)
    known, unlabelled = known_labels(labels, label_column, found, console, "exported without one", strict=strict)
    with opened(
        loaded, found, console, engine=engine, cache=cache, workers=workers, interleaved=True
    ) as corpus:  # fmt: skip
        console.stage("encoding", len(corpus.used), "files")
        rows = writing.export(
            loaded, corpus, out, level=level.value, pools=pools, segments=segments, code=code.value, labels=known,
            stamp=stamp, stability=read(model), digest=file_digest(model / FILE if model.is_dir() else model),
            done=lambda _: console.advance(1),
        )  # fmt: skip
    used, skipped = len(corpus.used), len(corpus.skipped)
    told = f"wrote {rows} rows of {used} sources to {out} ({skipped} skipped)"
    facts = {"table": str(out), "rows": rows, "sources_used": used, "sources_skipped": skipped,
             "without_label": len(unlabelled), "unlabelled": unlabelled,
             **told_of(corpus.records)}  # fmt: skip
    console.result(told, facts)
    check_skipped(corpus.skipped, strict=strict)


def _stamp(
    unit: str, found: Sequence[Source], when: WhenName, time_zone: str | None, console: Console
) -> Callable[[str, float], str] | None:
    """Return what gives date and time of so many seconds in a source; nothing where no date is known."""
    from audiosae.domain import SECONDS
    from audiosae.survey.dates import read_dates
    from audiosae.survey.timeline import later

    if unit != SECONDS:
        return None
    dates = read_dates([source.path for source in found], when=when.value, time_zone=time_zone)
    if not dates.form:
        return None
    console.say(dates.note)
    starts = {source.name: start for source, start in zip(found, dates.starts, strict=True) if start}
    return lambda file, seconds: later(starts[file], seconds).isoformat() if file in starts else ""
