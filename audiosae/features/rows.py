"""Writing features as a table, streamed, and what they are as JSON beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features import codes as features
from audiosae.features.table import Block, describe, opened
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.domain import Json
    from audiosae.engine import Backend
    from audiosae.engine.corpus import PlacedCorpus
    from audiosae.engine.shards import Shard
    from audiosae.features.stability import Stability


@one_blas_thread()
def export(
    model: Model, corpus: PlacedCorpus, path: Path, *, level: str = "clip",
    pools: Sequence[str] = features.DEFAULT_POOL, segments: int = 1, code: features.Code = "sqrt",
    labels: Sequence[str | None] | None = None, digest: str = "", done: Callable[[Record], None] = lambda _: None,
    stamp: Callable[[str, float], str] | None = None, stability: Stability | None = None,
) -> int:  # fmt: skip
    """Write the features of sources and, beside the table, a .json that says what they are.

    Parameters
    ----------
    corpus
        The sources, read with the model's domain and encoded where they are; skipped ones have no rows and are named in
        the .json. The table is written here, in order of the sources.
    path
        .parquet, .csv or .npz.
    level
        ``clip`` (one row per source) or ``window``.
    labels
        One per record of the corpus, None for one that has none.
    stamp
        Gives the column ``time``: ISO 8601 of so many seconds in a source, or "" where its date is not known.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    InputError
        Another suffix, nothing to write, an unwritable file, or pyarrow is missing.
    """
    laid = lay_out(
        model, corpus, level=level, pools=pools, segments=segments, code=code, labels=labels, done=done, stamp=stamp
    )
    with opened(path, laid.columns, laid.names, laid.count) as write:
        for keys, values in laid.blocks:
            write(({key: keys[key] for key in laid.columns}, values))
    options: dict[str, Json] = {"level": level, "pool": list(pools), "segments": segments, "code": code}
    facts = described(model, corpus, laid, model_digest=digest, **options)
    if stability:
        facts["stability"] = stability.to_json()
    describe(path, facts)
    return laid.count


@dataclass(frozen=True)
class Laid:
    """The rows of a table, computed as they are asked for; `columns` say what a row is, `names` are the features'."""

    columns: list[str]
    names: list[str]
    count: int
    blocks: Iterator[Block]


def lay_out(
    model: Model, corpus: PlacedCorpus, *, level: str = "clip", pools: Sequence[str] = features.DEFAULT_POOL,
    segments: int = 1, code: features.Code = "sqrt", labels: Sequence[str | None] | None = None,
    done: Callable[[Record], None] = lambda _: None, stamp: Callable[[str, float], str] | None = None,
) -> Laid:  # fmt: skip
    """Return the rows of a table of features; see `export`."""
    used, units = corpus.only(corpus.used), model.params.hidden
    if not used.records:
        raise InputError(f"nothing to export: none of {len(corpus.records)} sources can be used")
    work = _Work(model, used, [labels[i] if labels else None for i in corpus.used], code, done)
    axes = len(model.domain.span(Path(used.records[0].path), (0,) * len(model.domain.window)).start)
    label = ["label"] if labels else []
    if level == "clip":
        names, columns = features.pooled_names(units, pools, segments), ["file", *label, "duration"]
        count, blocks = len(used.records), _clips(work, pools=pools, segments=segments)
    else:
        places = (
            ["start", "end"] if axes == 1 else [f"{end}_{axis}" for end in ("start", "end") for axis in range(axes)]
        )
        names, columns = features.unit_names(units), ["file", *places, *label]
        count = sum(features.window_count(model.domain, record) for record in used.records)
        blocks = _windows(work, places)
    if stamp:
        return Laid([*columns, "time"], names, count, _stamped(blocks, stamp))
    return Laid(columns, names, count, blocks)


def _stamped(blocks: Iterator[Block], stamp: Callable[[str, float], str]) -> Iterator[Block]:
    for keys, values in blocks:
        seconds = keys.get("start") or [0.0] * len(values)
        yield keys | {"time": [stamp(*at) for at in zip(keys["file"], seconds, strict=True)]}, values


def described(model: Model, corpus: PlacedCorpus, laid: Laid, **made: Json) -> dict[str, Json]:
    """Return what the .json beside a table says of it."""
    return {
        **made, "rows": laid.count, "features": len(laid.names), "domain": model.facts.get("domain"),
        "unit": model.domain.unit,
        "skipped": [{"file": record.file, "reason": record.reason} for record in corpus.skipped],
    }  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """What is encoded, where it lies, and its labels."""

    model: Model
    corpus: PlacedCorpus
    labels: Sequence[str | None]
    code: features.Code
    done: Callable[[Record], None]


def _clips(work: _Work, *, pools: Sequence[str], segments: int) -> Iterator[Block]:
    plain = features.FeatureSet(features.Encoder(work.model, work.code))
    found = features.clip_features(work.corpus, plain, pools=pools, segments=segments)
    for record, label, values in zip(work.corpus.records, work.labels, found, strict=False):
        yield {"file": [record.file], "label": [label], "duration": [record.extent]}, values[None]
        work.done(record)


def _windows(work: _Work, places: Sequence[str]) -> Iterator[Block]:
    domain, records = work.model.domain, work.corpus.records
    labels = {record.file: (record, label) for record, label in zip(records, work.labels, strict=True)}
    jobs = [(number, piece) for number, part in work.corpus.parts() for piece in features.pieces(domain, part.records)]
    last = None
    for rows in work.corpus.map(_coded, work.model, work.code, jobs=jobs):
        for file, spans, codes in rows:
            record, label = labels[file]
            keys: dict[str, list[Any]] = {place: column.tolist() for place, column in zip(places, spans, strict=True)}
            yield keys | {"file": [file] * len(codes), "label": [label] * len(codes)}, codes
            if record is not last:
                work.done(record)
                last = record


def _coded(
    backend: Backend, shard: Shard, piece: Sequence[features.Piece], model: Model, code: features.Code,
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:  # fmt: skip
    """Yield (file, starts and ends (places, count), codes (count, hidden)) of a piece of a shard."""
    records, encode = shard.corpus.records, features.Encoder(model, code, backend)
    parts = ((records[index], low, high) for index, low, high in piece)
    for record, starts, codes in features.encoded(model.domain, parts, encode):
        yield record.file, np.array(features.spans(model.domain, record, starts)).reshape(len(starts), -1).T, codes
