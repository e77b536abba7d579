"""audiosae survey, find: what is in a folder of recordings, and moments like one."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosae.cli import parameters as shared  # noqa: TC001 (Typer reads it)
from audiosae.cli.console import Console, table
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.survey.results import Survey
    from audiosae.survey.search import Example

_PAGES = (".html", ".htm")
_HEARD = 0.01  # s: a stretch may end with its recording as rounded


def survey(  # noqa: PLR0917
    console: Console,
    model: shared.ModelPath,
    sources: shared.Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    types: Annotated[str, typer.Option(metavar="auto|N", help="How many sound types.")] = "auto",
    types_from: Annotated[Path | None, typer.Option(help="Folder of an earlier survey: same types.")] = None,
    names: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Your names: columns type,name.")] = None,
    when: shared.When = "auto",
    time_zone: shared.TimeZone = None,
    events: Annotated[str, typer.Option(help="Tables of events: some of csv, parquet, raven, audacity.")] = (
        "csv,raven,audacity"
    ),
    min_duration: Annotated[float, typer.Option(help="Least seconds of an event.", min=0)] = 0.08,
    workers: shared.Workers = None,
    backend: shared.Backend = "auto",
    engine: shared.EngineName = "here",
    cache: shared.Cache = None,
    strict: shared.Strict = False,  # noqa: FBT002
) -> None:
    """Find what is in recordings and when: events, and types of them that sound alike."""
    from audiosae.engine.reading import check_skipped
    from audiosae.report.surveying import survey_recordings

    result = survey_recordings(
        model, sources, out, types=types, types_from=types_from, names=names, when=when, time_zone=time_zone,
        events=events, min_duration=min_duration, workers=workers, engine=engine, backend=backend, cache=cache,
        progress=console,
    )  # fmt: skip
    console.result(_told(result, out), result.facts)
    check_skipped(result.skipped, strict=strict)


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
    console: Console,
    model: shared.ModelPath,
    sources: shared.Sources,
    like: Annotated[str, typer.Option(metavar="FILE[@START-END]", help="The example; START and END in seconds.")],
    count: Annotated[int, typer.Option("--count", "-n", help="How many moments.", min=1)] = 20,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page or table to write: .html, .csv.")] = None,
    workers: shared.Workers = None,
    backend: shared.Backend = "auto",
    engine: shared.EngineName = "here",
    cache: shared.Cache = None,
    strict: shared.Strict = False,  # noqa: FBT002
) -> None:
    """Find the moments in recordings that sound most like a given one."""
    from audiosae.autoencoder.model import load_model
    from audiosae.engine.reading import check_skipped, find, opened_engine, read_sources
    from audiosae.report import write_find_page
    from audiosae.survey.codes import recordings_domain
    from audiosae.survey.search import COLUMNS, Example, find_like, write_matches_csv

    example = Example.parse(like)
    loaded = load_model(model)
    recordings_domain(loaded, "find")
    found = find(loaded, sources, console)
    _check_table(out, [example.path, *(source.path for source in found)])
    where: dict[str, Any] = {"cache": cache, "workers": workers}
    with opened_engine(engine, backend, cache, console) as there:
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
