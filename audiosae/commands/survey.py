"""A survey from files to its folder, as ``audiosae survey`` makes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.commands import survey_folder as folder
from audiosae.commands.model import opened_model
from audiosae.commands.reading import find, opened
from audiosae.corpus.sources import named_paths
from audiosae.recordings.dates import read_dates
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.events import MIN_SECONDS
from audiosae.sounds.find_types import find_types
from audiosae.sounds.sound_types import load_types
from audiosae.sounds.tables import read_names
from audiosae.system.files import tell_replaced
from audiosae.system.progress import Notes, Progress
from audiosae.views.survey_page import write_survey_page

if TYPE_CHECKING:
    import os

    from audiosae.commands.model import Model
    from audiosae.corpus.sources import Named
    from audiosae.recordings.dates import When
    from audiosae.sounds.results import Survey


def survey_recordings(
    model: Model | str | os.PathLike[str], sources: Named, out: str | os.PathLike[str] | None = None, *,
    types: int | str = "auto", types_from: str | os.PathLike[str] | None = None,
    names: str | os.PathLike[str] | None = None, when: When = "auto", time_zone: str | None = None,
    events: str = "csv,raven,audacity", min_duration: float = MIN_SECONDS, workers: int | None = None,
    engine: str = "here", backend: str = "auto",
    cache: str | os.PathLike[str] | None = None, progress: bool | Progress = False,
) -> Survey:  # fmt: skip
    """Find what is in recordings and when: events, and types of them that sound alike (``audiosae survey``).

    Parameters
    ----------
    model
        Trained on recordings: itself, its run folder or its file.
    sources
        A file or folder, or several.
    out
        Folder for tables, timeline and page; None writes nothing.
    types
        How many, or "auto".
    types_from
        Folder of an earlier survey with this model, whose types are kept.
    names
        CSV with the columns type,name.
    when, time_zone
        Where date and time are read (auto, name, metadata, none), and the zone of times that state none.
    events
        Tables of events that are written: some of csv, parquet, raven, audacity, with commas between.
    min_duration
        Least duration of an event in seconds.
    workers, engine, backend, cache
        Decoding processes (one per core), where the work is done and by what (auto takes an NVIDIA card where there is
        one), folder for decoded fields (the user's cache).
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Survey
        Events in columns, types, `timeline()`, `frame()`; `skipped` holds the sources that could not be used.

    Raises
    ------
    InputError
        An option, source or file cannot be used, or nothing sounds in any recording.

    Examples
    --------
    >>> found = audiosae.survey_recordings(model, sounds, types=3)
    >>> len(found.types), found.skipped, len(found.events) >= 3
    (3, [], True)
    >>> found.events.low_hz.shape == found.events.start.shape
    True
    """
    earlier, named_in, place = (None if path is None else Path(path) for path in (types_from, names, out))
    count, formats = folder.type_count(types, earlier), folder.formats_of(events)
    loaded = opened_model(model)
    recordings_domain(loaded, "survey")
    known = load_types(earlier, loaded.digest) if earlier else None
    with Notes(progress) as notes:
        named = read_names(named_in, notes.say) if named_in else None
        found = find(loaded, named_paths(sources), notes)
        if place:
            folder.check_folder(place, [source.path for source in found])
            tell_replaced(place / folder.FACTS, loaded.digest, place, notes)
        dates = read_dates([source.path for source in found], when=when, time_zone=time_zone)
        notes.say(dates.note)
        with (
            folder.aside(place) as work,
            opened(loaded, found, notes, engine, backend, cache=cache, workers=workers, interleaved=True) as corpus,
        ):
            notes.stage("listening", len(corpus.used), "files")
            result, kept = find_types(
                loaded, corpus, count=count, known=known, names=named.of if named else None, shortest=min_duration,
                times=dates.starts, folder=work, done=lambda _: notes.advance(1),
            )  # fmt: skip
            told = folder.names_note(named, result, named_in, earlier)
            if told:
                notes.say(told)
            facts = folder.facts_of(result, place, loaded.digest, dates.note)
            if place and work:
                kept.save(work / folder.TYPES, loaded.digest)
                folder.write_tables(result, work, formats)
                folder.draw_units_over_time(result, loaded, corpus, work)
                write_survey_page(result, loaded, corpus, work / folder.PAGE, beside=place, progress=notes)
                facts |= {"page": str(place / folder.PAGE), "names": told}
                folder.write_facts(facts, work)
    return replace(result, facts=facts, notes=notes.lines)
