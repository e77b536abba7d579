"""Passes over all records access each record a constant number of times, not more with more records."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from test_corpus import Grid, field, record

from audiosae.corpus.journal import Record
from audiosae.corpus.windows import Corpus
from audiosae.engine.here import LocalEngine
from audiosae.engine.shards import split
from audiosae.features.codes import pieces, pooled_files

READ: Counter[str] = Counter()
NAMES = {column.name for column in fields(Record)}


class Counted(Record):
    """A record that counts accesses to its fields."""

    def __getattribute__(self, name):
        if name in NAMES:
            READ[name] += 1
        return super().__getattribute__(name)


def slabs(corpus):
    return sum(len(slab) for slab in corpus.slabs(memory=100))


def shards(corpus):
    engine = LocalEngine()
    engine.shards = {record.path: number // 5 for number, record in enumerate(corpus.records)}
    return sum(len(block) for _, shard in engine.distribute(corpus) for block in shard.windows(engine.backend))


def parts(corpus):
    return sum(len(part) for _, part in split(corpus, {}))


def division(corpus):
    training_part, held_out, _ = corpus.split(0)
    return slabs(training_part) + slabs(held_out)


def files(corpus):
    pooled = pooled_files(corpus.domain, corpus.records, np.asarray, pools=("mean",))
    return sum(1 for _ in pooled) + sum(1 for _ in pieces(corpus.domain, corpus.records))


@pytest.mark.parametrize("pass_over", [slabs, shards, parts, division, files])
def test_accesses_per_record_do_not_grow_with_the_number_of_records(tmp_path, pass_over):
    def accesses(count):
        like = record(tmp_path, field(6, 2))
        one = {name: getattr(like, name) for name in NAMES}
        counted = [Counted(**one | {"path": f"/{i}"}) for i in range(count)]
        READ.clear()
        assert pass_over(Corpus(Grid(), counted)) > 0
        return READ.total() / count

    assert accesses(400) <= 1.1 * accesses(40)
