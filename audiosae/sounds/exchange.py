"""Files of all events for other programs: observations of Camtrap DP, and an annotation project in AOEF.

Camtrap DP 1.0: https://camtrap-dp.tdwg.org/data, tables `observations` and `media`. AOEF 1.1.0: soundevent 2,
https://mbsantiago.github.io/soundevent, which Whombat imports.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings.dates import later
from audiosae.recordings.opening import read_header
from audiosae.sounds.answers import YES
from audiosae.sounds.events import NOWHERE
from audiosae.system.files import CsvWriter, replacing, write_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from audiosae.corpus.journal import Record
    from audiosae.sounds.events import Event
    from audiosae.sounds.results import Survey

# the columns of the tables in their order; those that a survey does not know are empty
_OBSERVATIONS = (
    "observationID",
    "deploymentID",
    "mediaID",
    "eventID",
    "eventStart",
    "eventEnd",
    "observationLevel",
    "observationType",
    "cameraSetupType",
    "scientificName",
    "count",
    "lifeStage",
    "sex",
    "behavior",
    "individualID",
    "individualPositionRadius",
    "individualPositionAngle",
    "individualSpeed",
    "bboxX",
    "bboxY",
    "bboxWidth",
    "bboxHeight",
    "classificationMethod",
    "classifiedBy",
    "classificationTimestamp",
    "classificationProbability",
    "observationTags",
    "observationComments",
)
_MEDIA = (
    "mediaID",
    "deploymentID",
    "captureMethod",
    "timestamp",
    "filePath",
    "filePublic",
    "fileName",
    "fileMediatype",
    "exifData",
    "favorite",
    "mediaComments",
)
_TYPES = ("human", "vehicle", "blank", "unknown")  # names that are types of observations of Camtrap DP
_SPECIES = re.compile(r"[A-Z][a-z]{2,} [a-z]{3,}( [a-z]{3,})?")  # a scientific name: Turdus merula
_MEDIA_TYPES = {
    "wav": "vnd.wave",
    "flac": "flac",
    "ogg": "ogg",
    "opus": "ogg",
    "mp3": "mpeg",
    "aif": "x-aiff",
    "aiff": "x-aiff",
    "au": "basic",
    "m4a": "mp4",
}
_AOEF_VERSION = "1.1.0"
_NAMESPACE = uuid5(NAMESPACE_URL, "https://pypi.org/project/audiosae")


@dataclass(frozen=True)
class Exchange:
    """Format of files that have all events.

    Attributes
    ----------
    files
        Names of the files in the folder of a survey.
    write
        Function of the survey and the folder that writes the files.
    dated
        Whether the format needs date, time and time zone of every recording.
    """

    files: tuple[str, ...]
    write: Callable[[Survey, Path], None]
    dated: bool = False


def check_dates(formats: Sequence[str], files: Sequence[str], starts: Sequence[datetime | None]) -> None:
    """Raise InputError if a format needs dates of recordings that are not known.

    Parameters
    ----------
    formats
        Names of formats, of which those that are not in `EXCHANGE` are ignored.
    files, starts
        Name of each recording, and the date and time at its start.
    """
    undated = [file for file, start in zip(files, starts, strict=True) if start is None or start.tzinfo is None]
    wanting = [name for name in formats if name in EXCHANGE and EXCHANGE[name].dated]
    if undated and wanting:
        raise InputError(
            f"--events {wanting[0]} needs the date, time and time zone of every recording, which {len(undated)} of "
            f"{len(files)} do not have (the first is {undated[0]}); give --time-zone, such as UTC, or leave "
            f"{wanting[0]} out"
        )


def _write_camtrap_dp(survey: Survey, folder: Path) -> None:
    """Write events.camtrap-dp/observations.csv and media.csv."""
    observations, media = (folder / name for name in EXCHANGE["camtrap-dp"].files)
    with write_errors(observations.parent):
        observations.parent.mkdir(parents=True, exist_ok=True)
    answers = survey.labels.answers if survey.labels else ()
    by_hand = {each.event - 1 for each in answers if each.decided and each.answer in {"", YES}}
    rows = (_observation(event, survey.group, by_hand=event.number in by_hand) for event in survey.rows())
    _write_csv(observations, _OBSERVATIONS, rows)
    sites = {record.file: site for record, site in zip(survey.records, survey.sites, strict=False)}
    files = (
        {
            "mediaID": record.file,
            "deploymentID": _deployment(record.file, sites.get(record.file, "")),
            "timestamp": start.isoformat(timespec="seconds"),
            "filePath": _relative(record.file),
            "filePublic": "false",
            "fileName": record.file.rsplit("/", 1)[-1],
            "fileMediatype": _media_type(record.file),
        }
        for record, start in zip(survey.records, survey.times, strict=True)
        if start is not None
    )
    _write_csv(media, _MEDIA, files)


def _observation(event: Event, group: str, *, by_hand: bool) -> dict[str, object]:
    if event.time is None:
        raise InputError(f"{event.file} has no date and time, which Camtrap DP needs")
    end = later(event.time, event.end - event.start)
    whole = end if not end.microsecond else later(end.replace(microsecond=0), 1)
    values = {
        "type": event.type,
        "start": f"{event.start:.4f}",
        "end": f"{event.end:.4f}",
        "lowHz": f"{event.low_hz:.1f}",
        "highHz": f"{event.high_hz:.1f}",
        "score": f"{event.score:.4f}",
        "peak": f"{event.peak:.1f}",
    }
    name = event.label or event.name
    kind = name.lower() if name.lower() in _TYPES else "animal" if _SPECIES.fullmatch(name) else "unclassified"
    program = {
        "classificationMethod": "machine",
        "classifiedBy": f"audiosae {version('audiosae')}",
        "classificationProbability": "" if np.isnan(event.confidence) else round(float(event.confidence), 4),
    }
    return {
        "observationID": f"{group}{event.number + 1}",
        "deploymentID": _deployment(event.file, event.site),
        "mediaID": event.file,
        "eventStart": event.time.isoformat(timespec="seconds"),
        "eventEnd": whole.isoformat(timespec="seconds"),
        "observationLevel": "media",
        "observationType": kind,
        "scientificName": name if kind == "animal" else "",
        **({"classificationMethod": "human"} if by_hand else program),
        "observationTags": "|".join(f"{key}:{value}" for key, value in values.items()),
        "observationComments": name,
    }


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    with write_errors(path), replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = CsvWriter(file)
        table.writerow(columns)
        table.writerows([row.get(column, "") for column in columns] for row in rows)


def _deployment(file: str, site: str) -> str:
    """Return the deployment of a recording: its site, or else its folder."""
    return site or _relative(file).rpartition("/")[0] or "recordings"


def _relative(file: str) -> str:
    """Return a path that begins with neither a slash nor a dot and has no two dots in a row, as Camtrap DP wants."""
    parts = [part for part in file.replace("..", "%2E%2E").split("/") if part not in ("", ".", "%2E%2E")]
    return "/".join(parts).lstrip(".~")


def _media_type(file: str) -> str:
    suffix = file.rpartition(".")[2].lower()
    return f"audio/{_MEDIA_TYPES.get(suffix, f'x-{suffix}')}"


def _write_aoef(survey: Survey, folder: Path) -> None:
    """Write events.aoef.json: recordings, a clip and a task for each, and a box with tags for each event."""
    kinds = sorted({kind.number for kind in survey.types} | {NOWHERE})
    numbers = {kind: number for number, kind in enumerate(kinds)}
    labels = sorted({label for event in survey.rows() if (label := _label(event))})
    names = {label: len(kinds) + number for number, label in enumerate(labels)}
    tags = [{"id": numbers[kind], "key": "sound_type", "value": str(kind)} for kind in kinds]
    tags += [{"id": names[label], "key": "label", "value": label} for label in labels]
    recordings = {record.file: _uuid("recording", record.file) for record in survey.records}

    def own_tags(event: Event) -> list[int]:
        return [numbers[event.type], *([names[label]] if (label := _label(event)) else [])]

    sections: dict[str, Iterable[dict[str, Any]]] = {
        "tags": tags,
        "recordings": (_recording(survey, number) for number in range(len(survey.records))),
        "clips": (_clip(record, recordings[record.file]) for record in survey.records),
        "sound_events": (
            {
                "uuid": _event_uuid("sound_event", event),
                "recording": recordings[event.file],
                "geometry": {
                    "type": "BoundingBox",
                    "coordinates": [event.start, event.low_hz, event.end, event.high_hz],
                },
                "features": {"score": event.score, "peak": event.peak},
            }
            for event in survey.rows()
        ),
        "sound_event_annotations": (
            {
                "uuid": _event_uuid("annotation", event),
                "sound_event": _event_uuid("sound_event", event),
                "tags": own_tags(event),
            }
            for event in survey.rows()
        ),
        "clip_annotations": _clip_annotations(survey),
        "tasks": ({"uuid": _uuid("task", file), "clip": _uuid("clip", file)} for file in recordings),
    }
    head = {
        "uuid": _uuid("project", survey.types_digest, *recordings),
        "name": "audiosae survey",
        "description": f"{survey.group}s found by audiosae {version('audiosae')}, grouped into sound types",
        "collection_type": "annotation_project",
    }
    _write_sections(folder / EXCHANGE["aoef"].files[0], head, sections)


def _write_sections(path: Path, head: dict[str, str], sections: dict[str, Iterable[dict[str, Any]]]) -> None:
    """Write a file in AOEF with one object per line, without holding all objects in memory."""
    with write_errors(path), replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"version": "{_AOEF_VERSION}", "data": {{\n')
        file.write(",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()))
        for name, objects in sections.items():
            file.write(f",\n{json.dumps(name)}: [")
            for number, each in enumerate(objects):
                file.write(("," if number else "") + "\n" + json.dumps(each, allow_nan=False))
            file.write("]")
        file.write("\n}}\n")


def _recording(survey: Survey, number: int) -> dict[str, Any]:
    record = survey.records[number]
    header, start = read_header(Path(record.path)), survey.times[number] if number < len(survey.times) else None
    when = {"date": start.date().isoformat(), "time": start.time().isoformat()} if start else {}
    return {
        "uuid": _uuid("recording", record.file),
        "path": record.file,
        "duration": record.extent,
        "channels": header.channels,
        "samplerate": header.rate,
        **when,
    }


def _clip(record: Record, recording: str) -> dict[str, Any]:
    return {"uuid": _uuid("clip", record.file), "recording": recording, "start_time": 0.0, "end_time": record.extent}


def _clip_annotations(survey: Survey) -> Iterator[dict[str, Any]]:
    """Yield the list of the events of each recording with events; they are in order of the recordings."""
    for file, events in groupby(survey.rows(), attrgetter("file")):
        own = [_event_uuid("annotation", event) for event in events]
        yield {"uuid": _uuid("clip_annotation", file), "clip": _uuid("clip", file), "sound_events": own}


def _label(event: Event) -> str:
    return event.label or event.name


def _event_uuid(kind: str, event: Event) -> str:
    numbers = (event.start, event.end, event.low_hz, event.high_hz)
    return _uuid(kind, event.file, *map(_number, numbers))


def _uuid(*parts: str) -> str:
    """Return an identifier that is the same in every survey of the same recordings."""
    return str(uuid5(_NAMESPACE, "\n".join(parts)))


def _number(value: float) -> str:
    """Return the shortest decimals that read back as the same number."""
    return np.format_float_positional(float(value), trim="-")


EXCHANGE = {
    "camtrap-dp": Exchange(
        ("events.camtrap-dp/observations.csv", "events.camtrap-dp/media.csv"), _write_camtrap_dp, dated=True
    ),
    "aoef": Exchange(("events.aoef.json",), _write_aoef),
}
