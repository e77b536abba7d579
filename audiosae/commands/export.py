"""``audiosae export``: features of files as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Unpack

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.reading import labels_option, reading
from audiosae.commands.shared_options import (
    AnyPath,
    CodeName,
    DateOrder,
    LabelColumn,
    Machine,
    MachineKeywords,
    ModelPath,
    Pool,
    Segments,
    ShowProgress,
    Sources,
    StrictLabels,
    TimeZone,
    WhenName,
    as_path,
)
from audiosae.corpus.journal import source_summary
from audiosae.domain import SECONDS
from audiosae.errors import InputError
from audiosae.features import stability as stability_file
from audiosae.features.codes import DEFAULT_POOL, check_pools
from audiosae.features.rows import table_rows, write_rows
from audiosae.features.table import Table, check_output, gathered
from audiosae.recordings.dates import stamps
from audiosae.system.described_table import description_of
from audiosae.system.files import report_replaced
from audiosae.system.parameters import Option, command

if TYPE_CHECKING:
    from collections.abc import Callable

    from audiosae.commands.reading import Reading
    from audiosae.recordings.date_groups import When


def _text(table: Table) -> str:
    used, skipped = table.facts["sources_used"], len(table.skipped)
    return f"wrote {table.rows} rows of {used} sources to {table.path} ({skipped} skipped)"


def _stamps(
    job: Reading, when: When, time_zone: str | None, date_order: Literal["YMD", "DMY", "MDY"] | None
) -> Callable[[str, float], str] | None:
    """Return the function that gives date and time of recordings; None without dates, or for other sources."""
    if job.domain.unit != SECONDS:
        return None
    names = [source.name for source in job.sources]
    return stamps(names, job.paths, when=when, time_zone=time_zone, date_order=date_order, say=job.notes.say)


@command(
    example="audiosae export first-run samples/sounds -o features.csv --labels folder",
    text=_text,
    declared=(Machine,),
)
def export(
    model: ModelPath,
    sources: Sources,
    out: Annotated[
        AnyPath | None,
        Option(
            "Table to write: .parquet, .csv or .npz.",
            python="None keeps the rows in memory.",
            flags=("--out", "-o"),
            typed=Path,
            required=True,
        ),
    ] = None,
    *,
    level: Annotated[
        Literal["file", "window"], Option("Rows of the table: one per file or one per window.", "Method")
    ] = "file",
    pool: Pool = None,
    segments: Segments = 1,
    code: CodeName = "sqrt",
    labels: Annotated[
        AnyPath | None,
        Option(
            "Labels to add as a column: folder for the name of each file's folder, or a CSV with a column filename.",
            "Input",
            metavar="folder|FILE.csv",
            typed=str,
        ),
    ] = None,
    label_column: LabelColumn = None,
    when: WhenName = "auto",
    time_zone: TimeZone = None,
    date_order: DateOrder = None,
    strict: StrictLabels = False,
    progress: ShowProgress = False,
    **machine: Unpack[MachineKeywords],
) -> Table:
    """Write features as a table for R, pandas or a classifier.

    Returns
    -------
    Table
        `features` of shape (rows, columns), `keys`, `names`, `skipped`, `frame()`.

    Raises
    ------
    InputError
        No source can be used, an option is wrong, or the table would replace a file that audiosae did not write.

    Examples
    --------
    >>> table = audiosae.export(model, sounds, "features.csv", pool="mean,max", labels="folder")
    >>> table.features.shape, table.columns, table.keys["label"].tolist()
    ((4, 12), ['file', 'label', 'duration'], ['sounds', 'sounds', 'sounds', 'sounds'])
    >>> table.names[:3], len(table.skipped)
    (['u000_max', 'u000_mean', 'u001_max'], 0)
    """
    path, label_source = as_path(out), labels_option(labels, label_column)
    if level not in {"file", "window"}:
        raise InputError(f"--level {level}: wanted file or window")
    if level == "window" and (pool or segments != 1):
        raise InputError("--level window: --pool and --segments apply to files; leave them out, or use --level file")
    pools = check_pools(pool or DEFAULT_POOL, segments)
    if path:
        check_output(path)
    loaded, location = as_model(model), path_of(model)
    with reading(loaded.domain, sources, Machine.of(machine), progress=progress) as job:
        if path:
            check_output(path, job.inputs(label_source))
            report_replaced(description_of(path), loaded.digest, path, job.notes)
        stamp = _stamps(job, when, time_zone, date_order)
        known, unlabelled = job.labels(label_source, label_column, "which are exported without a label", strict=strict)
        with job.corpus(interleaved=True) as corpus:
            job.notes.stage("encoding", len(corpus.used), "files")
            rows = table_rows(
                loaded,
                corpus,
                level=level,
                pools=pools,
                segments=segments,
                code=code,
                labels=known,
                stamp=stamp,
                done=lambda _: job.notes.advance(1),
            )
            if path:
                stability = stability_file.read(location, loaded.params.hidden) if location else None
                write_rows(rows, path, digest=loaded.digest, stability=stability)
                if (about := description_of(path).name) != f"{path.stem}.json":
                    job.notes.say(f"{about} describes {path.name}, because {path.stem}.json belongs to another table")
            in_memory = None if path else gathered(rows.blocks, rows.columns, rows.names, rows.count)
    facts = {
        "table": str(path) if path else None,
        "rows": rows.count,
        "sources_used": len(corpus.used),
        "sources_skipped": len(corpus.skipped),
        "without_label": len(unlabelled),
        "unlabelled": unlabelled,
        **source_summary(corpus.records),
    }
    return Table(rows.columns, rows.names, rows.count, facts, corpus.skipped, job.notes.lines, path, in_memory)
