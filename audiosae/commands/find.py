"""Search by example from files to moments, as ``audiosae find`` makes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.commands.model import opened_model
from audiosae.commands.reading import find, opened_engine, read_sources
from audiosae.corpus.sources import named_paths
from audiosae.errors import InputError
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.search import COLUMNS, Example, find_like, write_matches_csv
from audiosae.system.files import check_replaceable, check_writable
from audiosae.system.progress import Notes, Progress
from audiosae.views.page import PAGES, check_page
from audiosae.views.survey_page import write_find_page

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from audiosae.commands.model import Model
    from audiosae.corpus.sources import Named
    from audiosae.sounds.search import Matches

_HEARD = 0.01  # s: a stretch may end with its recording as rounded


def find_moments(
    model: Model | str | os.PathLike[str], sources: Named, like: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None, *, count: int = 20, workers: int | None = None, engine: str = "here",
    backend: str = "auto", cache: str | os.PathLike[str] | None = None, progress: bool | Progress = False,
) -> Matches:  # fmt: skip
    """Find the moments in recordings that sound most like a given one (``audiosae find``).

    Parameters
    ----------
    model
        Trained on recordings: itself, its run folder or its file.
    sources
        A file or folder, or several: what is searched.
    like
        The example: a recording, or a stretch of it in seconds as ``song.wav@3.2-4.5``.
    out
        .html for a page to listen to, .csv for a table; None writes nothing.
    count
        How many moments at most; the example itself is none of them.
    workers, engine, backend, cache
        Decoding processes (one per core), where the work is done and by what (auto takes an NVIDIA card where there is
        one), folder for decoded fields (the user's cache).
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Matches
        The most like it first: `events` in columns, `similarity`, `frame()`; `skipped` holds the sources that could not
        be used.

    Raises
    ------
    InputError
        An option, the example or a source cannot be used, nothing sounds in any recording, or the file would take the
        place of one that audiosae did not write.

    Examples
    --------
    >>> found = audiosae.find_moments(model, sounds, sounds / "0.wav", "like.csv", count=2)
    >>> len(found), found.similarity.shape, found.skipped
    (2, (2,), [])
    >>> [row[0] for row in found.rows()]
    [1, 2]
    """
    if count < 1:
        raise InputError(f"--count {count}: wanted at least 1")
    place, example = None if out is None else Path(out), Example.parse(str(like))
    loaded = opened_model(model)
    recordings_domain(loaded, "find")
    where: dict[str, Any] = {"cache": None if cache is None else Path(cache), "workers": workers}
    with Notes(progress) as notes:
        found = find(loaded, named_paths(sources), notes)
        if place:
            _check_place(place, [example.path, *(source.path for source in found)])
        with opened_engine(engine, backend, where["cache"], notes) as there:
            given = read_sources(loaded, find(loaded, [example.path], notes), notes, there, **where)
            example = _whole(example, given.records[0].extent, notes)
            corpus = read_sources(loaded, found, notes, there, **where, interleaved=True)
            notes.stage("listening", len(corpus.used), "files")
            matches = find_like(
                loaded, corpus, given.records[0], example, count=count, done=lambda _: notes.advance(1)
            )  # fmt: skip
            for note in matches.notes:
                notes.say(note)
            if place and place.suffix.lower() in PAGES:
                write_find_page(loaded, corpus, example, given, matches, place, progress=notes)
    if place and place.suffix.lower() not in PAGES:
        write_matches_csv(matches, place)
    facts = {"matches": [dict(zip(COLUMNS, row, strict=True)) for row in matches.rows()],
             "table": str(place) if place else None, "sources_used": len(corpus.used),
             "sources_skipped": len(corpus.skipped)}  # fmt: skip
    return replace(matches, facts=facts, skipped=corpus.skipped, notes=notes.lines)


def _whole(example: Example, seconds: float, progress: Progress) -> Example:
    """Return what there is of an example in its recording; a stretch that is cut at the end of it is told."""
    there = example.within(seconds)
    if example.end - there.end > _HEARD and example.end < float("inf"):
        progress.say(f"--like {example.path}: the recording ends at {seconds:.2f} s; the example is "
                     f"{example.start:g} to {there.end:.2f} s of it")  # fmt: skip
    return there


def _check_place(out: Path, inputs: Sequence[Path]) -> None:
    """Refuse a page or table that cannot be written, before the work is done."""
    check_writable(out, (*PAGES, ".csv"))
    if out.suffix.lower() in PAGES:
        check_page(out, inputs)
        return
    try:
        own = out.read_text(encoding="utf-8").startswith(",".join(COLUMNS))
    except (OSError, UnicodeDecodeError):
        own = False
    check_replaceable(out, inputs, own=own)
