"""HTML pages of survey and find: sound types with examples to play, when they occur, unusual sounds; search results."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain import Span
from audiosae.errors import InputError
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.results import NOWHERE, Events
from audiosae.sounds.sound_types import NO_NUMBER
from audiosae.system.files import write_file
from audiosae.system.progress import Progress, counted
from audiosae.views.event_excerpts import EventExcerpts
from audiosae.views.excerpts import choose_excerpts, span_text, with_local_fields
from audiosae.views.page import as_json, bars, fill
from audiosae.views.survey_events import PageEvents, Thumbnails, packed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.results import SoundType, Survey
    from audiosae.sounds.search import Example, Matches
    from audiosae.sounds.timeline import Timeline

SIZE = 20 * 2**20
_PICTURES_SHARE = 0.45  # of the bytes that are free
_PIECE_BYTES = 12  # of a sound: its number and that of its excerpt
_MOST_PLAYED = 2000
_REMOTE = 500  # sounds with pictures, if the fields of the recordings are on other machines
_LONGEST = 15.0  # s of a sound that are played
_SCRIPTS = tuple(f"survey_{name}" for name in ("data", "source", "corrections", "map", "grid", "queue", "hours"))
_DAYS = 92  # columns; of a longer period each column is a month
_NOTE_BYTES = 512  # reserved for a note on what does not fit
_MINUTE = 60  # s
_BRIEF, _FEW = 0.1, 10  # s: shorter durations are shown in ms; more digits below
_TRUST = (
    "Clear sounds with sharp edges, such as syllables, are found with their starts and ends to a few milliseconds; "
    "sounds that fade lose their faint parts. Weak sounds, sounds that overlap in time and frequency, and sounds "
    "in rain and wind are found less reliably: some are missed, joined or divided."
)
_TRUST_BOUTS = " Where a bout begins and ends is estimated from the pauses between its events, and how alike they are."
_MANUAL = " The manual has figures (Events and bouts: How far to trust events)."


def write_survey_page(
    survey: Survey,
    model: Model,
    corpus: EngineCorpus,
    path: Path,
    *,
    labels: Mapping[int, tuple[str, str, int]] | None = None,
    sites: Sequence[str] = (),
    beside: Path | None = None,
    size: int = SIZE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a survey: types, a map and a grid of the sounds, a listening queue, and when they occur.

    Parameters
    ----------
    corpus
        The recordings, including skipped ones.
    path
        Output file. The page has a link to `recordings.png` if it is in the same folder.
    labels
        Label, answer and type of sounds, by number, as in labels.csv.
    sites
        Site of each recording of the survey, if known.
    beside
        Folder of the `report.html` to which the page has a link; the folder of the page when not given.
    size
        Largest size of the page in bytes.

    Returns
    -------
    dict
        page, bytes, types, sounds and pictures (on the page), examples (that it plays), examples_there (all sounds).

    Raises
    ------
    InputError
        The types and the list of sounds alone exceed `size`, or the page cannot be written.
    """
    progress, domain, events = progress or Progress(), recordings_domain(model, "survey"), survey.sounds
    page_events = PageEvents(survey, labels=labels, sites=sites)
    corpus = corpus.only(corpus.used)
    first = page_events.priority()
    if any(not Path(corpus.records[i].field).exists() for i in np.unique(events.record[first]).tolist()):
        first = first[:_REMOTE]  # their recordings are decoded again on this machine
    corpus = with_local_fields(corpus, sorted({int(events.record[n]) for n in first}))
    timeline = survey.timeline() if survey.dated else None
    view = _view(survey, [_card(survey, kind, timeline) for kind in survey.types], timeline) | {
        "report": ((beside or path.parent) / "report.html").is_file(),
        "lines": (path.parent / "recordings.png").is_file(),
        "by_site": any(sites),
    }
    thumbnails = Thumbnails(domain, corpus, survey)
    data: dict[str, Any] = {
        "events": page_events.columns(),
        "pictures": thumbnails.facts(),
        "hours": _hours(timeline) if timeline else None,
        "best": {kind.number: kind.exemplar + 1 for kind in survey.types if kind.events},
    }
    size_free = _free_bytes(len(_fill(view, data, [])), size, f"the {len(view['cards'])} types alone")
    pictures = thumbnails.sheets(first.tolist(), round(_PICTURES_SHARE * size_free))
    size_free -= len(as_json(pictures)) + _PIECE_BYTES * len(first)
    progress.stage("page", len(first), "sounds")
    excerpts = EventExcerpts(domain, corpus, events, workers=corpus.workers, pictures=False, longest=_LONGEST)
    queue = [[(n, 0.0) for n in first[:_MOST_PLAYED].tolist()]]
    pieces, (played,) = choose_excerpts(queue, excerpts, size_free, lambda: progress.advance(1))
    data["pictures"] |= pictures | {"of": packed(np.searchsorted(page_events.numbers, first), "<u4")}
    data["played"] = [window["piece"] for window in played]
    fitting = sum("fault" not in pieces[window["piece"]] for window in played)
    view["notes"] += _omitted(survey, len(page_events.numbers), pictures["shown"], fitting)
    page = _fill(view, data, pieces)
    write_file(path, page)
    return {
        "page": str(path),
        "bytes": len(page),
        "types": len(survey.types),
        "sounds": len(page_events.numbers),
        "pictures": pictures["shown"],
        "examples": fitting,
        "examples_there": len(events),
    }


def _fill(view: dict[str, Any], data: dict[str, Any], pieces: Sequence[dict[str, Any]]) -> bytes:
    return fill("survey", view, {"items": data, "pieces": pieces}, scripts=_SCRIPTS)


def _omitted(survey: Survey, shown: int, pictures: int, played: int) -> list[str]:
    """Return notes on what the page does not have."""
    notes, count = [], len(survey.sounds)
    if shown < count:
        notes.append(
            f"This page has {shown:,} of the {count:,} sounds: an evenly spaced sample, and the most and least typical "
            "sounds of each type. Counts and the table of hours are of all sounds."
        )
    if played < shown or pictures < shown:
        notes.append(f"Of the {shown:,} sounds on this page, {played:,} can be played and {pictures:,} have a picture.")
    return notes


def _free_bytes(empty: int, size: int, content: str) -> int:
    """Return how many bytes a page has left for excerpts; raise InputError if it is too large without them."""
    if (free := size - empty - _NOTE_BYTES) < 0:
        raise InputError(
            f"{content} need {empty / 2**20:.1f} MiB of the page, more than the maximum of {size / 2**20:.3g} MiB; "
            f"give a larger size"
        )
    return free


def _card(survey: Survey, kind: SoundType, timeline: Timeline | None) -> dict[str, Any]:
    """Return a sound type as the page shows it."""
    own = survey.sounds.of_type(kind.number)
    seconds = float(np.median(survey.sounds.seconds[own])) if len(own) else 0.0
    facts = [
        ("number", f"{kind.events:,} in {counted(kind.files, 'recording')}{_events_each(survey, own)}"),
        ("duration", f"{length(kind.seconds)} in total, median {length(seconds)}"),
        ("frequencies", f"{kind.low_hz:,.0f} to {kind.high_hz:,.0f} Hz"),
    ]
    rates, busiest = np.zeros(24), 0  # events per recorded hour, by the hour of the day
    if timeline and kind.number in timeline.types:
        hours = [hour for _, hour in timeline.cells]
        counts = np.bincount(hours, timeline.events[:, timeline.types.index(kind.number)], minlength=24)
        rates = counts / np.maximum(np.bincount(hours, timeline.recorded, minlength=24) / 3600, 1 / 60)
        busiest = int(rates.argmax())
    if rates.any():
        facts.append(("most often", f"between {busiest}:00 and {busiest + 1}:00"))
    return {
        "number": kind.number,
        "name": kind.name,
        "count": counted(kind.events, "sound"),
        "facts": facts,
        "hours": bars(rates.tolist(), high=24) if rates.any() else None,
        "busiest": busiest,
    }


def _events_each(survey: Survey, own: NDArray[np.intp]) -> str:
    """Return the mean number of events in the bouts of a type as text; "" if events were grouped into types."""
    if survey.group == "event" or not len(own):
        return ""
    return f", {survey.sounds.events[own].mean():.1f} events each on average"


def _meaning(survey: Survey) -> str:
    """Return what a sound of the page is: an event or a bout."""
    events, bouts = counted(len(survey.events), "event"), counted(len(survey.bouts), "bout")
    if survey.group == "event":
        return f"Each sound is one event, such as a syllable or a bark. The {events} form {bouts} (bouts.csv)."
    mean = len(survey.events) / max(1, len(survey.bouts))
    return (
        f"Each sound is a bout: a series of events, such as syllables or barks, that follow each other closely and "
        f"sound alike. The {bouts} have {mean:.1f} events on average ({events} in events.csv)."
    )


def _view(survey: Survey, cards: list[dict[str, Any]], timeline: Timeline | None) -> dict[str, Any]:
    odd, skipped = len(survey.sounds.of_type(NOWHERE)), len(survey.skipped)
    heard = sum(kind.events > 0 for kind in survey.types)
    types = counted(heard, "type") if heard == len(cards) else f"{heard} of {counted(len(cards), 'type')}"
    verb = "was" if len(survey.sounds) == 1 else "were"
    recordings = f"{counted(len(survey.records), 'recording')} ({length(survey.seconds)})"
    lead = f"{counted(len(survey.sounds), 'sound')} of {types} {verb} found in {recordings}"
    lead += f"; {odd:,} of them {'belongs' if odd == 1 else 'belong'} to no type." if odd else "."
    notes = [f"Files that could not be used: {skipped}."] if skipped else []
    if survey.silent:
        notes.append(f"Recordings without any sound above the noise: {survey.silent:,}.")
    if NO_NUMBER in survey.choice:
        notes.append(
            "The number of types is arbitrary: no number fits these sounds clearly better than the others. Use fewer "
            "types (--types N) for coarser groups, or give similar types the same name."
        )
    if timeline and timeline.undated:
        notes.append(f"Sounds in recordings without a date, which the table of hours omits: {timeline.undated:,}.")
    about = [("number of types", f"{len(cards)} ({survey.choice})")] if survey.choice else []
    if survey.stability:
        agreement = (
            f"{survey.stability.seed:.2f} with the types of another sample of the sounds, "
            f"{survey.stability.halves:.2f} between the types of two halves (adjusted Rand index: 1 same, 0 chance)"
        )
        about.append(("agreement", agreement))
    return {
        "title": "Sounds in these recordings",
        "heading": "Sounds in these recordings",
        "lead": lead,
        "meaning": _meaning(survey),
        "trust": f"{_TRUST}{_TRUST_BOUTS if survey.group == 'bout' else ''}{_MANUAL}",
        "notes": notes,
        "cards": cards,
        "timeline": _table(timeline) if timeline else None,
        "about": about,
        "odd": odd,
    }


def _columns(timeline: Timeline) -> list[str]:
    """Return the column of each hour of the timeline: its day, or its month if there are many days."""
    days = [day.isoformat() for day, _ in timeline.cells]
    return days if len(set(days)) <= _DAYS else [day[:7] for day in days]


def _table(timeline: Timeline) -> dict[str, Any]:
    """Return the table of hours: its columns, and its rows.

    A row has the hour of the day, its cells (whether the hour was recorded), and no number of hours; or, in place of
    several hours that were never recorded, the first of them, no cells, and their number.
    """
    labels = _columns(timeline)
    recorded = {(hour, label) for label, (_, hour) in zip(labels, timeline.cells, strict=True)}
    columns, rows = sorted(set(labels)), list[tuple[int, list[bool], int]]()
    for hour in range(24):
        cells = [(hour, label) in recorded for label in columns]
        if any(cells):
            rows.append((hour, cells, 0))
        elif rows and rows[-1][2]:
            rows[-1] = (rows[-1][0], [], rows[-1][2] + 1)
        else:
            rows.append((hour, [], 1))
    return {"columns": columns, "rows": rows}


def _hours(timeline: Timeline) -> dict[str, Any]:
    """Return the content of each hour: in `cells`, seconds recorded and events by type."""
    cells: dict[str, dict[str, Any]] = {}
    rows = zip(_columns(timeline), timeline.cells, timeline.recorded, timeline.events, strict=True)
    for label, (_, hour), recorded, counts in rows:
        cell = cells.setdefault(f"{label} {hour}", {"seconds": 0.0, "types": {}})
        cell["seconds"] = round(cell["seconds"] + float(recorded), 1)
        for number, count in zip(timeline.types, counts.tolist(), strict=True):
            if count:
                cell["types"][number] = cell["types"].get(number, 0) + count
    return {"cells": cells}


def write_find_page(  # noqa: PLR0917
    model: Model,
    corpus: EngineCorpus,
    example: Example,
    query: EngineCorpus,
    matches: Matches,
    path: Path,
    *,
    size: int = SIZE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a search: an example and the sounds most similar to it.

    Parameters
    ----------
    example, query
        The example, and its recording, read like `corpus`.
    matches
        Result of the search in `corpus.only(corpus.used)`.
    path, size, progress
        As for `write_survey_page`.

    Returns
    -------
    dict
        page, bytes, examples (shown), examples_there (available).
    """
    progress, domain, count = progress or Progress(), recordings_domain(model, "find"), len(matches.events)
    corpus = corpus.only(corpus.used)
    records = [*corpus.records, query.only(query.used).records[0]]
    end = min(example.end, records[-1].extent)
    events = _with_example(matches.events, len(records) - 1, example.start, end, domain.sample_rate / 2)
    corpus = with_local_fields(corpus.part(records), sorted({int(i) for i in events.record}))
    where = f"{records[-1].file}, {span_text(Span((example.start,), (end,), 's'))}"
    view: dict[str, Any] = {
        "title": "Sounds similar to an example",
        "heading": "Sounds similar to an example",
        "notes": [],
        "lead": f"The {counted(count, 'sound')} in {counted(len(records) - 1, 'recording')} most similar to {where}.",
    }
    progress.stage("page", count + 1, "moments")
    free = _free_bytes(len(fill("find", view, {"items": [], "pieces": []})), size, "texts and scripts alone")
    tops = [[(n, 0.0)] for n in (count, *range(count))]
    excerpts = EventExcerpts(domain, corpus, events)
    pieces, chosen = choose_excerpts(tops, excerpts, free, lambda: progress.advance(1))
    similarity = [*matches.similarity.tolist(), 1.0]
    groups = [[w | {"similarity": similarity[w["event"]]} for w in windows] for windows in chosen]
    fitting = sum(map(len, groups))
    if fitting <= count:
        view["notes"].append(f"{max(0, fitting - 1)} of {count} sounds fit into {size / 2**20:.3g} MiB.")
    page = fill("find", view, {"items": groups, "pieces": pieces})
    write_file(path, page)
    return {"page": str(path), "bytes": len(page), "examples": fitting, "examples_there": count + 1}


def _with_example(events: Events, record: int, start: float, end: float, high: float) -> Events:
    example = {"record": record, "start": start, "end": end, "high_hz": high}
    columns = {column.name: getattr(events, column.name) for column in fields(events)}
    last = {name: np.array([example.get(name, 0)], values.dtype) for name, values in columns.items()}
    return Events(**{name: np.append(values, last[name]) for name, values in columns.items()})


def length(seconds: float) -> str:
    """Return a duration as text: ``1 h 12 min``, ``3 min 5 s``, ``42.1 s``, ``4.25 s``, ``62 ms``, ``4.3 ms``."""
    if 0 < seconds < _BRIEF:
        milliseconds = 1000 * seconds
        return f"{milliseconds:.1f} ms" if milliseconds < _FEW else f"{milliseconds:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds >= _FEW else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
