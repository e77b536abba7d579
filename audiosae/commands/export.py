"""Features from files to a table, as ``audiosae export`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.commands.model import opened_model, path_of
from audiosae.commands.reading import check_label_column, find, known_labels, labels_file, opened
from audiosae.corpus.journal import told_of
from audiosae.corpus.sources import named_paths
from audiosae.domain import SECONDS
from audiosae.errors import InputError
from audiosae.features import stability as stable
from audiosae.features.codes import DEFAULT_POOL, check_pools
from audiosae.features.rows import table_rows, write_rows
from audiosae.features.table import Table, check_place, description_of, gathered
from audiosae.recordings.dates import stamps
from audiosae.system.files import tell_replaced
from audiosae.system.progress import Notes, Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from audiosae.commands.model import Model
    from audiosae.corpus.sources import Named
    from audiosae.features.codes import Code
    from audiosae.features.table import Level
    from audiosae.recordings.dates import When


def export_table(
    model: Model | str | os.PathLike[str], sources: Named, out: str | os.PathLike[str] | None = None, *,
    level: Level = "file", pool: str | Sequence[str] | None = None, segments: int = 1, code: Code = "sqrt",
    labels: str | os.PathLike[str] | None = None, label_column: str | None = None, when: When = "auto",
    time_zone: str | None = None, strict: bool = False, workers: int | None = None, engine: str = "here",
    backend: str = "auto", cache: str | os.PathLike[str] | None = None, progress: bool | Progress = False,
) -> Table:  # fmt: skip
    """Return the features of sources, and write them to a file where one is given (``audiosae export``).

    Parameters
    ----------
    model
        Itself, its run folder or its file.
    sources
        A file or folder, or several.
    out
        .parquet, .csv or .npz, written block by block whatever its size; None keeps the rows in memory.
    level
        A row for each ``file`` (source) or ``window``.
    pool, segments
        How the codes of a file's windows are pooled: some of mean, max, std, change; in how many parts in time.
    code
        ``sqrt``, the square root of the activation, or ``activation``.
    labels, label_column
        ``folder`` for the name of each source's folder, or a CSV with a column filename; its column of labels.
    when, time_zone
        Where date and time are read (auto, name, metadata, none), and the zone of times that state none.
    strict
        Refuse sources without a label, before any is read.
    workers, engine, backend, cache
        Decoding processes (one per core), where the work is done and by what (auto takes an NVIDIA card where there is
        one), folder for decoded fields (the user's cache).
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Table
        `features` of shape (rows, columns), `keys`, `names`, `skipped`, `frame()`.

    Raises
    ------
    InputError
        No source can be used, an option is wrong, or the file would take the place of one that audiosae did not write.

    Examples
    --------
    >>> table = audiosae.export_table(model, sounds, "features.csv", pool="mean,max", labels="folder")
    >>> table.features.shape, table.columns, table.keys["label"].tolist()
    ((4, 12), ['file', 'label', 'duration'], ['sounds', 'sounds', 'sounds', 'sounds'])
    >>> table.names[:3], len(table.skipped)
    (['u000_max', 'u000_mean', 'u001_max'], 0)
    """
    place, given = out if out is None else Path(out), None if labels is None else str(labels)
    check_label_column(given, label_column)
    if level not in {"file", "window"}:
        raise InputError(f"--level {level}: wanted file or window")
    if level == "window" and (pool or segments != 1):
        raise InputError("--level window: --pool and --segments are for files; leave them out, or take --level file")
    what: dict[str, Any] = {"level": level, "pools": check_pools(pool or DEFAULT_POOL, segments), "segments": segments}
    if place:
        check_place(place)
    loaded, lies = opened_model(model), path_of(model)
    with Notes(progress) as notes:
        found = find(loaded, named_paths(sources), notes)
        if place:
            check_place(place, [*(source.path for source in found), *labels_file(given)])
            tell_replaced(description_of(place), loaded.digest, place, notes)
        sound = loaded.domain.unit == SECONDS
        names, paths = [source.name for source in found], [source.path for source in found]
        what |= {"stamp": stamps(names, paths, when=when, time_zone=time_zone, say=notes.say) if sound else None}
        known, unlabelled = known_labels(given, label_column, found, notes, "exported without one", strict=strict)
        with opened(loaded, found, notes, engine, backend, cache=cache, workers=workers, interleaved=True) as corpus:
            notes.stage("encoding", len(corpus.used), "files")
            what |= {"code": code, "labels": known, "done": lambda _: notes.advance(1)}
            rows = table_rows(loaded, corpus, **what)
            held = None if place else gathered(rows.blocks, rows.columns, rows.names, rows.count)
            if place:
                write_rows(rows, place, digest=loaded.digest, stability=stable.read(lies) if lies else None)
                _tell_description(place, notes)
    facts = {"table": str(place) if place else None, "rows": rows.count, "sources_used": len(corpus.used),
             "sources_skipped": len(corpus.skipped), "without_label": len(unlabelled), "unlabelled": unlabelled,
             **told_of(corpus.records)}  # fmt: skip
    return Table(rows.columns, rows.names, rows.count, facts, corpus.skipped, notes.lines, place, held)


def _tell_description(place: Path, progress: Progress) -> None:
    """Tell where it is said what a table is, where that is not the usual place."""
    if (told := description_of(place)) != place.with_suffix(".json"):
        progress.say(f"what {place.name} is stands in {told.name}: {place.stem}.json is another table's")
