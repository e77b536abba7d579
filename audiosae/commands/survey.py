"""``audiosae survey``: the sounds in recordings, their types and times, as tables, timeline and page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

from audiosae.autoencoder.model import as_model
from audiosae.commands import survey_folder as folder
from audiosae.commands.clips import ClipCount, ClipsOf, check_written, clip_text, write_survey_clips
from audiosae.commands.continuation import continued, continued_note
from audiosae.commands.event_options import EventKeywords, EventSettings, broadband_beside
from audiosae.commands.label_options import label_lines, read_labels
from audiosae.commands.reading import Reading, reading
from audiosae.commands.shared_options import (
    AnyPath,
    DateOrder,
    Machine,
    ModelPath,
    ShowProgress,
    Sources,
    Strict,
    TimeZone,
    WhenGiven,
    as_path,
)
from audiosae.commands.site_options import Coordinates, Site, parse_place, sites_by_name, with_sites
from audiosae.commands.survey_folder import OPTIONS, Given
from audiosae.commands.survey_sources import write_sources
from audiosae.corpus.sources import named_paths
from audiosae.recordings.dates import Dates, read_dates
from audiosae.sounds.event_codes import recordings_domain
from audiosae.sounds.event_map import begin_landmarks, with_landmarks
from audiosae.sounds.exchange import check_dates
from audiosae.sounds.find_types import begin_types
from audiosae.sounds.results import Survey
from audiosae.sounds.sound_store import SoundStore
from audiosae.sounds.sound_types import load_types
from audiosae.system.files import report_replaced
from audiosae.system.frames import text_table
from audiosae.system.parameters import Option, command
from audiosae.system.processes import helpers
from audiosae.system.progress import counted
from audiosae.views.methods import FILE as METHODS
from audiosae.views.methods import write_methods
from audiosae.views.survey_page import length, write_survey_page

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.landmarks import Landmarks
    from audiosae.sounds.results import TypeStability
    from audiosae.sounds.sound_types import Types
    from audiosae.system.processes import Begin
    from audiosae.system.progress import Progress


@dataclass(frozen=True)
class _Later:
    """What is computed while a survey is written: functions that wait for it."""

    samples: Callable[[], list[NDArray[np.float64]]]
    stability: Callable[[], TypeStability | None]
    landmarks: Callable[[], Landmarks | None]


def _last(result: Survey, begin: Begin, learning: ExitStack) -> Callable[[], Landmarks | None]:
    """Begin to learn the map; return a function that waits for it, and then ends the process that learned it."""
    wait = begin_landmarks(result, begin)

    def waited() -> Landmarks | None:
        landmarks = wait()
        learning.close()
        return landmarks

    return cache(waited)


def _text(result: Survey) -> str:
    rows = [("type", f"{result.group}s", "files", "seconds", "Hz", "best example")]
    for kind in result.types:
        best = result.event(kind.exemplar) if kind.exemplar >= 0 else None
        rows.append(
            (
                f"{kind.number} {kind.name}".strip(),
                f"{kind.events:,}",
                f"{kind.files:,}",
                f"{kind.seconds:,.0f}",
                f"{kind.low_hz:.0f}-{kind.high_hz:.0f}",
                f"{best.file} at {best.start:.2f} s" if best else "no event in this survey",
            )
        )
    stable, out, silent = result.stability, Path(result.facts["folder"] or ""), result.facts["without_events"]
    lines = [
        text_table(rows),
        f"{result.group}s of no type: {len(result.sounds.of_type(0)):,}",
        f"number of types: {len(result.types)} ({result.choice})",
    ]
    if stable:
        lines.append(
            f"stability of the types (adjusted Rand index): {stable.seed:.2f} with types from a random part of the "
            f"{result.group}s, {stable.halves:.2f} between types from two halves"
        )
    events = (
        f"{counted(result.facts['events'], 'event')} in {counted(result.facts['bouts'], 'bout')} in "
        f"{counted(len(result.records), 'recording')}"
    )
    without = f", {silent:,} without an event" if silent else ""
    lines += label_lines(result)
    read = length(result.facts["seconds"])
    lines.append(f"{events} ({read}, {len(result.skipped):,} skipped{without}), written to {out}")
    if clips := result.facts.get("clips"):
        lines.append(clip_text(clips))
    return "\n".join([*lines, f"next: open {out / 'index.html'} in a browser"])


def _read_dates(job: Reading, formats: Sequence[str], given: Given) -> Dates:
    """Return when recordings were made, and say it; InputError if a format needs dates that are not known."""
    dates = read_dates(job.paths, when=given.when or "auto", time_zone=given.time_zone, date_order=given.date_order)
    job.notes.say(dates.note)
    check_dates(formats, [source.name for source in job.sources], dates.starts)
    return dates


def _check_folder(
    path: Path | None, job: Reading, labels: Path | None, digest: str, types_from: Path | None, *, continuing: bool
) -> None:
    """Check that a survey may be written into a folder, and report what it replaces or continues."""
    if path is None:
        return
    home = types_from if types_from is None or types_from.is_dir() else types_from.parent
    taught = home is not None and path.exists() and home.samefile(path)
    folder.check_folder(path, job.paths, labels, taught=taught)
    if continuing and not types_from:
        job.notes.say(f"--new-only: {path} has no survey to continue; a new one begins")
    if continuing and types_from:
        job.notes.say(continued_note(path, [source.name for source in job.sources]))
    report_replaced(path / folder.FACTS, digest, path, job.notes)


def _write(  # noqa: PLR0917
    result: Survey,
    types: Types,
    model: Model,
    corpus: EngineCorpus,
    paths: tuple[Path | None, Path | None],
    later: _Later,
    formats: Sequence[str],
    progress: Progress,
) -> Survey:
    """Write all files of a survey but its clips and facts; return the survey with what other processes computed.

    `paths` are the folder to write and the one that it will replace, None to write nothing.
    """
    out, beside = paths
    if out is None:
        return replace(result, stability=later.stability())
    write_sources(result, model, out)
    folder.write_tables(result, corpus, out, formats)
    result = replace(result, stability=later.stability())
    folder.write_pictures(result, later.samples(), out)  # after types are learned: both take much memory
    write_methods(result, model, types.detector, out / METHODS)
    page, landmarks = out / folder.PAGE, later.landmarks
    write_survey_page(result, model, corpus, page, beside=beside, landmarks=landmarks, progress=progress)
    result, types = with_landmarks(result, types, landmarks())
    types.save(out / folder.TYPES, model.digest)
    return result


@command(example="audiosae survey first-run samples/sounds -o found", text=_text, declared=(EventSettings, Machine))
def survey(
    model: ModelPath,
    sources: Sources,
    out: Annotated[
        AnyPath | None,
        Option(
            "Folder for tables, timeline and page.",
            python="None writes nothing.",
            flags=("--out", "-o"),
            typed=Path,
            required=True,
        ),
    ] = None,
    *,
    types: Annotated[
        int | str,
        Option("Number of sound types; auto chooses it from the sounds.", "Method", metavar="auto|N", typed=str),
    ] = "auto",
    types_from: Annotated[
        AnyPath | None,
        Option("Folder of an earlier survey with this model; its types are used.", "Input", typed=Path),
    ] = None,
    names: Annotated[
        AnyPath | None,
        Option("Names of the types: a CSV with the columns type,name.", "Input", metavar="FILE.csv", typed=Path),
    ] = None,
    labels: Annotated[
        AnyPath | None,
        Option(
            "Labels of sounds: the labels.csv of a survey after editing, or a table of Raven, Audacity or BirdNET.",
            "Input",
            metavar="FILE",
            typed=Path,
        ),
    ] = None,
    new_only: Annotated[
        bool,
        Option(
            "Continue the survey in the folder with new and changed recordings: its types, labels, settings of events, "
            "sites, coordinates, dates, clips and formats of tables stay.",
            "Input",
        ),
    ] = False,
    when: WhenGiven = None,
    time_zone: TimeZone = None,
    date_order: DateOrder = None,
    events: Annotated[
        str | Sequence[str] | None,
        Option(
            "Formats of the tables of events: some of csv, parquet, raven, audacity, camtrap-dp and aoef, separated by "
            "commas.",
            default=folder.USUAL_FORMATS,
            typed=str,
        ),
    ] = None,
    site: Site = None,
    coordinates: Coordinates = None,
    clips: ClipCount = None,
    clips_of: ClipsOf = None,
    strict: Strict = False,
    progress: ShowProgress = False,
    **options: Unpack[EventKeywords],
) -> Survey:
    """Find the sounds in recordings, their types and times.

    Returns
    -------
    Survey
        Events in columns, types, `timeline()`, `frame()`; `skipped` lists the sources that could not be used.

    Raises
    ------
    InputError
        An option, a file or all sources cannot be used, or no recording has an event.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> survey = audiosae.survey(model, sounds, types=3)
    >>> len(survey.types), survey.skipped, len(survey.events) >= 3
    (3, [], True)
    >>> survey.events.low_hz.shape == survey.events.start.shape
    True
    """
    earlier, names_path, labels_path, path = as_path(types_from), as_path(names), as_path(labels), as_path(out)
    given = Given.of(site, coordinates, when, time_zone, date_order, events, clips, clips_of)
    if new_only:
        earlier, labels_path, given = continued(path, types, earlier, labels_path, given)
    count, formats = folder.type_count(types, earlier), folder.formats_of(given.events)
    place, chosen = parse_place(given.coordinates), given.clip_choice(path, listed := named_paths(sources))
    loaded, settings = as_model(model), EventSettings.of(options)
    domain, known = recordings_domain(loaded, "survey"), load_types(earlier, loaded.digest) if earlier else None
    detector = settings.detector(known)
    with reading(settings.domain(domain, known), listed, Machine.of(options), progress=progress, again=True) as job:
        type_names = folder.type_names(names_path, known, job.notes.say)
        answers = read_labels(labels_path, loaded.digest, job.notes.say) if labels_path else None
        _check_folder(path, job, labels_path, loaded.digest, earlier, continuing=new_only)
        dates, sites = _read_dates(job, formats, given), sites_by_name(given.site, job, listed)
        decoded = job.corpus(interleaved=True, beside=broadband_beside(job, detector, known))
        with folder.replaced_together(path) as work, decoded as corpus, ExitStack() as learning:
            samples = folder.sampled(loaded, corpus, work)
            begin = learning.enter_context(helpers(1))  # learns rules, types, their stability and the map
            result, sound_types, stability = begin_types(
                loaded,
                corpus,
                count=count,
                known=known,
                names=type_names.of if type_names else None,
                labels=answers,
                options=detector,
                group=settings.group,
                times=dates.starts,
                store=SoundStore.of(loaded, corpus, job.notes.say),
                folder=work,
                begin=begin,
                meanwhile=samples if path else lambda: None,
                progress=job.notes,
            )
            result = with_sites(result, sites, place, job.notes.say)
            job.notes.say(names_note := folder.names_note(type_names, result, names_path, earlier))
            later = _Later(samples, stability, _last(result, begin, learning) if path else lambda: None)
            result = _write(result, sound_types, loaded, corpus, (work, path), later, formats, job.notes)
            facts = folder.facts_of(result, sound_types, path, loaded.digest, dates.note) | {OPTIONS: asdict(given)}
            if path and work:
                facts |= {"page": str(path / folder.PAGE), "names": names_note}
                facts |= write_survey_clips(result, corpus, chosen, work, beside=path, progress=job.notes)
                folder.write_facts(facts, work)
    check_written(facts.get("clips"))
    return replace(result, facts=facts, notes=job.notes.lines)
