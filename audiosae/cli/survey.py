"""audiosae survey, find: what is in a folder of recordings, and moments like one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli.console import Console, table
from audiosae.cli.parameters import (
    AsJson,
    Cache,
    EngineName,
    ModelPath,
    Quiet,
    Sources,
    Strict,
    TimeZone,
    When,
    WhenName,
    Workers,
)
from audiosae.cli.reading import check_skipped, find, opened, opened_engine, read_sources
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.sources import Source
    from audiosae.engine.placed import PlacedCorpus
    from audiosae.survey.results import Survey
    from audiosae.survey.search import Example
    from audiosae.survey.tables import Names

_WRITTEN = (  # what a survey leaves in its folder, besides folders of tables for other programs
    "events.csv", "events.parquet", "types.csv", "timeline.csv", "timeline.png", "recordings.png",
    "index.html",
)  # fmt: skip
_FACTS = "survey.json"
_PAGES = (".html", ".htm")
_HEARD = 0.01  # s: a stretch may end with its recording as rounded


def survey(  # noqa: PLR0917
    model: ModelPath,
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    types: Annotated[str, typer.Option(metavar="auto|N", help="How many sound types.")] = "auto",
    types_from: Annotated[Path | None, typer.Option(help="Folder of an earlier survey: same types.")] = None,
    names: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Your names: columns type,name.")] = None,
    when: When = WhenName.auto,
    time_zone: TimeZone = None,
    events: Annotated[str, typer.Option(help="Tables of events: some of csv, parquet, raven, audacity.")] = (
        "csv,raven,audacity"
    ),
    min_duration: Annotated[float, typer.Option(help="Least seconds of an event.", min=0)] = 0.08,
    workers: Workers = None,
    engine: EngineName = "here",
    cache: Cache = None,
    strict: Strict = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Find what is in recordings and when: events, and types of them that sound alike."""
    from audiosae.autoencoder.model import FILE, load_model
    from audiosae.report import write_survey_page
    from audiosae.survey.codes import recordings_domain
    from audiosae.survey.survey import survey as work
    from audiosae.survey.tables import read_names
    from audiosae.survey.types import load_types
    from audiosae.system.files import file_digest

    console = Console(quiet=quiet, as_json=as_json)
    count, formats = _count(types, types_from), _formats(events)
    loaded = load_model(model)
    recordings_domain(loaded, "survey")
    digest = file_digest(model / FILE if model.is_dir() else model)
    known = load_types(types_from, digest) if types_from else None
    named = read_names(names, console.say) if names else None
    found = find(loaded, sources, console)
    _check_folder(out, [source.path for source in found])
    times, note = _times(found, when, time_zone, console)
    with opened(
        loaded, found, console, engine=engine, cache=cache, workers=workers, interleaved=True
    ) as corpus:  # fmt: skip
        console.stage("listening", len(corpus.used), "files")
        result, kept = work(
            loaded, corpus, count=count, known=known, names=named.of if named else None, shortest=min_duration,
            times=times, folder=out, done=lambda _: console.advance(1),
        )  # fmt: skip
        told = _names_note(named, result, names, types_from)
        if told:
            console.say(told)
        kept.save(out / "types.safetensors", digest)
        _write(result, out, formats)
        _draw_recordings(result, loaded, corpus, out)
        page = write_survey_page(result, loaded, corpus, out / "index.html", progress=console)
    facts = _facts(result, out, digest, note) | {"page": page["page"], "names": told}
    (out / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    console.result(_told(result, out), facts)
    check_skipped(corpus.skipped, strict=strict)


def _count(types: str, types_from: Path | None) -> int | None:
    """Return the number of types asked for; None where it is to be chosen."""
    if types == "auto":
        return None
    if not types.isdecimal() or int(types) < 1:
        raise InputError(f"--types {types}: wanted auto or a number from 1")
    if types_from:
        raise InputError(f"--types {types}: --types-from has its own number of types; leave out one of the two")
    return int(types)


def _formats(text: str) -> list[str]:
    """Return the formats of a comma list.

    Raises
    ------
    InputError
        One is unknown, or pyarrow is missing.
    """
    from importlib.util import find_spec

    from audiosae.survey.annotations import FORMATS

    there = ("csv", "parquet", *FORMATS)
    wanted = [part.strip().lower() for part in text.split(",")]
    wrong = [part for part in wanted if part not in there]
    if wrong:
        raise InputError(f"--events {text}: no format {wrong[0]!r}; wanted some of {', '.join(there)}")
    if "parquet" in wanted and find_spec("pyarrow") is None:
        raise InputError("--events parquet needs pyarrow: pip install 'audiosae[parquet]', or take csv")
    return wanted


def _check_folder(out: Path, inputs: Sequence[Path]) -> None:
    """Make the folder; refuse one that holds something else.

    Raises
    ------
    InputError
        It is a file, cannot be made, or holds what no survey wrote.
    """
    from audiosae.autoencoder.model import FILE
    from audiosae.survey.annotations import FORMATS
    from audiosae.system.files import check_replaceable, has_facts

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; wanted a folder") from error
    if (out / FILE).exists() or any(path.absolute().parent == out.absolute() for path in inputs):
        what = "is a run folder" if (out / FILE).exists() else "holds recordings that are surveyed"
        raise InputError(f"--out {out}: {what}; give the survey a folder of its own")
    own = has_facts(out / _FACTS, "model_digest", "types")
    for name in (*_WRITTEN, *(f"events.{program}" for program in FORMATS), _FACTS):
        check_replaceable(out / name, inputs, own=own)


def _times(
    found: Sequence[Source], when: WhenName, time_zone: str | None, console: Console
) -> tuple[Sequence[datetime | None], str]:
    """Return date and time at the start of each source, and what was understood."""
    from audiosae.survey.dates import read_dates

    dates = read_dates([source.path for source in found], when=when.value, time_zone=time_zone)
    console.say(dates.note)
    return dates.starts, dates.note


def _names_note(names: Names | None, result: Survey, path: Path | None, types_from: Path | None) -> str:
    """Return what a user should know of names that were given: a number alone does not say which sound it is."""
    if names is None:
        return ""
    notes = []
    if wrong := sorted(set(names.of) - {kind.number for kind in result.types}):
        notes.append(f"--names {path}: no type {', '.join(map(str, wrong))}; there are {len(result.types)}")
    if names.types and names.types != result.types_digest:
        what = "those in --types-from" if types_from else "this survey's"
        notes.append(f"--names {path}: it names the types of another survey, not {what}; they went to the same "
                     f"numbers, which may be other sounds; give --types-from the folder of that survey")  # fmt: skip
    elif not names.types and types_from is None:
        notes.append(f"--names {path}: names are given to the numbers of this survey, and other recordings may give "
                     f"other numbers; with --types-from FOLDER numbers and names stay")  # fmt: skip
    return "\n".join(notes)


def _write(result: Survey, out: Path, formats: list[str]) -> None:
    """Write the tables and pictures of a survey into its folder."""
    from audiosae.survey.annotations import FORMATS, write_annotations
    from audiosae.survey.tables import selections, write_events_csv, write_events_parquet, write_types_csv

    _remove_former(out)
    write_types_csv(result, out / "types.csv")
    if "csv" in formats:
        write_events_csv(result, out / "events.csv")
    if "parquet" in formats:
        write_events_parquet(result, out / "events.parquet")
    for program in FORMATS:
        if program in formats:
            write_annotations(selections(result), out / f"events.{program}", program)
    if result.dated:
        _write_timeline(result, out)


def _remove_former(out: Path) -> None:
    """Remove the tables of an earlier survey in this folder, whose types may have had other numbers."""
    from audiosae.survey.annotations import FORMATS

    tables = [path for name, form in FORMATS.items() for path in (out / f"events.{name}").glob(f"*{form.suffix}")]
    for path in [*(out / name for name in _WRITTEN), *tables]:
        path.unlink(missing_ok=True)


def _write_timeline(result: Survey, out: Path) -> None:
    from audiosae.survey.tables import write_timeline_csv
    from audiosae.survey.timeline_picture import draw_timeline

    line = result.timeline()
    write_timeline_csv(line, out / "timeline.csv", result.names)
    draw_timeline(line, out / "timeline.png", names=result.names)


def _draw_recordings(result: Survey, model: Model, corpus: PlacedCorpus, out: Path) -> None:
    from audiosae.survey.glimpses import glimpses
    from audiosae.survey.timeline_picture import draw_recordings

    series, lengths = glimpses(model, corpus.only(corpus.used)), [record.extent for record in result.records]
    files, starts = [record.file for record in result.records], result.times if result.dated else ()
    draw_recordings(series, lengths, out / "recordings.png", starts=starts, names=files)


def _facts(result: Survey, out: Path, digest: str, note: str) -> dict[str, Any]:
    """Return what a survey found as JSON has it."""
    from audiosae.corpus.journal import told_of

    return {
        "folder": str(out), "model_digest": digest, "events": len(result.events), "seconds": result.seconds,
        "event_seconds": float(result.events.seconds.sum()), "sources_used": len(result.records),
        "sources_skipped": len(result.skipped),
        **told_of([*result.records, *result.skipped]),
        "types": [asdict(kind) for kind in result.types], "like_no_type": len(result.events.of_type(0)),
        "number_of_types": result.choice, "stability": asdict(result.stability) if result.stability else None,
        "dates": note, "dated": result.dated,
    }  # fmt: skip


def _told(result: Survey, out: Path) -> str:
    """Return what a survey found for a person."""
    rows = [("type", "events", "files", "seconds", "Hz", "best example")]
    for kind in result.types:
        best = result.event(kind.exemplar) if kind.exemplar >= 0 else None
        rows.append((
            f"{kind.number} {kind.name}".strip(), f"{kind.events:,}", f"{kind.files:,}", f"{kind.seconds:,.0f}",
            f"{kind.low_hz:.0f}-{kind.high_hz:.0f}", f"{best.file} at {best.start:.2f} s" if best else "none here",
        ))  # fmt: skip
    used, skipped, stable = len(result.records), len(result.skipped), result.stability
    lines = [
        table(rows),
        f"like no type: {len(result.events.of_type(0)):,} events",
        f"number of types: {result.choice}",
    ]
    if stable:
        lines.append(f"stability of the types (adjusted Rand index): {stable.seed:.2f} from other draws, "
                     f"{stable.halves:.2f} between halves")  # fmt: skip
    lines.append(f"{len(result.events):,} events in {used} recordings ({skipped} skipped), written to {out}")
    lines.append(f"next: open {out / 'index.html'} in a browser")
    return "\n".join(lines)


def find_moments(  # noqa: PLR0917
    model: ModelPath,
    sources: Sources,
    like: Annotated[str, typer.Option(metavar="FILE[@START-END]", help="The example; START and END in seconds.")],
    count: Annotated[int, typer.Option("--count", "-n", help="How many moments.", min=1)] = 20,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page or table to write: .html, .csv.")] = None,
    workers: Workers = None,
    engine: EngineName = "here",
    cache: Cache = None,
    strict: Strict = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Find the moments in recordings that sound most like a given one."""
    from audiosae.autoencoder.model import load_model
    from audiosae.report import write_find_page
    from audiosae.survey.codes import recordings_domain
    from audiosae.survey.search import COLUMNS, Example, find_like, write_matches_csv

    console = Console(quiet=quiet, as_json=as_json)
    example = Example.parse(like)
    loaded = load_model(model)
    recordings_domain(loaded, "find")
    found = find(loaded, sources, console)
    _check_table(out, [example.path, *(source.path for source in found)])
    where: dict[str, Any] = {"cache": cache, "workers": workers}
    with opened_engine(engine, cache, console) as there:
        given = read_sources(loaded, find(loaded, [example.path], console), console, there, **where)
        example = _whole(example, given.records[0].extent, console)
        corpus = read_sources(loaded, found, console, there, **where, interleaved=True)
        console.stage("listening", len(corpus.used), "files")
        matches = find_like(
            loaded, corpus, given.records[0], example, count=count, done=lambda _: console.advance(1)
        )  # fmt: skip
        if out and out.suffix.lower() in _PAGES:
            write_find_page(loaded, corpus, example, given, matches, out, progress=console)
    rows = list(matches.rows())
    if out and out.suffix.lower() not in _PAGES:
        write_matches_csv(matches, out)
    told = table([COLUMNS, *(tuple(map(str, row)) for row in rows)])
    facts = {"matches": [dict(zip(COLUMNS, row, strict=True)) for row in rows], "table": str(out) if out else None,
             "sources_used": len(corpus.used), "sources_skipped": len(corpus.skipped)}  # fmt: skip
    console.result(told, facts)
    check_skipped(corpus.skipped, strict=strict)


def _whole(example: Example, seconds: float, console: Console) -> Example:
    """Return what there is of an example in its recording; a stretch that is cut at the end of it is told."""
    there = example.within(seconds)
    if example.end - there.end > _HEARD and example.end < float("inf"):
        console.say(f"--like {example.path}: the recording ends at {seconds:.2f} s; the example is "
                    f"{example.start:g} to {there.end:.2f} s of it")  # fmt: skip
    return there


def _check_table(out: Path | None, inputs: Sequence[Path]) -> None:
    """Refuse a table that cannot be written, before the work is done."""
    from audiosae.survey.search import COLUMNS
    from audiosae.system.files import check_replaceable, is_marked

    if out is None:
        return
    if out.suffix.lower() not in {".csv", *_PAGES}:
        raise InputError(f"--out {out}: cannot write {out.suffix or 'that'}; wanted .html or .csv")
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: there is no folder {out.parent}")
    try:
        own = (
            is_marked(out)
            if out.suffix.lower() in _PAGES
            else out.read_text(encoding="utf-8").startswith(",".join(COLUMNS))
        )
    except (OSError, UnicodeDecodeError):
        own = False
    check_replaceable(out, inputs, own=own)
