"""Sequences that keep their items compressed, or make them when they are asked for."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest

from audiosae.corpus.journal import Record, many_records
from audiosae.corpus.packed import Packing
from audiosae.corpus.sources import Source
from audiosae.system.many import Made, Many


def record(number):
    ranges = ((0, number), (number + 3, number + 9))
    path = f"/archive/site {number // 1000}/{number:06d}.wav"
    return Record(
        path[9:],
        "used",
        extent=np.float64(0.1 * number),  # type: ignore[arg-type]
        shape=(number, 40),
        ranges=ranges,
        digest=f"{number:032x}",
        path=path,
        field=f"/cache/{number:032x}.npy",
        remark=np.str_("odd") if number % 7 == 0 else "",
        packing=Packing("|u1", 0.25, -80.0),
    )


def test_items_are_those_that_were_given_in_any_order():
    records = many_records()
    for number in range(200):
        records.append(record(number))
    assert records == [record(number) for number in range(200)]
    order = np.random.default_rng(0).permutation(200).tolist()
    assert [records[number] for number in order] == [record(number) for number in order]
    assert [records[-1], *records[190:-8]] == [record(199), record(190), record(191)]
    assert type(records[7].extent) is float
    assert records.only([3, 130]) == [record(3), record(130)]
    assert records[5:7].__reduce__() == (list, ([record(5), record(6)],))  # other processes get a list
    with pytest.raises(IndexError):
        records[200]


def test_a_source_that_was_not_read_has_no_record():
    records = many_records()
    for each in (record(1), None) * 40:
        records.append(each)
    assert (records[1], records[78], records[79]) == (None, record(1), None)


def test_reading_in_order_decompresses_each_item_once(monkeypatch):
    opened, decompress = [], zlib.decompress
    monkeypatch.setattr(zlib, "decompress", lambda block: opened.append(block) or decompress(block))
    items = Many(str(number) for number in range(640))
    assert [*items] == [*map(str, range(640))]
    assert len(opened) == 10


def test_sources_and_records_take_little_memory():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        sources = [
            Source(f"site/{number:06d}.wav", f"/archive/of/recordings/site/{number:06d}.wav") for number in range(2000)
        ]
        of_sources = tracemalloc.get_traced_memory()[0] - before
        records = many_records()
        for number in range(2000):
            records.append(record(number))
        of_records = tracemalloc.get_traced_memory()[0] - before - of_sources
    finally:
        tracemalloc.stop()
    assert len(sources) == len(records)
    assert of_sources / 2000 < 180  # bytes
    assert of_records / 2000 < 120


def test_made_items_are_made_when_they_are_asked_for():
    made = []
    items = Made(lambda number: made.append(number) or 2 * number, range(5))
    part = items[1:3]
    assert (len(items), made) == (5, [])
    assert (items[3], part, made) == (6, [2, 4], [3, 1, 2])
    assert repr(items) == "[0, 2, 4, 6, 8]"
    with pytest.raises(TypeError):
        hash(items)
