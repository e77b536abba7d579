"""Reading the sources of a trained model: scan, ingest, labels, skipped sources."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.cli.console import Console
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.engine import Engine


@dataclass(frozen=True)
class Reading:
    """What was read.

    Attributes
    ----------
    used
        Numbers of the sources that can be used, in order.
    records
        Theirs.
    skipped
        Those of the others.
    """

    used: list[int]
    records: list[Record]
    skipped: list[Record]


def find(model: Model, arguments: Sequence[Path], console: Console) -> list[Source]:
    """Return the files of the model's kind that are named or lie in the folders named."""
    from audiosae.corpus.sources import scan

    try:
        return scan(arguments, model.domain.suffixes, domain=model.domain.name, say=console.say)
    except InputError as error:
        if not all(os.path.lexists(argument) for argument in arguments):
            raise
        shown = ", ".join(map(str, arguments))
        raise InputError(f"nothing for a model of {model.domain.name} in {shown}: it was trained on files of the kind "
                         f"{', '.join(model.domain.suffixes)}") from error  # fmt: skip


def labels_file(labels: str | None) -> list[Path]:
    """Return the CSV that labels come from, where they do."""
    from audiosae.corpus.labels import FOLDER

    return [Path(labels)] if labels and labels != FOLDER else []


def tell_unlabelled(
    found: Sequence[Source], known: Sequence[str | None], console: Console, what: str, *, strict: bool
) -> list[str]:
    """Return the names of sources without a label, having told of them; `what` becomes of them.

    Raises
    ------
    InputError
        There are some, and `strict` is set.
    """
    from audiosae.corpus.labels import some_of

    names = [source.name for source, label in zip(found, known, strict=True) if label is None]
    if names and strict:
        raise InputError(f"--strict: no label for {len(names)} of {len(found)} sources: {some_of(names)}")
    if names:
        console.say(f"no label for {len(names)} of {len(found)} sources, {what}: {some_of(names)}")
    return names


def tell_used(records: Sequence[Record], console: Console) -> None:
    """Tell, in a line for each kind, which of the used sources are not whole, and what is said of others."""
    from audiosae.corpus.labels import some_of

    used = [record for record in records if record.status == "used"]
    if parts := [f"{record.file} ({record.reason})" for record in used if record.reason]:
        console.say(f"used as far as they can be decoded, {len(parts)} of {len(used)} sources: {some_of(parts)}")
    for remark in dict.fromkeys(record.remark for record in used if record.remark):
        names = [record.file for record in used if record.remark == remark]
        console.say(f"{len(names)} of {len(used)} sources have {remark}: {some_of(names)}")


def check_skipped(skipped: Sequence[Record], *, strict: bool) -> None:
    """Refuse skipped sources where that was asked for, when everything is written.

    Raises
    ------
    InputError
        There are some, and `strict` is set.
    """
    if strict and skipped:
        raise InputError(f"--strict: {len(skipped)} of the sources were skipped; the rest is written")


def read(
    model: Model,
    found: Sequence[Source],
    console: Console,
    where: dict[str, Any],
    engine: Engine,
    *,
    interleaved: bool = False,
) -> Reading:  # fmt: skip
    """Bring the fields of sources into the cache, `interleaved` as in `Engine.ingest`; tell the skipped.

    Raises
    ------
    InputError
        None can be used.
    """
    console.stage("reading", len(found), "files")
    records = engine.ingest(
        model.domain, found, **where, interleaved=interleaved, done=lambda _: console.advance(1), say=console.say
    )
    console.close()
    used = [i for i, record in enumerate(records) if record.status == "used"]
    skipped = [record for record in records if record.status != "used"]
    if not used:
        raise InputError(f"none of {len(found)} sources suits a model of {model.domain.name}; the first is "
                         f"{skipped[0].file}: {skipped[0].reason}")  # fmt: skip
    for record in skipped:
        console.say(f"skipped {record.file}: {record.reason}")
    tell_used(records, console)
    return Reading(used, [records[i] for i in used], skipped)
