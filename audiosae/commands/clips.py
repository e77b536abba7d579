"""Clips of ``audiosae survey`` and ``audiosae find``: options, space on the disk, the folder of a search's clips."""

from __future__ import annotations

import json
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from audiosae.commands.output_folder import DIGESTS, FILES, OutputFolder
from audiosae.commands.shared_options import AnyPath
from audiosae.errors import InputError
from audiosae.system.files import write_file
from audiosae.system.parameters import Option
from audiosae.system.progress import counted
from audiosae.system.schema import FactsFile, Object
from audiosae.system.text import some_of
from audiosae.views.clips import SUFFIX, clips_of_matches, clips_of_survey, kinds_of, largest_size, write_clips

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.results import Survey
    from audiosae.sounds.search import Matches
    from audiosae.system.progress import Progress
    from audiosae.views.clips import Clip

FOLDER = "clips"  # of the clips, in the folder of a survey
_FACTS, _MARK = "clips.json", "audiosae_clips"
_ALL, _MINUTE, _MEGABYTE = "all", 60, 1e6

ClipCount = Annotated[
    int | str | None,
    Option(
        "Write sounds as FLAC files into the folder clips, in a folder for each label or type: the N most typical of "
        "each, or all.",
        metavar="N|all",
        typed=str,
    ),
]
ClipsOf = Annotated[
    str | None,
    Option(
        "Write only the clips of this label or type: its name, or the number of a type.",
        metavar="NAME",
        default="all, if there are clips",
    ),
]
ClipFolder = Annotated[
    AnyPath | None,
    Option("Folder in which the results are written as FLAC files.", metavar="FOLDER", typed=Path),
]


@dataclass(frozen=True)
class ClipChoice:
    """Which clips of a survey to write: at most `count` of each label or type, and only those of one `name`."""

    count: int = 0
    name: str | None = None

    @classmethod
    def of(cls, clips: str | None, name: str | None, out: Path | None, sources: Sequence[Path]) -> Self:
        """Return the choice of the options --clips and --clips-of; all clips of one label if only that is given.

        Raises
        ------
        InputError
            The number is not valid, or the folder is missing, or in one of the folders of recordings.
        """
        if clips is None and name is None:
            return cls()
        text = _ALL if clips is None else clips.strip().lower()
        if text != _ALL and not re.fullmatch(r"0*[1-9]\d{0,8}", text):
            raise InputError(f"--clips {text[:20]}: wanted all, or a whole number of at least 1")
        if out is None:
            raise InputError(f"--clips {text} needs a folder: give one (out)")
        _check_outside(out, sources)
        return cls(sys.maxsize if text == _ALL else int(text), name)


def _check_outside(out: Path, sources: Sequence[Path]) -> None:
    """Raise InputError for a folder in which the next command would read the clips as recordings."""
    for source in sources:
        if source.is_dir() and source.resolve() in (out.resolve(), *out.resolve().parents):
            raise InputError(
                f"--clips: {out} is in {source}, so the next survey of {source} would read the clips as recordings; "
                "choose a folder outside of it"
            )


def write_survey_clips(
    survey: Survey, corpus: EngineCorpus, choice: ClipChoice, work: Path, *, beside: Path, progress: Progress
) -> dict[str, Any]:
    """Write the clips of a survey into the folder `work`, which becomes `beside`, and return their facts.

    If no sound has the chosen label or type, or the disk lacks space for the clips, nothing is written, and the facts
    have the message as ``refused``.
    """
    if not choice.count:
        return {}
    clips = clips_of_survey(survey, choice.count, of=choice.name)
    if choice.name is not None and not clips:
        known = some_of(kinds_of(survey).names)
        refused = f"--clips-of {choice.name}: no sound has this label or type; there are {known}"
        return {FOLDER: _nothing(beside / FOLDER) | {"refused": refused}}
    return {FOLDER: _written(clips, corpus, work / FOLDER, beside / FOLDER, progress)}


def _nothing(folder: Path) -> dict[str, Any]:
    return {"folder": str(folder), "count": 0, "seconds": 0.0, "bytes": 0, "refused": ""}


def checked_clip_folder(clips: AnyPath | None, sources: Sequence[Path], inputs: Sequence[Path]) -> Path | None:
    """Return the folder of the option, which is created.

    Raises
    ------
    InputError
        It cannot be written, is in one of the folders of recordings, or has files that no search wrote.
    """
    if clips is None:
        return None
    with _own_option():
        _check_outside(Path(clips), sources)
        _FOLDER.check(Path(clips), inputs)
    return Path(clips)


def write_match_clips(
    matches: Matches, corpus: EngineCorpus, folder: Path | None, progress: Progress
) -> dict[str, Any]:
    """Write the results of a search as clips, which replace those of an earlier search, and return their facts.

    Without a folder, nothing is written.

    Raises
    ------
    InputError
        The disk lacks space for them, or the folder cannot be written.
    """
    if folder is None:
        return {}
    with _own_option(), _FOLDER.replaced_together(folder) as work:
        assert work is not None  # noqa: S101 (a folder was given)
        facts = _written(clips_of_matches(matches), corpus, work, folder, progress)
        check_written(facts)
        listed = {_MARK: facts, FILES: _FOLDER.digests(work)}
        write_file(work / _FACTS, (json.dumps(listed, indent=1) + "\n").encode())
    return {FOLDER: facts}


@contextmanager
def _own_option() -> Iterator[None]:
    """Name the option --clips in messages about the folder, which name -o."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("with -o", "with --clips")) from error


def _written(
    clips: Sequence[Clip], corpus: EngineCorpus, folder: Path, shown: Path, progress: Progress
) -> dict[str, Any]:
    facts = _nothing(shown)
    needed, free = largest_size(clips), shutil.disk_usage(folder.parent).free
    if needed > free:
        size = f"{counted(len(clips), 'clip')} need up to {_size(needed)} in {shown}, and {_size(free)} are free"
        return facts | {"refused": f"--clips: {size}; write fewer (--clips N), or choose another disk"}
    written = write_clips(
        clips, folder, channel=getattr(corpus.domain, "channel", 0), workers=corpus.workers, progress=progress
    )
    if written.faults:
        progress.say(f"{counted(len(written.faults), 'clip')} could not be written: {some_of(written.faults)}")
    return facts | {"count": written.count, "seconds": round(written.seconds, 3), "bytes": written.bytes}


def check_written(facts: dict[str, Any] | None) -> None:
    """Raise InputError if clips were refused for lack of space."""
    if facts and facts["refused"]:
        raise InputError(facts["refused"])


def clip_text(facts: Mapping[str, Any]) -> str:
    """Return number, duration and size of clips as text."""
    seconds = facts["seconds"]
    length = f"{seconds / _MINUTE:.1f} min" if seconds >= _MINUTE else f"{seconds:.1f} s"
    return f"{counted(facts['count'], 'clip')} ({length}, {_size(facts['bytes'])}) written to {facts['folder']}"


def _size(count: float) -> str:
    return f"{count / _MEGABYTE:,.1f} MB"


def clip_paths(folder: Path) -> list[Path]:
    """Return the FLAC files in a folder and in the folders in it."""
    return [*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*/*{SUFFIX}")]


_FOLDER = OutputFolder(
    "find",
    _FACTS,
    FactsFile(
        (_MARK,),
        Object({_MARK: Object(), FILES: DIGESTS}),
        "choose another folder with --clips, or move it away",
    ),
    clip_paths,
)
