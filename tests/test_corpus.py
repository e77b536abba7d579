"""Windows of fields: the right values for any shape, order and memory limit."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from audiosae.autoencoder.whitening import Whitening
from audiosae.corpus.entries import _npy_header
from audiosae.corpus.journal import Record
from audiosae.corpus.windows import CHUNK_WINDOWS, Corpus
from audiosae.domain import Domain, Span
from audiosae.engine import LocalEngine
from audiosae.engine import learn_whitening as whitening
from audiosae.engine.corpus import EngineCorpus
from audiosae.engine.feed import Feed
from audiosae.engine.shards import source_key


@dataclass(frozen=True)
class Grid(Domain):
    """A domain of arrays, for tests."""

    name = "grid"
    suffixes = (".npy",)
    unit = "row"
    shape: str = "3,2"
    steps: str = "1,1"

    @property
    def window(self):
        return tuple(map(int, self.shape.split(",")))

    @property
    def stride(self):
        return tuple(map(int, self.steps.split(",")))

    def span(self, path, start):
        return Span((float(start[0]),), (float(start[0] + self.window[0]),), "row")


def record(folder, field, ranges=None, name="a"):
    path = folder / f"{name}.npy"
    path.write_bytes(_npy_header(field.shape) + field.tobytes())
    return Record(name, "used", shape=field.shape, ranges=ranges or ((0, len(field)),), field=str(path), path=name)


def field(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def naive(fields, window, stride):
    """Return all windows, computed with loops."""
    located = []
    for array in fields:
        view = np.lib.stride_tricks.sliding_window_view(array, window)
        view = view[tuple(slice(None, None, s) for s in stride)]
        located.append(view.reshape(-1, int(np.prod(window))))
    return np.concatenate(located)


CASES = [
    ([(20, 5), (9, 5)], (4, 5), (1, 5)),
    ([(20, 5), (9, 5)], (4, 5), (3, 5)),
    ([(12, 9), (7, 11)], (3, 2), (1, 1)),
    ([(12, 9), (7, 11)], (3, 2), (2, 3)),
    ([(12, 9, 3), (7, 11, 3)], (3, 4, 3), (1, 2, 3)),
    ([(50,), (13,)], (5,), (2,)),
    ([(4, 9), (7, 5)], (3, 5), (1, 1)),
]


def shown_by(feed, **which):
    """Return the batches of an epoch, 64 windows each; copied, since the feed reuses the array."""
    return [batch.copy() for batch in feed.batches(64, **which)]


@pytest.mark.parametrize(("shapes", "window", "stride"), CASES)
def test_blocks_have_every_window_in_order(tmp_path, shapes, window, stride):
    fields = [field(*shape, seed=i) for i, shape in enumerate(shapes)]
    domain = Grid(",".join(map(str, window)), ",".join(map(str, stride)))
    corpus = Corpus(domain, [record(tmp_path, f, name=str(i)) for i, f in enumerate(fields)])
    wanted = naive(fields, window, stride)
    assert len(corpus) == len(wanted)
    np.testing.assert_array_equal(np.concatenate(list(corpus.blocks(7))), wanted)
    assert sum(corpus.windows_per_record()) == len(wanted)


def test_locate_gives_the_position_of_a_window_in_its_source(tmp_path):
    fields = [field(30, 9, seed=1), field(25, 12, seed=2)]
    corpus = Corpus(Grid("4,3", "2,1"), [record(tmp_path, f, name=str(i)) for i, f in enumerate(fields)])
    windows = np.concatenate(list(corpus.blocks()))
    for number in (0, 5, len(corpus) // 2, len(corpus) - 1):
        (source,), ((row, column),) = corpus.locate(np.array([number]))
        piece = fields[source][row : row + 4, column : column + 3]
        np.testing.assert_array_equal(windows[number], piece.ravel())
    assert corpus.locate(np.arange(len(corpus)))[1].shape == (len(corpus), 2)


def test_windows_lie_inside_the_ranges(tmp_path):
    array = field(40, 5)
    corpus = Corpus(Grid("4,5", "1,5"), [record(tmp_path, array, ranges=((3, 12), (20, 23), (30, 40)))])
    wanted = np.concatenate([naive([array[3:12]], (4, 5), (1, 5)), naive([array[30:40]], (4, 5), (1, 5))])
    np.testing.assert_array_equal(np.concatenate(list(corpus.blocks())), wanted)


def test_chunks_of_a_long_field_have_all_windows(tmp_path):
    array = field(2 * CHUNK_WINDOWS + 100, 2)
    corpus = Corpus(Grid("5,2", "1,2"), [record(tmp_path, array)])
    assert len(corpus.chunks) == 3
    np.testing.assert_array_equal(np.concatenate(list(corpus.blocks())), naive([array], (5, 2), (1, 2)))


def test_a_sample_is_an_ordered_subset_determined_by_the_seed(tmp_path):
    corpus = Corpus(Grid("3,2", "1,1"), [record(tmp_path, field(60, 30))])
    everything = np.concatenate(list(corpus.blocks()))
    one, same, other = (corpus.sample(50, seed) for seed in (1, 1, 2))
    drawn = np.concatenate(list(one.blocks()))
    assert len(one) == len(drawn) == 50
    np.testing.assert_array_equal(drawn, np.concatenate(list(same.blocks())))
    assert not np.array_equal(drawn, np.concatenate(list(other.blocks())))
    (source,), ((row, column),) = one.locate(np.array([17]))
    assert one.records[source].file == "a"
    np.testing.assert_array_equal(drawn[17], everything[row * 29 + column])
    assert len(corpus.sample(10**9, 0)) == len(corpus)


def test_one_source_in_ten_is_held_out(tmp_path):
    records = [record(tmp_path, field(10, 2, seed=i), name=str(i)) for i in range(25)]
    training, held_out, how = Corpus(Grid("3,2", "1,2"), records).split(0)
    assert how == "2 of 25 sources"
    assert {r.file for r in training.records} | {r.file for r in held_out.records} == {str(i) for i in range(25)}
    assert not {r.file for r in training.records} & {r.file for r in held_out.records}
    assert held_out.split(1)[0] is not held_out


def test_with_few_sources_a_tenth_of_each_is_held_out_in_strips(tmp_path):
    training, held_out, how = Corpus(Grid("3,2", "1,2"), [record(tmp_path, field(130, 2))]).split(0)
    assert how == "a tenth of each source"
    assert training.records[0].ranges == ((0, 58), (65, 123))
    assert held_out.records[0].ranges == ((58, 65), (123, 130))


def test_held_out_strips_lie_inside_the_ranges(tmp_path):
    array = record(tmp_path, field(500, 2), ranges=((10, 60), (100, 480)))
    training, held_out, _ = Corpus(Grid("3,2", "1,2"), [array]).split(0)
    rows = [set() for _ in range(2)]
    for located, corpus in zip(rows, (training, held_out), strict=True):
        for low, high in corpus.records[0].ranges:
            located |= set(range(low, high))
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(range(10, 60)) | set(range(100, 480))
    assert len(rows[1]) == pytest.approx(47, abs=3)


def feeds(tmp_path):
    records = [record(tmp_path, field(300, 4, seed=i), name=str(i)) for i in range(6)]
    corpus = EngineCorpus(Grid("5,4", "1,4"), records, LocalEngine())
    whitener = whitening.learn_whitener(corpus, Whitening("pca", keep=0.9))
    return [Feed(corpus, whitener, memory=memory) for memory in (2**30, 2**13)]


def test_parts_of_an_engine_corpus_keep_its_engine_and_pickle_without_it(tmp_path):
    records = [record(tmp_path, field(300, 4, seed=i), name=str(i)) for i in range(6)]
    skipped = Record("broken", "skipped", "silent")
    corpus = EngineCorpus(Grid("5,4", "1,4"), [skipped, *records], LocalEngine(), cache=tmp_path, workers=3)
    assert (corpus.used, corpus.skipped) == ([1, 2, 3, 4, 5, 6], [skipped])
    training, held_out, _ = corpus.split(0)
    for part in (training, held_out, corpus.sample(7), corpus.only([1])):
        assert (part.engine, part.cache, part.workers) == (corpus.engine, tmp_path, 3)
    few = corpus.sample(7)
    sent = pickle.loads(pickle.dumps(few))  # noqa: S301 (our own)
    assert type(sent) is Corpus
    np.testing.assert_array_equal(sent.picked, few.picked)
    np.testing.assert_array_equal(np.concatenate(list(few.gathered())), np.concatenate(list(sent.blocks())))


def test_windows_in_memory_and_streamed_windows_are_equal(tmp_path):
    cached, streamed = feeds(tmp_path)
    assert cached.in_memory is not None
    assert streamed.in_memory is None
    np.testing.assert_allclose(
        np.concatenate(list(cached.blocks())), np.concatenate(list(streamed.blocks())), atol=1e-6
    )


@pytest.mark.parametrize("which", [0, 1])
def test_an_epoch_has_every_window_once_in_an_order_determined_by_seed_and_epoch(tmp_path, which):
    feed = feeds(tmp_path)[which]
    everything = np.concatenate(list(feed.blocks()))
    shown = np.concatenate(shown_by(feed, seed=3, epoch=2))
    np.testing.assert_allclose(np.sort(shown[:, 0]), np.sort(everything[:, 0]), atol=1e-6)
    np.testing.assert_array_equal(shown, np.concatenate(shown_by(feed, seed=3, epoch=2)))
    assert not np.allclose(shown, np.concatenate(shown_by(feed, seed=3, epoch=3)))


@pytest.mark.parametrize("which", [0, 1])
def test_skipped_batches_do_not_change_the_others(tmp_path, which):
    feed = feeds(tmp_path)[which]
    whole = shown_by(feed, seed=0, epoch=0)
    rest = shown_by(feed, seed=0, epoch=0, skip=3)
    assert len(rest) == len(whole) - 3
    np.testing.assert_array_equal(np.concatenate(whole[3:]), np.concatenate(rest))


def test_batches_mix_sources(tmp_path):
    feed = feeds(tmp_path)[0]
    first = next(feed.batches(64, seed=0, epoch=0))
    blocks = np.split(np.concatenate(list(feed.blocks())), 6)
    owners = {i for row in first for i, block in enumerate(blocks) if (block == row).all(axis=1).any()}
    assert len(owners) == 6


def test_feed_blocks_have_every_window(tmp_path):
    corpus = Corpus(Grid("3,2", "1,2"), [record(tmp_path, field(50, 2))])
    assert sum(map(len, corpus.blocks(7))) == len(corpus)
    assert Path(tmp_path / "a.npy").exists()


def callers(stop):
    """Return the names of the functions on the stack, up to a code object."""
    names, frame = [], sys._getframe(2)
    while frame.f_code is not stop:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def test_a_pass_over_the_windows_calls_its_step_directly(tmp_path, monkeypatch):
    engine, seen = LocalEngine(), []
    records = [record(tmp_path, field(300, 4, seed=i), name=str(i)) for i in range(3)]
    corpus = EngineCorpus(Grid("5,4", "1,4"), records, engine)
    engine.shards = {source_key(r.path): number for number, r in enumerate(records)}
    prepare = whitening.prepare

    def seeing(x, **how):
        seen.append(callers(LocalEngine.reduce.__code__))
        return prepare(x, **how)

    def count(backend, x):
        seen.append(callers(LocalEngine.reduce.__code__ if feed.in_memory is None else Feed.sum_over.__code__))
        return len(x)

    monkeypatch.setattr(whitening, "prepare", seeing)
    whitener = whitening.learn_whitener(corpus, Whitening("pca"))
    assert seen == [["part", "_ignore_underflow", "run", "window_moments"]] * 3
    for memory, wanted in ((2**30, []), (0, ["_sum_shard"])):
        feed = Feed(corpus, whitener, memory=memory)
        seen.clear()
        assert feed.sum_over(count) == len(corpus)
        assert seen == [wanted] * 3
