"""The folder of a survey: checks of its options, its tables and pictures, and its facts as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

from audiosae.autoencoder.model import FILE
from audiosae.commands.clips import FOLDER as CLIPS
from audiosae.commands.clips import ClipChoice, clip_paths
from audiosae.commands.output_folder import DIGESTS, FILES, OutputFolder
from audiosae.commands.survey_sources import FILE as SOURCES
from audiosae.corpus.journal import source_summary
from audiosae.errors import InputError
from audiosae.recordings.date_choice import DateOrder
from audiosae.recordings.date_groups import When
from audiosae.sounds.annotations import FORMATS, write_annotations
from audiosae.sounds.answers import read_answers
from audiosae.sounds.beside import begin_if_many
from audiosae.sounds.event_codes import sample_codes
from audiosae.sounds.events import REJECTED
from audiosae.sounds.exchange import EXCHANGE
from audiosae.sounds.sound_store import SoundStore
from audiosae.sounds.type_names import read_names
from audiosae.system.files import signature, write_file
from audiosae.system.processes import helpers
from audiosae.system.progress import counted
from audiosae.system.schema import DIGEST, Choice, FactsFile, Items, Object, Optional, Text, Whole
from audiosae.system.tabular import DataTable
from audiosae.views.methods import FILE as METHODS
from audiosae.views.site_pictures import SITE_PICTURES, site_timelines
from audiosae.views.timeline_picture import colours, draw_recordings, draw_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.results import Survey
    from audiosae.sounds.sound_types import Types
    from audiosae.sounds.type_names import Names

USUAL_FORMATS = "csv,raven,audacity"
OPTIONS = "options"  # in survey.json, for --new-only
TYPES, LABELS, PAGE, FACTS = "types.safetensors", "labels.csv", "index.html", "survey.json"
_EVENTS: dict[str, Callable[[DataTable, Path], None]] = {  # the other formats have a folder of tables
    "csv": DataTable.write_csv,
    "parquet": DataTable.write_parquet,
}
_GROUPS: tuple[Group, ...] = ("event", "bout")  # each has its tables
_FILES = (
    *(f"{group}s.{name}" for group in _GROUPS for name in _EVENTS),
    TYPES,
    LABELS,
    "label_scores.csv",
    "types.csv",
    "effort.csv",
    "timeline.csv",
    "timeline_labels.csv",
    "timeline.png",
    "timeline_labels.png",
    "recordings.png",
    PAGE,
    METHODS,
    SOURCES,
    *(file for form in EXCHANGE.values() for file in form.files),
)


def type_count(types: int | str, types_from: Path | None) -> int | None:
    """Return the number of types of the option; None for auto."""
    types = str(types)
    if types == "auto":
        return None
    if not re.fullmatch(r"0*[1-9]\d{0,8}", types):
        raise InputError(f"--types {types[:20]}: wanted auto or a whole number of at least 1")
    if types_from:
        raise InputError(f"--types {types}: --types-from sets the number of types; leave out one of the two")
    return int(types)


def formats_of(names: str | None) -> list[str]:
    """Return the formats of a comma-separated text, None for the usual ones; InputError if one cannot be written."""
    text = names or USUAL_FORMATS
    known, formats = (*_EVENTS, *FORMATS, *EXCHANGE), [part.strip().lower() for part in text.split(",")]
    if unknown := [name for name in formats if name not in known]:
        raise InputError(f"--events {text}: no format {unknown[0]!r}; wanted some of {', '.join(known)}")
    if "parquet" in formats and find_spec("pyarrow") is None:
        raise InputError("--events parquet needs pyarrow: pip install 'audiosae[parquet]', or use csv")
    return formats


def check_folder(out: Path, inputs: Sequence[Path], labels: Path | None = None, *, taught: bool = True) -> None:
    """Create the folder; raise InputError if that fails, or if it has files that no survey wrote.

    The folder's labels.csv may have been edited if it is `labels`: what it says is in the one that replaces it. Without
    `labels`, and unless the labels are `taught` by the types that are used, it must have none: they would be lost. The
    page has a digest of its own, because audiosae open writes into it what was saved.
    """
    if (out / FILE).exists() or any(path.absolute().parent == out.absolute() for path in inputs):
        what = "is a run folder" if (out / FILE).exists() else "contains recordings of this survey"
        raise InputError(f"--out {out} {what}; choose a separate folder for the survey")
    own = {LABELS} if labels and labels.absolute() == (out / LABELS).absolute() else set()
    _FOLDER.check(out, inputs, edited=own | ({PAGE} if signature(out / PAGE) == "whole" else set()))
    if labels is None and not taught and (out / LABELS).is_file():
        given = sum(row.decided for row in read_answers(out / LABELS).rows)
        if given:
            raise InputError(
                f"--out {out}: its {LABELS} has {counted(given, 'label')}, which would be lost; add --labels "
                f"{out / LABELS}, or choose another folder with -o"
            )


def _outputs(out: Path) -> list[Path]:
    """Return the paths of the tables, pictures and page of a survey; those of other programs only if they exist."""
    tables = [path for name, form in FORMATS.items() for path in (out / f"events.{name}").glob(f"*{form.suffix}")]
    pictures = (out / SITE_PICTURES).glob("*.png")
    return [*(out / name for name in _FILES), *tables, *pictures, *clip_paths(out / CLIPS)]


@dataclass(frozen=True)
class Given:
    """Options of a survey as texts, which one that continues it has where they are not given again."""

    site: str | None
    coordinates: str | None
    when: When | None
    time_zone: str | None
    date_order: DateOrder | None
    events: str | None
    clips: str | None
    clips_of: str | None

    @classmethod
    def of(cls, *options: Any) -> Given:  # noqa: ANN401
        """Return options, in the order above, as texts: numbers, such as coordinates, with commas between them."""
        lists = [each if isinstance(each, list | tuple) else [each] for each in options]
        texts: list[Any] = [None if own == [None] else ",".join(map(str, own)) for own in lists]
        return cls(*texts)

    def completed(self, earlier: Mapping[str, Any]) -> Given:
        """Return the options with those of an earlier survey."""
        return Given(**{name: earlier.get(name) if value is None else value for name, value in asdict(self).items()})

    def clip_choice(self, out: Path | None, sources: Sequence[Path]) -> ClipChoice:
        """Return which clips to write; parameters and errors as those of `ClipChoice.of`."""
        return ClipChoice.of(self.clips, self.clips_of, out, sources)


_GIVEN = {each.name: Optional(Text()) for each in fields(Given)} | {
    "date_order": Optional(Choice(*get_args(DateOrder))),
    "when": Optional(Choice(*get_args(When))),
}
_FOLDER = OutputFolder(
    "survey",
    FACTS,
    FactsFile(
        ("model_digest",),
        Object(
            {"model_digest": Text(DIGEST, "a digest"), "types": Items(Object()), FILES: DIGESTS},
            {
                "detector": Optional(Object(optional={"channel": Optional(Whole())})),
                OPTIONS: Object(_GIVEN),
            },
        ),
        "choose another folder with -o, or move it away",
    ),
    _outputs,
)


def survey_facts(folder: Path) -> dict[str, Any] | None:
    """Return the content of survey.json; None if the folder is not that of a survey."""
    return _FOLDER.facts.read(folder / FACTS)


def replaced_together(out: Path | None) -> AbstractContextManager[Path | None]:
    """Yield a folder whose files replace those of an earlier survey together; see `OutputFolder`."""
    return _FOLDER.replaced_together(out)


def type_names(path: Path | None, known: Types | None, say: Callable[[str], None]) -> Names | None:
    """Return the names of the table of --names; raise InputError if they are those of other types than `known`."""
    if path is None:
        return None
    names = read_names(path, say)
    if known:
        check_names(names, path, known.digest)
    return names


def check_names(names: Names | None, path: Path | None, digest: str) -> None:
    """Raise InputError if names are those of other types; `digest` is that of the types of the survey."""
    if names and names.types and names.types != digest:
        raise InputError(
            f"--names {path}: it names the types of another survey, so a name would be on another sound; use "
            "--types-from with the folder of that survey"
        )


def names_note(names: Names | None, result: Survey, path: Path | None, types_from: Path | None) -> str:
    """Return warnings about names of types; raise InputError if they are names of other types."""
    if names is None:
        return ""
    notes = []
    if unknown := sorted(set(names.of) - {kind.number for kind in result.types}):
        notes.append(
            f"--names {path}: the names of type {', '.join(map(str, unknown))} are not used; this survey has the types "
            f"1 to {result.types[-1].number}"
        )
    check_names(names, path, result.types_digest)
    if not names.types and types_from is None:
        notes.append(
            f"--names {path}: the names apply to the type numbers of this survey, which may change with other "
            "recordings; use --types-from FOLDER to reuse numbers and names"
        )
    return "\n".join(notes)


def sampled(model: Model, corpus: EngineCorpus, work: Path | None) -> Callable[[], list[NDArray[np.float64]]]:
    """Return a function that returns the colours of the recordings in their picture; it computes them once.

    One process computes them, while another learns the types.
    """

    def compute() -> list[NDArray[np.float64]]:
        store = SoundStore.of(model, corpus)
        return colours(sample_codes(model, corpus.only(corpus.used), store=store, spread=False, folder=work))

    return cache(compute)


def write_tables(result: Survey, corpus: EngineCorpus, out: Path, formats: Sequence[str]) -> None:
    """Write the tables of a survey into its folder."""
    for table in ("types", "labels", "effort", *(["label_scores"] if result.labels and result.labels.scores else [])):
        result.table(table).write_csv(out / f"{table}.csv")
    for name, write in _EVENTS.items():
        for group in _GROUPS if name in formats else ():
            write(result.table(f"{group}s"), out / f"{group}s.{name}")
    paths, channel = [record.path for record in result.records], getattr(corpus.domain, "channel", 0)
    for program in FORMATS:
        if program in formats:
            write_annotations(result.rows(), out / f"events.{program}", program, recordings=paths, channel=channel)
    for name, form in EXCHANGE.items():
        if name in formats:
            form.write(result, out)
    if result.dated:
        result.table("timeline").write_csv(out / "timeline.csv")
        if any(result.label_names):
            result.by_label().table("timeline").write_csv(out / "timeline_labels.csv")


def write_pictures(result: Survey, samples: list[NDArray[np.float64]], out: Path) -> None:
    """Write the pictures of a survey into its folder, with the colours of `sampled`."""
    with helpers(1) as begin:  # its memory ends with it
        begin_if_many(begin, len(result.sounds))(_draw, _pictures(result, samples, out))()


def _pictures(result: Survey, samples: list[NDArray[np.float64]], out: Path) -> list[Callable[[], None]]:
    """Return functions that draw the pictures of a survey into its folder."""
    pictures: list[Callable[[], None]] = [
        partial(
            draw_recordings,
            samples,
            [record.extent for record in result.records],
            out / "recordings.png",
            starts=result.times if result.dated else (),
            names=[record.file for record in result.records],
            sites=result.sites,
        )
    ]
    if result.dated:
        pictures.append(partial(draw_timeline, result.timeline(), out / "timeline.png", names=result.names))
        pictures += site_timelines(result, out / SITE_PICTURES)
        if any(result.label_names):
            own, path = result.by_label(), out / "timeline_labels.png"
            pictures.append(partial(draw_timeline, own.timeline(), path, names=own.names, what="label"))
    return pictures


def _draw(pictures: Sequence[Callable[[], None]]) -> None:
    for draw in pictures:
        draw()


def facts_of(result: Survey, types: Types, out: Path | None, digest: str, note: str) -> dict[str, Any]:
    """Return the results of a survey for JSON."""
    return {
        "detector": types.detector.to_json() if types.detector else None,
        "folder": str(out) if out else None,
        "model_digest": digest,
        "events": int((result.events.type != REJECTED).sum()),
        "bouts": int((result.bouts.type != REJECTED).sum()),
        "group": result.group,
        "seconds": result.seconds,
        "event_seconds": float(result.events.seconds[result.events.type != REJECTED].sum()),
        "sources_used": len(result.records),
        "sources_skipped": len(result.skipped),
        "without_events": result.silent,
        **source_summary([*result.records, *result.skipped]),
        "types": [asdict(kind) for kind in result.types],
        "like_no_type": len(result.sounds.of_type(0)),
        "number_of_types": result.choice,
        "labels": [asdict(score) for score in result.labels.scores] if result.labels else [],
        "labelled": result.labels.note if result.labels else "",
        "ask_next": [number + 1 for number in result.labels.ask_next] if result.labels else [],
        "rejected": int((result.sounds.type == REJECTED).sum()),
        "stability": asdict(result.stability) if result.stability else None,
        "dates": note,
        "dated": result.dated,
        "sites": sorted({*result.sites} - {""}),
    }


def write_facts(facts: dict[str, Any], out: Path) -> None:
    """Write survey.json last, which marks the folder as that of a survey; `facts` get the digests of all files."""
    facts[FILES] = _FOLDER.digests(out)
    write_file(out / FACTS, (json.dumps(facts, indent=1) + "\n").encode())
