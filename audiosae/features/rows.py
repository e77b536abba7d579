"""Rows of a feature table: compute them, and write them block by block with a description in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features import codes as features
from audiosae.features.pooling import DEFAULT_POOL, pooled_names, unit_names
from audiosae.features.stretches import stretch_features
from audiosae.features.table import TABLE, Block, open_table
from audiosae.system.many import Made
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.domain import Json
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard
    from audiosae.features.stability import UnitStability
    from audiosae.features.stretches import Stretches


@dataclass(frozen=True)
class TableRows:
    """Rows of a feature table, computed while `blocks` is iterated; this is possible only once.

    Attributes
    ----------
    columns
        Names of the columns that identify a row.
    names
        Names of the features.
    count
        Number of rows.
    blocks
        Consecutive rows, in order of the sources.
    facts
        Description of the rows for the .json of the table: options, domain, skipped sources.
    """

    columns: list[str]
    names: list[str]
    count: int
    blocks: Iterator[Block]
    facts: dict[str, Json]


def table_rows(
    model: Model,
    corpus: EngineCorpus,
    *,
    level: str = "file",
    pools: Sequence[str] = DEFAULT_POOL,
    segments: int = 1,
    code: features.Code = "sqrt",
    labels: Sequence[str | None] | None = None,
    done: Callable[[Record], None] = lambda _: None,
    stamp: Callable[[str, float], str] | None = None,
) -> TableRows:
    """Return the rows of a feature table.

    Parameters
    ----------
    corpus
        The sources, read with the model's domain and encoded where they are stored. Skipped sources have no rows.
    level
        ``file`` (one row per source) or ``window``.
    pools, segments
        Statistics by which the codes of a source's windows are pooled, and number of equal parts of its duration that
        are pooled separately.
    code
        See `audiosae.features.codes.Encoder`.
    labels
        One per record of the corpus, None for a record without a label.
    done
        Called once for each source while its rows are computed.
    stamp
        Function from the name of a source and a time in it, s, to the date and time in ISO 8601, or "". It adds a
        column ``time``.

    Raises
    ------
    InputError
        No source can be used.
    """
    used, units = corpus.only(corpus.used), model.params.hidden
    if not used.records:
        raise InputError(f"nothing to export: none of {len(corpus.records)} sources can be used")
    chosen, records = corpus.used, used.records
    sources = Made(lambda number: (records[number], labels[chosen[number]] if labels else None), range(len(records)))
    label = ["label"] if labels else []
    if level == "file":
        names, columns = pooled_names(units, pools, segments), ["file", *label, "duration"]
        encode = features.FeatureSet.of(model, code)
        pooled = features.file_features(used, encode, pools=pools, segments=segments)
        count, blocks = len(used.records), _file_blocks(pooled, sources, done)
    else:
        axes = len(model.domain.span(Path(used.records[0].path), (0,) * len(model.domain.window)).start)
        ends = ["start", "end"] if axes == 1 else [f"{e}_{axis}" for e in ("start", "end") for axis in range(axes)]
        names, columns = unit_names(units), ["file", *ends, *label]
        count = sum(features.window_count(model.domain, record) for record in used.records)
        blocks = _window_blocks(model, used, sources, done, code=code, ends=ends)
    if stamp:
        columns, blocks = [*columns, "time"], _stamped(blocks, stamp)
    how: dict[str, Json] = {"level": level, "pool": list(pools), "segments": segments, "code": code}
    return TableRows(columns, names, count, blocks, _facts(model, corpus, how, count, len(names)))


def stretch_rows(
    model: Model,
    corpus: EngineCorpus,
    stretches: Stretches,
    keys: Mapping[str, Sequence[object]],
    *,
    pools: Sequence[str] = DEFAULT_POOL,
    segments: int = 1,
    code: features.Code = "sqrt",
    done: Callable[[int], None] = lambda _: None,
    stamp: Callable[[str, float], str] | None = None,
) -> TableRows:
    """Return a table with a row per stretch.

    Parameters
    ----------
    corpus, stretches
        Recordings, all of which must be used, and stretches of them.
    keys
        Columns that identify a row, with a value for each stretch: ``file``, ``start``, ``end`` and ``label``.
    pools, segments, code, stamp
        See `table_rows`; `segments` are parts of the stretch.
    done
        Called with 1 after each stretch.
    """
    names, encode = pooled_names(model.params.hidden, pools, segments), features.FeatureSet.of(model, code)
    pooled = stretch_features(corpus, encode, stretches, pools=pools, segments=segments)

    def blocks() -> Iterator[Block]:
        for row, values in zip(zip(*keys.values(), strict=True), pooled, strict=True):
            yield {key: [value] for key, value in zip(keys, row, strict=True)}, values[None]
            done(1)

    columns = [*keys, *(["time"] if stamp else [])]
    how: dict[str, Json] = {"level": "annotation", "pool": list(pools), "segments": segments, "code": code}
    facts = _facts(model, corpus, how, len(stretches), len(names))
    return TableRows(columns, names, len(stretches), _stamped(blocks(), stamp) if stamp else blocks(), facts)


def _facts(
    model: Model, corpus: EngineCorpus, how: dict[str, Json], rows: int, features_per_row: int
) -> dict[str, Json]:
    return how | {
        "rows": rows,
        "features": features_per_row,
        "domain": model.facts.get("domain"),
        "unit": model.domain.unit,
        "skipped": [{"file": record.file, "reason": record.reason} for record in corpus.skipped],
    }


@one_blas_thread()
def write_rows(rows: TableRows, path: Path, *, digest: str = "", stability: UnitStability | None = None) -> None:
    """Write rows as a table, block by block, and a .json that describes it.

    Parameters
    ----------
    path
        .parquet, .csv or .npz.
    digest, stability
        Digest and stability of the model, for the .json.

    Raises
    ------
    InputError
        The suffix is unknown, a file cannot be written, or pyarrow is missing.
    """
    measured = {"stability": stability.to_json()} if stability else {}
    facts = {**rows.facts, "model_digest": digest, **measured}
    with open_table(path, rows.columns, rows.names, rows.count, partial(TABLE.describe, path, facts)) as write:
        for keys, values in rows.blocks:
            write(({key: keys[key] for key in rows.columns}, values))


def _stamped(blocks: Iterator[Block], stamp: Callable[[str, float], str]) -> Iterator[Block]:
    for keys, values in blocks:
        seconds = keys.get("start") or [0.0] * len(values)
        yield keys | {"time": [stamp(*each) for each in zip(keys["file"], seconds, strict=True)]}, values


def _file_blocks(
    pooled: Iterator[NDArray[np.float32]],
    sources: Sequence[tuple[Record, str | None]],
    done: Callable[[Record], None],
) -> Iterator[Block]:
    for (record, label), values in zip(sources, pooled, strict=False):
        yield {"file": [record.file], "label": [label], "duration": [record.extent]}, values[None]
        done(record)


def _window_blocks(
    model: Model,
    corpus: EngineCorpus,
    sources: Sequence[tuple[Record, str | None]],
    done: Callable[[Record], None],
    *,
    code: features.Code,
    ends: Sequence[str],
) -> Iterator[Block]:
    number = {record.path: number for number, (record, _) in enumerate(sources)}
    jobs = [(shard, piece) for shard, part in corpus.parts() for piece in features.pieces(model.domain, part.records)]
    encoded = chain.from_iterable(corpus.map(_encode_piece, model, code, jobs=jobs))
    for path, blocks in groupby(encoded, itemgetter(0)):
        record, label = sources[number[path]]
        for _, spans, codes in blocks:
            keys: dict[str, list[Any]] = {end: column.tolist() for end, column in zip(ends, spans, strict=True)}
            yield keys | {"file": [record.file] * len(codes), "label": [label] * len(codes)}, codes
        done(record)


def _encode_piece(
    backend: Backend, shard: Shard, piece: Sequence[features.Piece], model: Model, code: features.Code
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Yield (path of source, starts and ends (columns, windows), codes (windows, hidden)) of windows of a shard."""
    records, encode = shard.corpus.records, features.Encoder(model, code, backend)
    parts = ((records[index], low, high) for index, low, high in piece)
    for record, starts, codes in features.encoded(model.domain, parts, encode):
        yield record.path, np.array(features.spans(model.domain, record, starts)).reshape(len(starts), -1).T, codes
