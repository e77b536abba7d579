"""The file sources.json of a survey: where its recordings and its model are, for ``audiosae open``."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.corpus.entries import add_samples
from audiosae.corpus.recording_names import common_end
from audiosae.corpus.sources import printable, scan
from audiosae.errors import InputError
from audiosae.system.files import write_file
from audiosae.system.schema import DIGEST, FactsFile, Items, Object, Optional, Text, Whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.sounds.results import Survey

FILE = "sources.json"
_TIME = Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?", "a date and time")
_RECORDING = Object(
    {"file": Text(), "path": Optional(Text()), "bytes": Optional(Whole()), "time": Optional(_TIME)},
    {"content": Optional(Text(DIGEST, "a digest"))},
    rest=None,
)
_FACTS = FactsFile(
    ("model", "recordings"),
    Object({"model": Optional(Text()), "recordings": Items(_RECORDING)}, rest=None),
    "run audiosae survey again",
)


@dataclass(frozen=True)
class SurveyedRecording:
    """A recording of a survey, as `find_recordings` finds it again.

    Attributes
    ----------
    file
        Its name in the tables of the survey.
    path
        Where it is now; None if it was not found.
    fault
        Why it cannot be used; "" if it can.
    time
        Date and time at its start, if it is known.
    content
        Digest of samples of its content when it was surveyed; "" if it is not known.
    """

    file: str
    path: Path | None
    fault: str = ""
    time: datetime | None = None
    content: str = ""


def write_sources(survey: Survey, model: Model, out: Path) -> None:
    """Write the paths of the recordings that were used, their sizes, contents and dates, and the path of the model."""
    times = survey.times or [None] * len(survey.records)
    recordings = [
        {
            "file": record.file,
            "path": _text(Path(record.path)),
            "bytes": _size(Path(record.path)),
            "content": _content(Path(record.path)),
            "time": time.replace(tzinfo=None).isoformat() if time else None,
        }
        for record, time in zip(survey.records, times, strict=True)
    ]
    facts = {"model": _text(model.file) if model.file else None, "recordings": recordings}
    write_file(out / FILE, (json.dumps(facts, indent=1) + "\n").encode())


def read_sources(folder: Path) -> dict[str, Any]:
    """Return the content of sources.json; raise InputError if a survey lacks it, or it is damaged."""
    facts = _FACTS.read(folder / FILE)
    if facts is None:
        raise InputError(f"{folder}: no {FILE}, because an earlier version surveyed; run audiosae survey again")
    return facts


def find_recordings(
    facts: dict[str, Any], folders: Sequence[Path], suffixes: Sequence[str]
) -> dict[str, SurveyedRecording]:
    """Return the recordings of a survey by their names.

    Parameters
    ----------
    facts
        Result of `read_sources`.
    folders
        Folders that contain the recordings now; without any, they are where the survey found them.
    suffixes
        Suffixes of the files that are searched in the folders.
    """
    moved = _Moved(path for folder in folders for path in _files(folder, suffixes)) if folders else None
    found = (_found(row, moved) for row in facts["recordings"])
    return {each.file: each for each in found}


def _found(row: dict[str, Any], moved: _Moved | None) -> SurveyedRecording:
    time = datetime.fromisoformat(row["time"]) if row["time"] else None
    path = moved.find(row["file"], row["bytes"]) if moved else Path(row["path"]) if row["path"] else None
    if isinstance(path, str):
        return SurveyedRecording(row["file"], None, path, time)
    size = _size(path) if path else None
    if path is None or size is None:
        where = f" at {printable(path)}{_reason(path)}" if path else ""
        fault = f"no recording{where}; start audiosae open with --sources and the folder where it is now"
        return SurveyedRecording(row["file"], None, fault, time)
    if row["bytes"] is not None and size != row["bytes"]:
        fault = f"{printable(path)} has {size:,} bytes, not the {row['bytes']:,} of the recording that was surveyed"
        return SurveyedRecording(row["file"], None, fault, time)
    return SurveyedRecording(row["file"], path, "", time, row.get("content") or "")


def content_digest(path: Path) -> str:
    """Return a digest of samples of a recording; raise OSError if it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    add_samples(digest, path, path.stat().st_size)
    return digest.hexdigest()


class _Moved:
    """Recordings in other folders than the survey found them, by the ends of their paths."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_name: dict[str, dict[Path, tuple[str, ...]]] = defaultdict(dict)
        for path in paths:
            parts = tuple(printable(path.absolute()).split("/"))
            self._by_name[parts[-1]][path] = parts

    def find(self, file: str, size: int | None) -> Path | str:
        """Return the path whose end agrees most with a name, of those with the right size; or why there is none."""
        wanted = file.split("/")
        candidates = self._by_name.get(wanted[-1], {})
        if not candidates:
            return "no recording of that name in --sources"
        sized = {path: parts for path, parts in candidates.items() if size in {None, _size(path)}}
        if not sized:
            return f"{printable(next(iter(candidates)))} has another size than the recording that was surveyed"
        agreement = {path: common_end(wanted, parts) for path, parts in sized.items()}
        most = max(agreement.values())
        best = [path for path, common in agreement.items() if common == most]
        return best[0] if len(best) == 1 else f"{len(best)} recordings of that name and size are in --sources"


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"--sources {printable(folder)}: no such folder; wanted the folder of the recordings")
    return [source.path for source in scan([folder], suffixes, model=True)]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _content(path: Path) -> str | None:
    try:
        return content_digest(path) if path.is_file() else None
    except OSError:
        return None


def _reason(path: Path) -> str:
    """Return why a path cannot be read, unless there is no such file."""
    try:
        path.stat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f" ({error.strerror or error})"
    return " (not a regular file)"


def _text(path: Path) -> str | None:
    """Return an absolute path as text; None if its name is not valid Unicode."""
    text = str(path.absolute())
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text
