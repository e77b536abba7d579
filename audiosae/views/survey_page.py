"""The pages of survey and find: sound types with examples to play, when they sound, the oddest moments; search."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.sources import printable
from audiosae.domain import Span
from audiosae.errors import InputError
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.results import NOWHERE, Events
from audiosae.sounds.sound_types import NO_NUMBER
from audiosae.system.files import write_file
from audiosae.system.progress import Progress, counted
from audiosae.views.event_excerpts import EventExcerpts
from audiosae.views.excerpts import choose, readable, span_text
from audiosae.views.page import bars, fill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.results import SoundType, Survey
    from audiosae.sounds.search import Example, Matches
    from audiosae.sounds.timeline import Timeline

SIZE = 20 * 2**20
_NEAREST, _UNLIKE, _ODDEST = 5, 3, 20
_AVERAGED = 24  # events of a mean picture
_LISTED = 40  # events of an hour that are named
_DAYS = 92  # more columns are months
_LISTED_SHARE = 0.2  # of the page's bytes for the lists of the hours
_LISTED_BYTES = 60  # of one event, about


def write_survey_page(
    survey: Survey, model: Model, corpus: EngineCorpus, path: Path, *, beside: Path | None = None,
    size: int = SIZE, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write a page of the types of sound in an archive, with examples to play, when they sound, and what is oddest.

    Parameters
    ----------
    corpus
        The recordings, those that were skipped included.
    path
        Of the page; it links to a `recordings.png` beside it.
    beside
        Folder in which a `report.html` is linked to; None for the page's own.
    size
        Bytes that the page may have.

    Returns
    -------
    dict
        page, bytes, types, examples (shown), examples_there (of those wanted).

    Raises
    ------
    InputError
        There is no room for the types alone, or the page cannot be written.
    """
    progress, domain = progress or Progress(), recordings_domain(model, "survey")
    groups = [_examples(survey.events, kind) for kind in survey.types] + [_oddest(survey.events)]
    means = [survey.events.of_type(kind.number)[:_AVERAGED].tolist() for kind in survey.types]
    corpus = corpus.only(corpus.used)
    shown = {n for numbers in [*means, *groups] for n in numbers}
    corpus = readable(corpus, sorted({int(survey.events.record[n]) for n in shown}))
    excerpts = EventExcerpts(domain, corpus, survey.events)
    progress.stage("page", None, "pieces")
    line = survey.timeline() if survey.dated else None
    cards = [_card(survey, kind, excerpts, mean, line) for kind, mean in zip(survey.types, means, strict=True)]
    report, lines = (beside or path.parent) / "report.html", path.parent / "recordings.png"
    view = _view(survey, cards, line) | {"report": report.is_file(), "lines": lines.is_file()}
    data: dict[str, Any] = {"groups": [], "hours": _hours(survey, line, size) if line else None}

    def page() -> bytes:
        return fill("survey", view, {"items": data, "pieces": pieces})

    pieces: list[dict[str, Any]] = []
    room = _room(len(page()), size, f"the {len(cards)} types alone")
    chosen = choose([[(n, 0.0) for n in group] for group in groups], excerpts, room, lambda: progress.advance(1))
    pieces = chosen.pieces
    data["groups"] = [[_told(survey, window) for window in windows] for windows in chosen.windows]
    there, wanted = sum(map(len, chosen.windows)), sum(map(len, groups))
    if there < wanted:
        view["notes"].append(f"{there} of {wanted} examples have room within {size / 2**20:.3g} MiB.")
    content = page()
    write_file(path, content)
    return {"page": str(path), "bytes": len(content), "types": len(cards), "examples": there, "examples_there": wanted}


def _room(empty: int, size: int, what: str) -> int:
    if (room := size - empty - 512) < 0:  # for a note
        raise InputError(f"{what} take {empty / 2**20:.1f} MiB of the page, wanted at most {size / 2**20:.3g}; "
                         f"give it more room")  # fmt: skip
    return room


def _examples(events: Events, kind: SoundType) -> list[int]:
    """Return the events of a type nearest its centre, and then those most unlike it."""
    own = events.of_type(kind.number)
    unlike = own[_NEAREST:][::-1][:_UNLIKE]
    return [*own[:_NEAREST].tolist(), *unlike.tolist()]


def _oddest(events: Events) -> list[int]:
    return [int(n) for n in np.argsort(-events.score, kind="stable")[:_ODDEST]]


def _told(survey: Survey, window: dict[str, Any]) -> dict[str, Any]:
    """Add date and time, and how far from its type an event is."""
    event = survey.event(window["event"])
    when = event.time.strftime("%Y-%m-%d %H:%M:%S") if event.time else ""
    return window | {"time": when, "score": round(event.score, 2)}


def _card(
    survey: Survey, kind: SoundType, excerpts: EventExcerpts, mean: Sequence[int], line: Timeline | None
) -> dict[str, Any]:  # fmt: skip
    own = survey.events.of_type(kind.number)
    seconds = float(np.median(survey.events.seconds[own])) if len(own) else 0.0
    facts = [
        ("how many", f"{kind.events:,} in {counted(kind.files, 'recording')}"),
        ("how long", f"{length(kind.seconds)} in all, half of them up to {seconds:.2f} s"),
        ("frequencies", f"{kind.low_hz:,.0f} to {kind.high_hz:,.0f} Hz"),
    ]
    hours = _by_hour(line, kind.number) if line else None
    if hours is not None and hours.any():
        facts.append(("most often", f"between {int(hours.argmax())}:00 and {int(hours.argmax()) + 1}:00"))
    return {
        "number": kind.number, "name": kind.name, "count": counted(kind.events, "sound"), "facts": facts,
        "seconds": f"{seconds:.2f}",
        "mean": excerpts.mean(mean, max(seconds, 0.1)) if mean else "",
        "hours": bars(hours.tolist(), high=24) if hours is not None and hours.any() else None,
        "busiest": int(hours.argmax()) if hours is not None else 0,
    }  # fmt: skip


def _by_hour(line: Timeline, number: int) -> NDArray[np.float64]:
    """Return events per recorded hour by the hour of the day, (24,)."""
    hour = [hour for _, hour in line.cells]
    counts = line.events[:, line.types.index(number)] if number in line.types else np.zeros(len(hour))
    recorded = np.bincount(hour, line.recorded, minlength=24) / 3600
    return np.asarray(np.bincount(hour, counts, minlength=24) / np.maximum(recorded, 1 / 60), np.float64)


def _view(survey: Survey, cards: list[dict[str, Any]], line: Timeline | None) -> dict[str, Any]:
    odd, skipped = len(survey.events.of_type(NOWHERE)), len(survey.skipped)
    heard = sum(kind.events > 0 for kind in survey.types)
    kinds = counted(heard, "kind") if heard == len(cards) else f"{heard} of {counted(len(cards), 'kind')}"
    verb = "was" if len(survey.events) == 1 else "were"
    where = f"{counted(len(survey.records), 'recording')} ({length(survey.seconds)})"
    lead = f"In {where} {counted(len(survey.events), 'sound')} of {kinds} {verb} found"
    lead += f"; {odd:,} of them {'is' if odd == 1 else 'are'} like no kind." if odd else "."
    notes = [f"Files that could not be used: {skipped}."] if skipped else []
    if survey.silent:
        notes.append(f"Recordings in which nothing stands out from the noise: {survey.silent:,}.")
    if NO_NUMBER in survey.choice:
        notes.append("No number of kinds stands out in these sounds: with fewer (--types N) they are divided more "
                     "coarsely, and what is alike can be given one name.")  # fmt: skip
    if line and line.undated:
        notes.append(f"Sounds in recordings whose date is not known, missing below under When: {line.undated:,}.")
    about = [("number of kinds", survey.choice)] if survey.choice else []
    if survey.stability:
        about.append(("agreement", f"with kinds from another draw of the sounds {survey.stability.seed:.2f}, between "
                                   f"two halves {survey.stability.halves:.2f} (adjusted Rand index: 1 is the same, "
                                   f"0 is chance)"))  # fmt: skip
    return {
        "title": "What is in these recordings", "heading": "What is in these recordings", "lead": lead,
        "notes": notes, "cards": cards, "timeline": _table(line) if line else None, "about": about, "odd": odd,
        "survey": survey.types_digest,
    }  # fmt: skip


def _columns(line: Timeline) -> list[str]:
    """Return the column of each hour of the timeline: its day, or its month where there are many days."""
    days = [day.isoformat() for day, _ in line.cells]
    return days if len(set(days)) <= _DAYS else [day[:7] for day in days]


def _table(line: Timeline) -> dict[str, Any]:
    columns, labels = sorted(set(_columns(line))), _columns(line)
    place: dict[tuple[int, str], bool] = {
        (hour, label): True for label, (_, hour) in zip(labels, line.cells, strict=True)
    }
    return {"columns": columns, "rows": [(hour, [(hour, label) in place for label in columns]) for hour in range(24)]}


def _hours(survey: Survey, line: Timeline, size: int) -> dict[str, Any]:
    """Return what sounds in each hour: seconds recorded, events by type, and the first of them by name."""
    found: dict[str, dict[str, Any]] = {}
    for label, (_, hour), recorded, counts in zip(_columns(line), line.cells, line.recorded, line.events, strict=True):
        cell = found.setdefault(f"{label} {hour}", {"seconds": 0.0, "types": {}, "events": []})
        cell["seconds"] = round(cell["seconds"] + float(recorded), 1)
        for number, count in zip(line.types, counts.tolist(), strict=True):
            if count:
                cell["types"][number] = cell["types"].get(number, 0) + count
    most = min(_LISTED, max(1, int(_LISTED_SHARE * size / _LISTED_BYTES / max(1, len(found)))))
    months = bool(line.cells) and len(_columns(line)[0]) == len("2024-06")
    for event in survey.rows():
        if event.time is None:
            continue
        day = event.time.date().isoformat()[: 7 if months else 10]
        cell = found.get(f"{day} {event.time.hour}", {"events": [None] * most})
        if len(cell["events"]) < most:
            cell["events"].append([event.record, round(event.start, 2), round(event.end, 2), event.type])
    return {"cells": found, "files": [printable(r.file) for r in survey.records]}


def write_find_page(  # noqa: PLR0917
    model: Model, corpus: EngineCorpus, example: Example, query: EngineCorpus, matches: Matches, path: Path, *,
    size: int = SIZE, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write a page of an example and the moments most like it.

    Parameters
    ----------
    example, query
        What was searched for, and its recording, read as `corpus` was.
    matches
        What was found in `corpus.only(corpus.used)`.
    path, size, progress
        As for `write_survey_page`.

    Returns
    -------
    dict
        page, bytes, examples (shown), examples_there.
    """
    progress, domain = progress or Progress(), recordings_domain(model, "find")
    corpus = corpus.only(corpus.used)
    records = [*corpus.records, query.only(query.used).records[0]]
    end = min(example.end, records[-1].extent)
    events = _with_query(matches.events, len(records) - 1, example.start, end, domain.sample_rate / 2)
    corpus = corpus.part(records)
    corpus = readable(corpus, sorted({int(i) for i in events.record}))
    count = len(matches.events)
    where = f"{printable(records[-1].file)}, {span_text(Span((example.start,), (end,), 's'))}"
    view: dict[str, Any] = {
        "title": "Moments like an example", "heading": "Moments like an example", "notes": [],
        "lead": f"The {counted(count, 'moment')} in {counted(len(records) - 1, 'recording')} most like {where}.",
    }  # fmt: skip
    progress.stage("page", count + 1, "moments")
    room = _room(len(fill("find", view, {"items": [], "pieces": []})), size, "words")
    chosen = choose([[(n, 0.0)] for n in (count, *range(count))], EventExcerpts(domain, corpus, events), room,
                    lambda: progress.advance(1))  # fmt: skip
    groups = [
        [w | {"similarity": float(matches.similarity[w["event"]]) if w["event"] < count else 1.0} for w in windows]
        for windows in chosen.windows
    ]
    if (there := sum(map(len, groups))) <= count:
        view["notes"].append(f"{max(0, there - 1)} of {count} moments have room within {size / 2**20:.3g} MiB.")
    content = fill("find", view, {"items": groups, "pieces": chosen.pieces})
    write_file(path, content)
    return {"page": str(path), "bytes": len(content), "examples": there, "examples_there": count + 1}


def _with_query(events: Events, record: int, start: float, end: float, high: float) -> Events:
    """Return the events and one more, that of the example."""
    last = {"record": record, "start": start, "end": end, "high_hz": high}
    columns = {column.name: getattr(events, column.name) for column in fields(events)}
    one = {name: np.array([last.get(name, 0)], values.dtype) for name, values in columns.items()}
    return Events(**{name: np.append(values, one[name]) for name, values in columns.items()})


def length(seconds: float) -> str:
    """Return a length of time in words: ``1 h 12 min``, ``3 min 5 s``, ``4.2 s``."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
