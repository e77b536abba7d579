"""``audiosae export``: features of files as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.annotated import AnnotatedSources, Annotations
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
from audiosae.features.codes import classifier_defaults
from audiosae.features.pooling import check_pools
from audiosae.features.rows import stretch_rows, table_rows, write_rows
from audiosae.features.table import Table, check_output, gathered
from audiosae.recordings.dates import stamps
from audiosae.system.described_table import description_of
from audiosae.system.files import report_replaced
from audiosae.system.parameters import Option, command

if TYPE_CHECKING:
    from collections.abc import Callable

    from audiosae.autoencoder.model import Model
    from audiosae.commands.reading import Reading
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.features.rows import TableRows
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


def _rows(job: Reading, model: Model, corpus: EngineCorpus, options: dict[str, Any]) -> TableRows:
    """Return the rows of files or windows."""
    job.notes.stage("encoding", len(corpus.used), "files")
    return table_rows(model, corpus, done=lambda _: job.notes.advance(1), **options)


def _annotation_rows(
    model: Model, corpus: EngineCorpus, annotated: AnnotatedSources, options: dict[str, Any], *, strict: bool
) -> tuple[TableRows, dict[str, Any]]:
    """Return the rows of annotations, and their counts for JSON."""
    inside, used, notes = annotated.inside(corpus), corpus.only(corpus.used), annotated.job.notes
    inside.report(strict=strict)
    keys = inside.keys(used) | {"label": [annotation.label for annotation in inside.annotations]}
    stretches = inside.stretches(used)
    notes.stage("encoding", len(stretches), "annotations")
    return stretch_rows(model, used, stretches, keys, done=notes.advance, **options), inside.facts()


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
    code: CodeName = None,
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
    annotations: Annotations = None,
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
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> table = audiosae.export(model, sounds, "features.csv", pool="mean,max", labels="folder")
    >>> table.features.shape, table.columns, table.keys["label"].tolist()
    ((4, 12), ['file', 'label', 'duration'], ['sounds', 'sounds', 'sounds', 'sounds'])
    >>> table.names[:3], len(table.skipped)
    (['u000_max', 'u000_mean', 'u001_max'], 0)
    """
    path, table = as_path(out), as_path(annotations)
    label_source = labels_option(labels, None if table else label_column)
    if table and (label_source or level == "window"):
        other = "--level window" if level == "window" else "--labels"
        raise InputError(f"--annotations {table}: the table has a row for each annotation; leave {other} out")
    if level not in {"file", "window"}:
        raise InputError(f"--level {level}: wanted file or window")
    if level == "window" and (pool or segments != 1):
        raise InputError("--level window: --pool and --segments apply to files; leave them out, or use --level file")
    if path:
        check_output(path)
    loaded, location = as_model(model), path_of(model)
    default_pools, default_code = classifier_defaults(loaded.domain, pooled=level != "window")
    pools = check_pools(pool or default_pools, segments)
    with reading(loaded.domain, sources, Machine.of(machine), progress=progress, again=True) as job:
        if path:
            check_output(path, job.inputs(label_source or (str(table) if table and table.is_file() else None)))
            report_replaced(description_of(path), loaded.digest, path, job.notes)
        annotated = AnnotatedSources.read(job, table, label_column) if table else None
        job = annotated.job if annotated else job
        stamp = _stamps(job, when, time_zone, date_order)
        known, unlabelled = job.labels(label_source, label_column, "which are exported without a label", strict=strict)
        with job.corpus(interleaved=True) as corpus:
            options = {"pools": pools, "segments": segments, "code": code or default_code, "stamp": stamp}
            if annotated:
                rows, counts = _annotation_rows(loaded, corpus, annotated, options, strict=strict)
            else:
                rows, counts = _rows(job, loaded, corpus, options | {"level": level, "labels": known}), {}
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
        **counts,
        **source_summary(corpus.records),
    }
    return Table(rows.columns, rows.names, rows.count, facts, corpus.skipped, job.notes.lines, path, in_memory)
