"""HTML page of survey: sound types with examples to play, when they occur, and unusual sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.grouping import NO_NUMBER
from audiosae.sounds.results import NOWHERE, REJECTED
from audiosae.system.files import write_file
from audiosae.system.progress import Progress, counted
from audiosae.views.event_excerpts import EventExcerpts
from audiosae.views.excerpts import choose_excerpts, with_local_fields
from audiosae.views.label_table import label_table, label_text, labels_of
from audiosae.views.page import bars, fill
from audiosae.views.survey_hours import Rates, hours_content, hours_table, sites_shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.results import SoundType, Survey
    from audiosae.sounds.timeline import Timeline

SIZE = 20 * 2**20
_TYPICAL, _ATYPICAL, _UNUSUAL = 5, 3, 20  # events shown
_AVERAGED = 24  # events of a mean spectrogram
_NOTE_BYTES = 512  # reserved for a note on what does not fit
_MINUTE = 60  # s
_BRIEF, _FEW = 0.1, 10  # s: shorter durations are shown in ms, and no mean spectrogram is shorter; more digits below
_TRUST = (
    "Clear sounds with sharp edges, such as syllables, are found with their starts and ends to a few milliseconds; "
    "sounds that fade lose their faint parts. Weak sounds, sounds that overlap in time and frequency, and sounds "
    "in rain and wind are found less reliably: some are missed, joined or divided."
)
_TRUST_BOUTS = " Where a bout begins and ends is estimated from the pauses between its events, and how alike they are."
_TRUST_TYPES = (
    " Types are groups of similar sounds, which nobody labelled. Clear, repeated sounds, such as the syllables of a "
    "bird, are usually one type per kind; of varied sounds, a kind may have several types, and a type several kinds."
)
_MANUAL = " The manual has figures (Events and bouts: How far to trust events, How far to trust types)."


def write_survey_page(
    survey: Survey,
    model: Model,
    corpus: EngineCorpus,
    path: Path,
    *,
    beside: Path | None = None,
    size: int = SIZE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a survey: sound types with examples to play, when they occur, and the most unusual sounds.

    Parameters
    ----------
    corpus
        The recordings, including skipped ones.
    path
        Output file. The page has a link to `recordings.png` if it is in the same folder.
    beside
        Folder of the `report.html` to which the page has a link; the folder of the page when not given.
    size
        Largest size of the page in bytes.

    Returns
    -------
    dict
        page, bytes, types, examples (shown), examples_there (available).

    Raises
    ------
    InputError
        The types alone exceed `size`, or the page cannot be written.
    """
    progress, domain, events = progress or Progress(), recordings_domain(model, "survey"), survey.sounds
    own = [events.of_type(kind.number) for kind in survey.types]  # the most typical first
    groups = [[*n[:_TYPICAL].tolist(), *n[_TYPICAL:][::-1][:_ATYPICAL].tolist()] for n in own]
    unusual = np.argsort(-events.score, kind="stable")
    groups.append(unusual[events.type[unusual] != REJECTED][:_UNUSUAL].tolist())
    means = [numbers[:_AVERAGED].tolist() for numbers in own]
    corpus = corpus.only(corpus.used)
    shown = {n for numbers in [*means, *groups] for n in numbers}
    corpus = with_local_fields(corpus, sorted({int(events.record[n]) for n in shown}))
    excerpts = EventExcerpts(domain, corpus, events)
    progress.stage("page", None, "pieces")
    timeline = survey.timeline() if survey.dated else None
    rates = Rates(survey)
    cards = [
        _card(survey, kind, excerpts, mean, timeline) | {"rates": rates.facts(numbers)}
        for kind, mean, numbers in zip(survey.types, means, own, strict=True)
    ]
    view = _view(survey, cards, timeline) | {
        "report": ((beside or path.parent) / "report.html").is_file(),
        "lines": (path.parent / "recordings.png").is_file(),
        "sites": rates.sites(path.parent),
        "chosen_sites": sites_shown(survey),
    }
    data: dict[str, Any] = {"groups": [], "hours": hours_content(survey, timeline, size) if timeline else None}
    empty = len(fill("survey", view, {"items": data, "pieces": []}))
    free = free_bytes(empty, size, f"the {len(cards)} types alone")
    tops = [[(n, 0.0) for n in group] for group in groups]
    pieces, chosen = choose_excerpts(tops, excerpts, free, lambda: progress.advance(1))
    data["groups"] = [[_with_time(survey, window) for window in windows] for windows in chosen]
    fitting, available = sum(map(len, chosen)), sum(map(len, groups))
    if fitting < available:
        view["notes"].append(f"{fitting} of {available} examples fit into {size / 2**20:.3g} MiB.")
    page = fill("survey", view, {"items": data, "pieces": pieces})
    write_file(path, page)
    return {
        "page": str(path),
        "bytes": len(page),
        "types": len(cards),
        "examples": fitting,
        "examples_there": available,
    }


def free_bytes(empty: int, size: int, content: str) -> int:
    """Return how many bytes a page has left for excerpts; raise InputError if it is too large without them."""
    if (free := size - empty - _NOTE_BYTES) < 0:
        raise InputError(
            f"{content} need {empty / 2**20:.1f} MiB of the page, more than the maximum of {size / 2**20:.3g} MiB; "
            f"give a larger size"
        )
    return free


def _with_time(survey: Survey, window: dict[str, Any]) -> dict[str, Any]:
    """Add the date and time of an event, and its distance from the centre of its type."""
    event = survey.event(window["event"])
    return window | {
        "time": event.time.strftime("%Y-%m-%d %H:%M:%S") if event.time else "",
        "score": round(event.score, 2),
        "label": label_text(event),
    }


def _card(
    survey: Survey, kind: SoundType, excerpts: EventExcerpts, mean: Sequence[int], timeline: Timeline | None
) -> dict[str, Any]:
    """Return a sound type as the page shows it; `mean` are the events of its mean spectrogram."""
    own = survey.sounds.of_type(kind.number)
    seconds = float(np.median(survey.sounds.seconds[own])) if len(own) else 0.0
    facts = [
        ("number", f"{kind.events:,} in {counted(kind.files, 'recording')}{_events_each(survey, own)}"),
        ("duration", f"{length(kind.seconds)} in total, median {length(seconds)}"),
        ("frequencies", f"{kind.low_hz:,.0f} to {kind.high_hz:,.0f} Hz"),
    ]
    if labels := labels_of(survey, own):
        facts.append(("labels", labels))
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
        "seconds": length(max(seconds, _BRIEF)),
        "mean": excerpts.mean(mean, max(seconds, _BRIEF)) if mean else "",
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
    sounds = int((survey.sounds.type != REJECTED).sum())
    lead = f"{counted(sounds, 'sound')} of {types} {verb} found in {recordings}"
    lead += f"; {odd:,} of them {'belongs' if odd == 1 else 'belong'} to no type." if odd else "."
    notes = [f"Files that could not be used: {skipped}."] if skipped else []
    if survey.silent:
        notes.append(f"Recordings without any sound above the noise: {survey.silent:,}.")
    if NO_NUMBER in survey.choice:
        notes.append(
            "The number of types is arbitrary: no number fits these sounds clearly better than the others. "
            + _coarse_groups(survey.types)
            + "Give similar types the same name, or choose the number (--types N)."
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
        "trust": f"{_TRUST}{_TRUST_BOUTS if survey.group == 'bout' else ''}{_TRUST_TYPES}{_MANUAL}",
        "notes": notes,
        "cards": cards,
        "timeline": hours_table(timeline) if timeline else None,
        "labels": label_table(survey),
        "about": about,
        "odd": odd,
        "survey": survey.types_digest,
    }


def _coarse_groups(types: Sequence[SoundType]) -> str:
    """Return the coarse groups of types as a sentence."""
    members: dict[int, list[str]] = {}
    for kind in types:
        members.setdefault(kind.coarse, []).append(str(kind.number))
    if len(members) == 1:
        return "They may all be of one kind. "
    groups = "; ".join(", ".join(each) for each in members.values())
    return f"Coarse groups of types are {groups}. " if len(members) < len(types) else ""


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
