"""HTML page of survey: sound types, a map and a grid of the sounds, a listening queue, and when they occur."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import is_elsewhere
from audiosae.errors import InputError
from audiosae.sounds.answers import REJECTED as REJECTED_LABEL
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.events import NOWHERE, REJECTED
from audiosae.sounds.grouping import NO_NUMBER
from audiosae.sounds.sound_store import SoundStore
from audiosae.system.files import write_file
from audiosae.system.progress import Progress, counted
from audiosae.views.excerpts import choose_excerpts, with_local_fields
from audiosae.views.label_table import label_table, labels_of
from audiosae.views.page import as_json, bars, fill
from audiosae.views.stored_excerpts import StoredExcerpts
from audiosae.views.survey_events import PageEvents, Thumbnails, packed
from audiosae.views.survey_hours import Rates, hours_content, hours_table, labels_shown, sites_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.landmarks import Landmarks
    from audiosae.sounds.results import SoundType, Survey
    from audiosae.sounds.timeline import Timeline

SIZE = 20 * 2**20
_PICTURES_SHARE = 0.45  # of the bytes that are free
_LINES_SHARE = 0.05  # of the bytes of the page that the picture of all recordings has at most
_PIECE_BYTES = 12  # of a sound: its number and that of its excerpt
_MOST_PLAYED, _MOST_SECONDS = 2000, 1200.0  # sounds, and their total duration: compressing them takes time
_REMOTE = 500  # sounds with pictures, if the fields of the recordings are on other machines
_LONGEST = 15.0  # s of a sound that are played
_SCRIPTS = tuple(
    f"survey_{name}"
    for name in (
        *("data", "source", "server", "corrections", "zoom", "map", "grid", "ask", "queue", "spectrogram", "view"),
        "hours",
    )
)
_NOTE_BYTES = 512  # reserved for a note on what does not fit
_MINUTE = 60  # s
_BRIEF, _FEW = 0.1, 10  # s: shorter durations are shown in ms; more digits below
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
    landmarks: Callable[[], Landmarks | None] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a survey: types, a map and a grid of the sounds, a listening queue, and when they occur.

    Parameters
    ----------
    corpus
        The recordings, including skipped ones.
    path
        Output file. The page contains `recordings.png` of the same folder, or has a link to it if it is large.
    beside
        Folder of the `report.html` to which the page has a link; the folder of the page when not given.
    size
        Largest size of the page in bytes.
    landmarks
        Function that waits for the landmarks of the map; those of the survey when not given.

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
    page_events = PageEvents(survey)
    corpus = corpus.only(corpus.used)
    first = page_events.priority()
    if any(is_elsewhere(corpus.records[i]) for i in np.unique(events.record[first]).tolist()):
        first = first[:_REMOTE]  # their recordings are decoded again on this machine
    corpus = with_local_fields(corpus, sorted({int(events.record[n]) for n in first}))
    timeline = survey.timeline() if survey.dated else None
    view = _view(survey, timeline, path, beside or path.parent) | _lines(path.parent / "recordings.png", size)
    thumbnails = Thumbnails(domain, corpus, survey)
    data: dict[str, Any] = {
        "events": page_events.columns(),
        "pictures": thumbnails.facts(),
        "hours": hours_content(survey, timeline) if timeline else None,
        "best": {kind.number: kind.exemplar + 1 for kind in survey.types if kind.events},
    }
    size_free = free_bytes(len(_fill(view, data, [])), size, f"the {len(view['cards'])} types alone")
    pictures = thumbnails.sheets(first.tolist(), round(_PICTURES_SHARE * size_free))
    size_free -= len(as_json(pictures)) + _PIECE_BYTES * len(first)
    heard = first[np.cumsum(np.minimum(events.seconds[first], _LONGEST)) <= _MOST_SECONDS][:_MOST_PLAYED]
    progress.stage("page", len(heard), "sounds")
    excerpts = StoredExcerpts(domain, corpus, events, workers=corpus.workers, pictures=False, longest=_LONGEST)
    excerpts.store = SoundStore.of(model, corpus)
    queue = [[(n, 0.0) for n in heard.tolist()]]
    pieces, (played,) = choose_excerpts(queue, excerpts, size_free, lambda: progress.advance(1))
    data["events"]["place"] = page_events.places(landmarks)
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


def free_bytes(empty: int, size: int, content: str) -> int:
    """Return how many bytes a page has left for excerpts; raise InputError if it is too large without them."""
    if (free := size - empty - _NOTE_BYTES) < 0:
        raise InputError(
            f"{content} need {empty / 2**20:.1f} MiB of the page, more than the maximum of {size / 2**20:.3g} MiB; "
            f"give a larger size"
        )
    return free


def _card(survey: Survey, kind: SoundType, rates_of: Rates, timeline: Timeline | None) -> dict[str, Any]:
    """Return a sound type as the page shows it."""
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
        "facts": facts + rates_of.facts(own),
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
    events_count, bouts_count = (int((each.type != REJECTED).sum()) for each in (survey.events, survey.bouts))
    events, bouts = counted(events_count, "event"), counted(bouts_count, "bout")
    if survey.group == "event":
        return f"Each sound is one event, such as a syllable or a bark. The {events} form {bouts} (bouts.csv)."
    mean = events_count / max(1, bouts_count)
    return (
        f"Each sound is a bout: a series of events, such as syllables or barks, that follow each other closely and "
        f"sound alike. The {bouts} have {mean:.1f} events on average ({events} in events.csv)."
    )


def _view(survey: Survey, timeline: Timeline | None, path: Path, beside: Path) -> dict[str, Any]:
    """Return what the template of the page shows; `path` and `beside` as for `write_survey_page`."""
    rates = Rates(survey)
    cards = [_card(survey, kind, rates, timeline) for kind in survey.types]
    odd = len(survey.sounds.of_type(NOWHERE))
    heard = sum(kind.events > 0 for kind in survey.types)
    types = counted(heard, "type") if heard == len(cards) else f"{heard} of {counted(len(cards), 'type')}"
    verb = "was" if len(survey.sounds) == 1 else "were"
    recordings = f"{counted(len(survey.records), 'recording')} ({length(survey.seconds)})"
    sounds = int((survey.sounds.type != REJECTED).sum())
    lead = f"{counted(sounds, 'sound')} of {types} {verb} found in {recordings}"
    lead += f"; {odd:,} of them {'belongs' if odd == 1 else 'belong'} to no type." if odd else "."
    return {
        "title": "Sounds in these recordings",
        "heading": "Sounds in these recordings",
        "lead": lead,
        "meaning": _meaning(survey),
        "trust": f"{_TRUST}{_TRUST_BOUTS if survey.group == 'bout' else ''}{_TRUST_TYPES}{_MANUAL}",
        "notes": _notes(survey, timeline),
        "cards": cards,
        "timeline": hours_table(timeline) if timeline else None,
        "labels": label_table(survey),
        "label_names": [(i, name) for i, name in enumerate(labels_shown(survey), 1) if name != REJECTED_LABEL],
        "about": _about(survey),
        "odd": odd,
        "by_site": any(survey.sites),
        "sites": rates.sites(path.parent),
        "chosen_sites": sites_shown(survey),
        "report": (beside / "report.html").is_file(),
    }


def _lines(picture: Path, size: int) -> dict[str, Any]:
    """Return the picture of all recordings as base64 text, or only that there is one if it is too large for a page."""
    content = picture.read_bytes() if picture.is_file() else b""
    fits = 0 < len(content) <= _LINES_SHARE * size
    return {"lines": bool(content), "lines_png": base64.b64encode(content).decode() if fits else ""}


def _notes(survey: Survey, timeline: Timeline | None) -> list[str]:
    """Return notes on what the survey could not use, count or decide."""
    skipped, rejected = len(survey.skipped), len(survey.sounds.of_type(REJECTED))
    notes = [f"Files that could not be used: {skipped}."] if skipped else []
    if survey.silent:
        what = "of interest" if rejected else "above the noise"
        notes.append(f"Recordings without any sound {what}: {survey.silent:,}.")
    if NO_NUMBER in survey.choice:
        notes.append(
            "The number of types is arbitrary: no number fits these sounds clearly better than the others. "
            + _coarse_groups(survey.types)
            + "Give similar types the same name, or choose the number (--types N)."
        )
    if timeline and timeline.undated:
        notes.append(f"Sounds in recordings without a date, which the table of hours omits: {timeline.undated:,}.")
    if rejected:
        notes.append(
            f"Sounds that are not of interest, which no count includes: {rejected:,}. Select them below the map to "
            "restore them."
        )
    return notes


def _about(survey: Survey) -> list[tuple[str, str]]:
    """Return how the types were found."""
    about = [("number of types", f"{len(survey.types)} ({survey.choice})")] if survey.choice else []
    if survey.stability:
        agreement = (
            f"{survey.stability.seed:.2f} with the types of another sample of the sounds, "
            f"{survey.stability.halves:.2f} between the types of two halves (adjusted Rand index: 1 same, 0 chance)"
        )
        about.append(("agreement", agreement))
    return about


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
