"""``audiosae find``: search for the moments in recordings that sound most like examples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

from audiosae.autoencoder.model import as_model
from audiosae.commands.clips import ClipFolder, checked_clip_folder, clip_text, write_match_clips
from audiosae.commands.event_options import EventKeywords, EventSettings, broadband_beside
from audiosae.commands.reading import reading
from audiosae.commands.shared_options import (
    AnyPath,
    DateOrder,
    Machine,
    ModelPath,
    ShowProgress,
    Sources,
    Strict,
    TimeZone,
    WhenName,
    as_path,
)
from audiosae.corpus.sources import named_paths
from audiosae.errors import InputError
from audiosae.recordings.dates import read_dates
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.examples import FORM, Example, parse_examples
from audiosae.sounds.search import Matches, find_like, options_in_range
from audiosae.system.described_table import DIGESTS, TABLES, DescribedTable, description_of
from audiosae.system.files import check_writable, csv_text, report_replaced
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, command
from audiosae.system.schema import DIGEST, FactsFile, Object, Text
from audiosae.views.find_page import write_find_page
from audiosae.views.page import PAGES, check_page

if TYPE_CHECKING:
    from audiosae.commands.reading import Reading
    from audiosae.engine import Engine
    from audiosae.engine.corpus import EngineCorpus
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
    table = text_table([matches.columns, *(tuple(map(str, row)) for row in matches.rows())])
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
        AnyPath | Sequence[AnyPath],
        Option(
            "Example: a recording, or a stretch of it in seconds, such as song.wav@3.2-4.5, and the range of "
            "frequencies that is compared, in Hz, such as song.wav@3.2-4.5:2000-8000. Can be repeated.",
            "Input",
            metavar=FORM,
            typed=list[str],
            python="One or a list.",
        ),
    ],
    out: Annotated[
        AnyPath | None,
        Option("File to write: a page to listen to (.html) or a table (.csv).", flags=("--out", "-o"), typed=Path),
    ] = None,
    *,
    unlike: Annotated[
        AnyPath | Sequence[AnyPath] | None,
        Option(
            "Example of sounds that are not wanted, such as a wrong match; as --like.",
            "Input",
            metavar=FORM,
            typed=list[str],
            python="One or a list.",
            parse=lambda _, texts: texts,
        ),
    ] = None,
    count: Annotated[
        int,
        Option("Largest number of moments; the examples themselves are left out.", flags=("--count", "-n"), least=1),
    ] = 20,
    clips: ClipFolder = None,
    when: WhenName = "auto",
    time_zone: TimeZone = None,
    date_order: DateOrder = None,
    strict: Strict = False,
    progress: ShowProgress = False,
    **options: Unpack[EventKeywords],
) -> Matches:
    """Find the moments that sound most like examples, and least like others.

    Returns
    -------
    Matches
        The most similar first: `events` in columns, `similarity`, `frame()`; `skipped` lists the sources that could not
        be used.

    Raises
    ------
    InputError
        An option, an example or all sources cannot be used, no recording has an event, or the output would replace a
        file that audiosae did not write.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> matches = audiosae.find(model, sounds, sounds / "0.wav", "like.csv", count=2)
    >>> len(matches), matches.similarity.shape, matches.skipped
    (2, (2,), [])
    >>> [row[0] for row in matches.rows()]
    [1, 2]
    """
    path, examples = as_path(out), parse_examples(_listed(like), _listed(unlike))
    loaded, settings = as_model(model), EventSettings.of(options)
    domain, detector, listed = recordings_domain(loaded, "find"), settings.detector(), named_paths(sources)
    with reading(settings.domain(domain), listed, Machine.of(options), progress=progress, again=True) as job:
        notes, inputs = job.notes, [*(example.path for example in examples), *job.paths]
        if path:
            _check_output(path, inputs, loaded.digest, notes)
        clip_folder = checked_clip_folder(clips, listed, inputs)
        dates = read_dates(job.paths, when=when, time_zone=time_zone, date_order=date_order)
        if dates.form:
            notes.say(dates.note)
        with job.engine() as engine:
            queries = _read_examples(job, engine, examples)
            pairs = zip(examples, queries.records, strict=True)
            examples = [_within(example, record.extent, notes) for example, record in pairs]
            beside = broadband_beside(job, options_in_range(detector, domain, examples))
            corpus = job.read(engine, interleaved=True, beside=beside)
            matches = find_like(
                loaded,
                corpus,
                queries,
                examples,
                count=count,
                options=detector,
                group=settings.group,
                times=dates.starts,
                progress=notes,
            )
            for note in matches.notes:
                notes.say(note)
            if path and path.suffix.lower() in PAGES:
                write_find_page(loaded, corpus, queries, matches, path, progress=notes)
            elif path:
                _write_table(matches, path, loaded.digest)
            clip_facts = write_match_clips(matches, corpus, clip_folder, notes)
    facts = {
        "matches": [dict(zip(matches.columns, row, strict=True)) for row in matches.rows()],
        "like": [example.text for example in matches.examples if example.liked],
        "unlike": [example.text for example in matches.examples if not example.liked],
        "table": str(path) if path else None,
        "sources_used": len(corpus.used),
        "sources_skipped": len(corpus.skipped),
        **clip_facts,
    }
    return replace(matches, facts=facts, skipped=corpus.skipped, notes=notes.lines)


def _listed(examples: AnyPath | Sequence[AnyPath] | None) -> list[str]:
    """Return one or several examples as texts."""
    given = [examples] if isinstance(examples, str | os.PathLike) else examples or []
    return [os.fspath(example) for example in given]


def _read_examples(job: Reading, engine: Engine, examples: Sequence[Example]) -> EngineCorpus:
    """Read the recording of each example; InputError if one cannot be used."""
    paths = [*dict.fromkeys(example.path for example in examples)]
    corpus = replace(job.of(paths), trained=False, again=False).read(engine)
    by_path = {Path(record.path): number for number, record in enumerate(corpus.records)}
    queries = corpus.only(by_path[example.path] for example in examples)
    for example, record in zip(examples, queries.records, strict=True):
        if record.status != "used":
            raise InputError(f"{example.called}: the recording cannot be used: {record.reason}")
    job.report_used(corpus.records)
    return queries


def _within(example: Example, seconds: float, progress: Progress) -> Example:
    """Return the part of an example that is in its recording; report an example that ends after its recording."""
    inside = example.within(seconds)
    if example.end - inside.end > _ROUNDING and example.end < float("inf"):
        progress.say(
            f"{example.called}: the recording ends at {seconds:.2f} s, so the example is "
            f"{example.start:g} to {inside.end:.2f} s"
        )
    return inside


def _check_output(out: Path, inputs: Sequence[Path], digest: str, progress: Progress) -> None:
    """Check that the page or table can be written, and report the one that it replaces."""
    check_writable(out, (*PAGES, ".csv"))
    if out.suffix.lower() in PAGES:
        check_page(out, inputs)
    else:
        TABLE.check(out, inputs)
        report_replaced(description_of(out), digest, out, progress)


def _write_table(matches: Matches, path: Path, digest: str) -> None:
    given = " ".join(f"{example.option} {example.text}" for example in matches.examples)
    table = csv_text([matches.columns, *matches.rows()]).encode()
    TABLE.write(path, table, {"model_digest": digest, "like": given})
