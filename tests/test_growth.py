"""Work over all records grows with their number and not with its square: counted, not timed."""

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
NAMES = {found.name for found in fields(Record)}


class Counted(Record):
    """A record that counts how often it is looked at."""

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


def held_out(corpus):
    kept, held, _ = corpus.split(0)
    return slabs(kept) + slabs(held)


def files(corpus):
    found = pooled_files(corpus.domain, corpus.records, np.asarray, pools=("mean",))
    return sum(1 for _ in found) + sum(1 for _ in pieces(corpus.domain, corpus.records))


@pytest.mark.parametrize("walk", [slabs, shards, parts, held_out, files])
def test_a_pass_looks_at_each_record_as_often_among_many_as_among_few(tmp_path, walk):
    def looks(count):
        one = vars(record(tmp_path, field(6, 2)))
        counted = [Counted(**one | {"path": f"/{i}"}) for i in range(count)]
        READ.clear()
        assert walk(Corpus(Grid(), counted)) > 0
        return READ.total() / count

    assert looks(400) <= 1.1 * looks(40)
