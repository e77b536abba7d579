"""audiosae survey, find: what is in a folder of recordings, and moments like one."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from audiosae.cli import parameters as shared  # noqa: TC001 (Typer reads it)
from audiosae.cli.console import Console, table
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from audiosae.sounds.results import Survey


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
    from audiosae.commands.reading import check_skipped
    from audiosae.commands.survey import survey_recordings

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
    silent = f", {found:,} without an event" if (found := result.facts["without_events"]) else ""
    lines = [
        table(rows),
        f"like no type: {counted(len(result.events.of_type(0)), 'event')}",
        f"number of types: {result.choice}",
    ]
    if stable:
        lines.append(f"stability of the types (adjusted Rand index): {stable.seed:.2f} from other draws, "
                     f"{stable.halves:.2f} between halves")  # fmt: skip
    events = f"{counted(len(result.events), 'event')} in {counted(used, 'recording')}"
    lines.append(f"{events} ({skipped} skipped{silent}), written to {out}")
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
    from audiosae.commands.find import find_moments as work
    from audiosae.commands.reading import check_skipped
    from audiosae.sounds.search import COLUMNS

    found = work(
        model, sources, like, out, count=count, workers=workers, engine=engine, backend=backend, cache=cache,
        progress=console,
    )  # fmt: skip
    console.result(table([COLUMNS, *(tuple(map(str, row)) for row in found.rows())]), found.facts)
    check_skipped(found.skipped, strict=strict)
