"""The folder of a survey: what is asked of it, its tables and pictures, and its facts as JSON."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.autoencoder.model import FILE
from audiosae.corpus.journal import source_summary
from audiosae.errors import InputError
from audiosae.sounds.annotations import FORMATS, write_annotations
from audiosae.sounds.event_codes import sample_codes
from audiosae.sounds.tables import (
    write_events_csv,
    write_events_parquet,
    write_timeline_csv,
    write_types_csv,
)
from audiosae.system.files import check_replaceable, has_facts, write_file
from audiosae.views.timeline_picture import draw_recordings, draw_timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.results import Survey
    from audiosae.sounds.tables import Names

TYPES, PAGE = "types.safetensors", "index.html"
_WRITTEN = (  # what a survey leaves in its folder, besides folders of tables for other programs
    "events.csv",
    "events.parquet",
    "types.csv",
    "timeline.csv",
    "timeline.png",
    "recordings.png",
    "index.html",
)
FACTS = "survey.json"
_LATER = 2.0  # s: file systems round times


def type_count(types: int | str, types_from: Path | None) -> int | None:
    """Return the number of types asked for; None where it is to be chosen."""
    types = str(types)
    if types == "auto":
        return None
    if not types.isdecimal() or int(types) < 1:
        raise InputError(f"--types {types}: wanted auto or a number from 1")
    if types_from:
        raise InputError(f"--types {types}: --types-from has its own number of types; leave out one of the two")
    return int(types)


def formats_of(text: str) -> list[str]:
    """Return the formats of a comma list; InputError where one is unknown, or pyarrow is missing."""
    there = ("csv", "parquet", *FORMATS)
    wanted = [part.strip().lower() for part in text.split(",")]
    wrong = [part for part in wanted if part not in there]
    if wrong:
        raise InputError(f"--events {text}: no format {wrong[0]!r}; wanted some of {', '.join(there)}")
    if "parquet" in wanted and find_spec("pyarrow") is None:
        raise InputError("--events parquet needs pyarrow: pip install 'audiosae[parquet]', or take csv")
    return wanted


def check_folder(out: Path, inputs: Sequence[Path]) -> None:
    """Make the folder; InputError where it is a file, cannot be made, or holds what no survey wrote."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; wanted a folder") from error
    if (out / FILE).exists() or any(path.absolute().parent == out.absolute() for path in inputs):
        what = "is a run folder" if (out / FILE).exists() else "holds recordings that are surveyed"
        raise InputError(f"--out {out}: {what}; give the survey a folder of its own")
    own = has_facts(out / FACTS, "model_digest", "types")
    if own:
        _check_unchanged(out)
    for name in (*_WRITTEN, *(f"events.{program}" for program in FORMATS), FACTS):
        check_replaceable(out / name, inputs, own=own)


def _left_in(out: Path) -> list[Path]:
    """Return where a survey leaves its tables, pictures and page."""
    tables = [path for name, form in FORMATS.items() for path in (out / f"events.{name}").glob(f"*{form.suffix}")]
    return [*(out / name for name in _WRITTEN), *tables]


def _check_unchanged(out: Path) -> None:
    """Refuse a folder in which somebody has worked on the tables: facts are the last that a survey makes."""
    made = (out / FACTS).stat().st_mtime + _LATER
    for path in _left_in(out):
        if path.exists() and path.stat().st_mtime > made:
            raise InputError(
                f"cannot write {path}: it was changed after the survey that made it; choose another "
                f"folder with -o, or move it away"
            )


@contextmanager
def aside(out: Path | None) -> Iterator[Path | None]:
    """Yield a folder inside `out`, whose files replace those of an earlier survey together, when all are written.

    Whatever ends before that leaves the earlier ones as they were, and nothing where there was nothing.
    """
    if out is None:
        yield None
        return
    try:
        work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}; choose another folder with -o") from error
    try:
        yield work
        _put_in_place(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # it is not empty
            out.rmdir()


def _put_in_place(work: Path, out: Path) -> None:
    """Move the files of a survey from `work` to `out`, its facts first, and remove what is left of an earlier one."""
    made = sorted((path.relative_to(work) for path in work.rglob("*") if path.is_file()), key=lambda p: p.name != FACTS)
    former = _left_in(out)
    for path in made:
        (out / path).parent.mkdir(exist_ok=True)
        os.replace(work / path, out / path)  # noqa: PTH105 (one atomic call)
    for path in former:
        if path.relative_to(out) not in made:  # its types may have had other numbers
            path.unlink(missing_ok=True)


def names_note(names: Names | None, result: Survey, path: Path | None, types_from: Path | None) -> str:
    """Return what a user should know of names that were given: a number alone does not say which sound it is."""
    if names is None:
        return ""
    notes = []
    if wrong := sorted(set(names.of) - {kind.number for kind in result.types}):
        notes.append(f"--names {path}: no type {', '.join(map(str, wrong))}; there are {len(result.types)}")
    if names.types and names.types != result.types_digest:
        what = "those in --types-from" if types_from else "this survey's"
        notes.append(
            f"--names {path}: it names the types of another survey, not {what}; they went to the same "
            f"numbers, which may be other sounds; give --types-from the folder of that survey"
        )
    elif not names.types and types_from is None:
        notes.append(
            f"--names {path}: names are given to the numbers of this survey, and other recordings may give "
            f"other numbers; with --types-from FOLDER numbers and names stay"
        )
    return "\n".join(notes)


def write_tables(result: Survey, out: Path, formats: list[str]) -> None:
    """Write the tables and pictures of a survey into its folder."""
    write_types_csv(result, out / "types.csv")
    if "csv" in formats:
        write_events_csv(result, out / "events.csv")
    if "parquet" in formats:
        write_events_parquet(result, out / "events.parquet")
    for program in FORMATS:
        if program in formats:
            write_annotations(result.rows(), out / f"events.{program}", program)
    if result.dated:
        _write_timeline(result, out)


def _write_timeline(result: Survey, out: Path) -> None:
    line = result.timeline()
    write_timeline_csv(line, out / "timeline.csv", result.names)
    draw_timeline(line, out / "timeline.png", names=result.names)


def draw_units_over_time(result: Survey, model: Model, corpus: EngineCorpus, out: Path) -> None:
    """Draw recordings.png: a line a day or a file, coloured by what the units do."""
    series, lengths = sample_codes(model, corpus.only(corpus.used)), [record.extent for record in result.records]
    files, starts = [record.file for record in result.records], result.times if result.dated else ()
    draw_recordings(series, lengths, out / "recordings.png", starts=starts, names=files)


def facts_of(result: Survey, out: Path | None, digest: str, note: str) -> dict[str, Any]:
    """Return what a survey found as JSON has it."""
    return {
        "folder": str(out) if out else None,
        "model_digest": digest,
        "events": len(result.events),
        "seconds": result.seconds,
        "event_seconds": float(result.events.seconds.sum()),
        "sources_used": len(result.records),
        "sources_skipped": len(result.skipped),
        "without_events": result.silent,
        **source_summary([*result.records, *result.skipped]),
        "types": [asdict(kind) for kind in result.types],
        "like_no_type": len(result.events.of_type(0)),
        "number_of_types": result.choice,
        "stability": asdict(result.stability) if result.stability else None,
        "dates": note,
        "dated": result.dated,
    }


def write_facts(facts: Mapping[str, Any], out: Path) -> None:
    """Write survey.json, by which a survey's folder is known again."""
    write_file(out / FACTS, (json.dumps(facts, indent=1) + "\n").encode())
