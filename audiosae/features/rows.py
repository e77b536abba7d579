"""The rows of a table of features, and writing them block by block with a description in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features import codes as features
from audiosae.features.table import Block, describe, open_table
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.domain import Json
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard
    from audiosae.features.stability import UnitStability


@dataclass(frozen=True)
class TableRows:
    """The rows of a table of features, computed when `blocks` is iterated, which can be done once.

    Attributes
    ----------
    columns
        Names of the columns that identify a row.
    names
        Of the features.
    count
        Number of rows.
    blocks
        Of some rows each, in order of the sources.
    facts
        What the .json beside a table says of the rows: options, domain, skipped sources.
    """

    columns: list[str]
    names: list[str]
    count: int
    blocks: Iterator[Block]
    facts: dict[str, Json]


def table_rows(
    model: Model, corpus: EngineCorpus, *, level: str = "file", pools: Sequence[str] = features.DEFAULT_POOL,
    segments: int = 1, code: features.Code = "sqrt", labels: Sequence[str | None] | None = None,
    done: Callable[[Record], None] = lambda _: None, stamp: Callable[[str, float], str] | None = None,
) -> TableRows:  # fmt: skip
    """Return the rows of a table of features.

    Parameters
    ----------
    corpus
        The sources, read with the model's domain and encoded where they are stored. Skipped sources have no rows.
    level
        ``file`` (one row per source) or ``window``.
    pools, segments
        How the codes of a source's windows are pooled, and in how many parts in time.
    labels
        One per record of the corpus, None for a record without a label.
    done
        Called once with each source while its rows are computed.
    stamp
        Function from a source's name and seconds in it to date and time in ISO 8601, or ""; it adds a column ``time``.

    Raises
    ------
    InputError
        No source can be used.
    """
    used, units = corpus.only(corpus.used), model.params.hidden
    if not used.records:
        raise InputError(f"nothing to export: none of {len(corpus.records)} sources can be used")
    work = _Work(model, used, [labels[i] if labels else None for i in corpus.used], code, done)
    axes = len(model.domain.span(Path(used.records[0].path), (0,) * len(model.domain.window)).start)
    label = ["label"] if labels else []
    if level == "file":
        names, columns = features.pooled_names(units, pools, segments), ["file", *label, "duration"]
        count, blocks = len(used.records), _file_blocks(work, pools=pools, segments=segments)
    else:
        places = (
            ["start", "end"] if axes == 1 else [f"{end}_{axis}" for end in ("start", "end") for axis in range(axes)]
        )
        names, columns = features.unit_names(units), ["file", *places, *label]
        count = sum(features.window_count(model.domain, record) for record in used.records)
        blocks = _window_blocks(work, places)
    if stamp:
        columns, blocks = [*columns, "time"], _stamped(blocks, stamp)
    facts: dict[str, Json] = {
        "level": level, "pool": list(pools), "segments": segments, "code": code, "rows": count, "features": len(names),
        "domain": model.facts.get("domain"), "unit": model.domain.unit,
        "skipped": [{"file": record.file, "reason": record.reason} for record in corpus.skipped],
    }  # fmt: skip
    return TableRows(columns, names, count, blocks, facts)


@one_blas_thread()
def write_rows(rows: TableRows, path: Path, *, digest: str = "", stability: UnitStability | None = None) -> None:
    """Write rows as a table, block by block, and beside it a .json that describes it.

    Parameters
    ----------
    path
        .parquet, .csv or .npz.
    digest, stability
        Of the model, for the .json.

    Raises
    ------
    InputError
        Another suffix, an unwritable file, or pyarrow is missing.
    """
    with open_table(path, rows.columns, rows.names, rows.count) as write:
        for keys, values in rows.blocks:
            write(({key: keys[key] for key in rows.columns}, values))
    facts: dict[str, Json] = rows.facts | {"model_digest": digest}
    if stability:
        facts["stability"] = stability.to_json()
    describe(path, facts)


def _stamped(blocks: Iterator[Block], stamp: Callable[[str, float], str]) -> Iterator[Block]:
    for keys, values in blocks:
        seconds = keys.get("start") or [0.0] * len(values)
        yield keys | {"time": [stamp(*at) for at in zip(keys["file"], seconds, strict=True)]}, values


@dataclass(frozen=True)
class _Work:
    """What is encoded, where it lies, and its labels."""

    model: Model
    corpus: EngineCorpus
    labels: Sequence[str | None]
    code: features.Code
    done: Callable[[Record], None]


def _file_blocks(work: _Work, *, pools: Sequence[str], segments: int) -> Iterator[Block]:
    plain = features.FeatureSet(features.Encoder(work.model, work.code))
    found = features.file_features(work.corpus, plain, pools=pools, segments=segments)
    for record, label, values in zip(work.corpus.records, work.labels, found, strict=False):
        yield {"file": [record.file], "label": [label], "duration": [record.extent]}, values[None]
        work.done(record)


def _window_blocks(work: _Work, places: Sequence[str]) -> Iterator[Block]:
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
