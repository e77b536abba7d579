"""``audiosae find``: search for the moments in recordings that sound most like an example."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

from audiosae.autoencoder.model import as_model
from audiosae.commands.clips import ClipFolder, checked_clip_folder, clip_text, write_match_clips
from audiosae.commands.event_options import EventKeywords, EventSettings
from audiosae.commands.reading import reading
from audiosae.commands.shared_options import (
    AnyPath,
    Machine,
    ModelPath,
    ShowProgress,
    Sources,
    Strict,
    as_path,
)
from audiosae.corpus.sources import named_paths
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.search import COLUMNS, Example, Matches, find_like
from audiosae.system.described_table import DIGESTS, TABLES, DescribedTable, description_of
from audiosae.system.files import check_writable, csv_text, report_replaced
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, command
from audiosae.system.schema import DIGEST, FactsFile, Object, Text
from audiosae.views.page import PAGES, check_page
from audiosae.views.survey_page import write_find_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.system.progress import Progress

TABLE = DescribedTable(
    "find",
    (".csv",),
    FactsFile(
        ("model_digest", "like"),
        Object({"model_digest": Text(DIGEST, "a digest"), "like": Text()}, {TABLES: DIGESTS}),
        "choose another name with -o, or move it",
    ),
)
_ROUNDING = 0.01  # s: the END of an example may be the rounded length of its recording


def _text(matches: Matches) -> str:
    table = text_table([COLUMNS, *(tuple(map(str, row)) for row in matches.rows())])
    return f"{table}\n{clip_text(matches.facts['clips'])}" if "clips" in matches.facts else table


@command(
    example="audiosae find first-run samples/sounds --like samples/sounds/cricket/cricket_00.flac@0.2-0.8 -o like.html",
    text=_text,
    declared=(EventSettings, Machine),
)
def find(
    model: ModelPath,
    sources: Sources,
    like: Annotated[
        AnyPath,
        Option(
            "Example: a recording, or a part of it in seconds, such as song.wav@3.2-4.5.",
            "Input",
            metavar="FILE[@START-END]",
            typed=str,
        ),
    ],
    out: Annotated[
        AnyPath | None,
        Option("File to write: a page to listen to (.html) or a table (.csv).", flags=("--out", "-o"), typed=Path),
    ] = None,
    *,
    count: Annotated[
        int,
        Option("Largest number of moments; the example itself is left out.", flags=("--count", "-n"), least=1),
    ] = 20,
    clips: ClipFolder = None,
    strict: Strict = False,
    progress: ShowProgress = False,
    **options: Unpack[EventKeywords],
) -> Matches:
    """Find the moments that sound most like an example.

    Returns
    -------
    Matches
        The most similar first: `events` in columns, `similarity`, `frame()`; `skipped` lists the sources that could not
        be used.

    Raises
    ------
    InputError
        An option, the example or all sources cannot be used, no recording has an event, or the output would replace a
        file that audiosae did not write.

    Examples
    --------
    >>> matches = audiosae.find(model, sounds, sounds / "0.wav", "like.csv", count=2)
    >>> len(matches), matches.similarity.shape, matches.skipped
    (2, (2,), [])
    >>> [row[0] for row in matches.rows()]
    [1, 2]
    """
    path, example = as_path(out), Example.parse(str(like))
    loaded, settings = as_model(model), EventSettings.of(options)
    domain, detector, listed = recordings_domain(loaded, "find"), settings.detector(), named_paths(sources)
    with reading(settings.domain(domain), listed, Machine.of(options), progress=progress) as job:
        notes = job.notes
        if path:
            _check_output(path, [example.path, *job.paths])
            if path.suffix.lower() not in PAGES:
                report_replaced(description_of(path), loaded.digest, path, notes)
        clip_folder = checked_clip_folder(clips, listed, [example.path, *job.paths])
        with job.engine() as engine:
            example_corpus = job.of([example.path]).read(engine)
            example = _within(example, example_corpus.records[0].extent, notes)
            corpus = job.read(engine, interleaved=True)
            matches = find_like(
                loaded,
                corpus,
                example_corpus,
                example,
                count=count,
                options=detector,
                group=settings.group,
                progress=notes,
            )
            for note in matches.notes:
                notes.say(note)
            if path and path.suffix.lower() in PAGES:
                write_find_page(loaded, corpus, example, example_corpus, matches, path, progress=notes)
            clip_facts = write_match_clips(matches, corpus, clip_folder, notes)
    if path and path.suffix.lower() not in PAGES:
        TABLE.write(
            path, csv_text([COLUMNS, *matches.rows()]).encode(), {"model_digest": loaded.digest, "like": str(like)}
        )
    facts = {
        "matches": [dict(zip(COLUMNS, row, strict=True)) for row in matches.rows()],
        "table": str(path) if path else None,
        "sources_used": len(corpus.used),
        "sources_skipped": len(corpus.skipped),
        **clip_facts,
    }
    return replace(matches, facts=facts, skipped=corpus.skipped, notes=notes.lines)


def _within(example: Example, seconds: float, progress: Progress) -> Example:
    """Return the part of an example that is in its recording; report an example that ends after its recording."""
    inside = example.within(seconds)
    if example.end - inside.end > _ROUNDING and example.end < float("inf"):
        progress.say(
            f"--like {example.path}: the recording ends at {seconds:.2f} s, so the example is "
            f"{example.start:g} to {inside.end:.2f} s"
        )
    return inside


def _check_output(out: Path, inputs: Sequence[Path]) -> None:
    check_writable(out, (*PAGES, ".csv"))
    if out.suffix.lower() in PAGES:
        check_page(out, inputs)
    else:
        TABLE.check(out, inputs)
