"""Reading the sources of a trained model: scan, ingest, labels, skipped sources."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.corpus.cache import cache_folder
from audiosae.corpus.labels import FOLDER, read_labels, some_of
from audiosae.corpus.sources import scan
from audiosae.engine import open_engine
from audiosae.engine.corpus import read
from audiosae.errors import InputError
from audiosae.system.processes import worker_count

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.engine import Engine
    from audiosae.engine.corpus import PlacedCorpus
    from audiosae.system.progress import Progress


def find(model: Model, arguments: Sequence[Path], progress: Progress) -> list[Source]:
    """Return the files of the model's kind that are named or lie in the folders named."""
    return scan(arguments, model.domain.suffixes, domain=model.domain.name, say=progress.say, model=True)


def labels_file(labels: str | None) -> list[Path]:
    """Return the CSV that labels come from, where they do."""
    return [Path(labels)] if labels and labels != FOLDER else []


def check_label_column(labels: str | None, column: str | None) -> None:
    """Refuse a column of nothing."""
    if column and not labels:
        raise InputError(f"--label-column {column}: wanted together with --labels FILE.csv")


def known_labels(
    labels: str | None, column: str | None, found: Sequence[Source], progress: Progress, what: str, *, strict: bool
) -> tuple[list[str | None] | None, list[str]]:
    """Return the sources' labels, where any were asked for, and the names of those without; see `tell_unlabelled`."""
    known = read_labels(labels, found, column) if labels else None
    return known, tell_unlabelled(found, known, progress, what, strict=strict) if known else []


def tell_unlabelled(
    found: Sequence[Source], known: Sequence[str | None], progress: Progress, what: str, *, strict: bool
) -> list[str]:
    """Return the names of sources without a label, having told of them and `what` becomes of them; or refuse them."""
    names = [source.name for source, label in zip(found, known, strict=True) if label is None]
    if names and strict:
        raise InputError(f"--strict: no label for {len(names)} of {len(found)} sources: {some_of(names)}")
    if names:
        progress.say(f"no label for {len(names)} of {len(found)} sources, {what}: {some_of(names)}")
    return names


def tell_used(records: Sequence[Record], progress: Progress) -> None:
    """Tell, in a line for each kind, which of the used sources are not whole, and what is said of others."""
    used = [record for record in records if record.status == "used"]
    if parts := [f"{record.file} ({record.reason})" for record in used if record.reason]:
        progress.say(f"used as far as they can be decoded, {len(parts)} of {len(used)} sources: {some_of(parts)}")
    for remark in dict.fromkeys(record.remark for record in used if record.remark):
        names = [record.file for record in used if record.remark == remark]
        progress.say(f"{len(names)} of {len(used)} sources have {remark}: {some_of(names)}")


def check_skipped(skipped: Sequence[Record], *, strict: bool) -> None:
    """Refuse skipped sources where that was asked for, when everything is written."""
    if strict and skipped:
        raise InputError(f"--strict: {len(skipped)} of the sources were skipped; the rest is written")


def worker_cache(engine: str, given: Path | None) -> Path | None:
    """Return the folder for fields on workers: here's for those on this machine, else theirs unless one was given."""
    return cache_folder(given).absolute() if engine.startswith("local:") else given and given.absolute()


@contextmanager
def opened_engine(name: str, backend: str, cache: Path | None, progress: Progress) -> Iterator[Engine]:
    """Open what ``--engine`` and ``--backend`` name, for a model that is trained; `cache` as it is typed."""

    def say(line: str) -> None:
        if name != "here" or not line.startswith("backend numpy"):  # that there is no card is no news here
            progress.say(line)

    with open_engine(name, backend=backend, cache=worker_cache(name, cache), say=say) as engine:
        engine.backend.say = progress.say
        yield engine


def read_sources(
    model: Model, found: Sequence[Source], progress: Progress, engine: Engine, *, cache: Path | None,
    workers: int | None, interleaved: bool = False,
) -> PlacedCorpus:  # fmt: skip
    """Read sources and tell the skipped; `cache` and `workers` as they are typed, `interleaved` as in `Engine.ingest`.

    Raises
    ------
    InputError
        None can be used.
    """
    where: dict[str, Any] = {"cache": cache_folder(cache), "workers": worker_count(workers)}
    corpus = read(model.domain, found, engine, **where, progress=progress, interleaved=interleaved)
    progress.close()
    if not corpus.used:
        first = corpus.skipped[0]
        raise InputError(f"none of {len(found)} sources suits a model of {model.domain.name}; the first is "
                         f"{first.file}: {first.reason}")  # fmt: skip
    for record in corpus.skipped:
        progress.say(f"skipped {record.file}: {record.reason}")
    tell_used(corpus.records, progress)
    return corpus


@contextmanager
def opened(
    model: Model, found: Sequence[Source], progress: Progress, engine: str, backend: str, *,
    cache: os.PathLike[str] | str | None, workers: int | None, interleaved: bool = False,
) -> Iterator[PlacedCorpus]:  # fmt: skip
    """Open an engine and read sources there: `opened_engine` and `read_sources` at once."""
    fields = None if cache is None else Path(cache)
    with opened_engine(engine, backend, fields, progress) as there:
        yield read_sources(model, found, progress, there, cache=fields, workers=workers, interleaved=interleaved)
