"""Copies of files and links to files: reported by inspect, on one side of every division."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from signals import tone, write

import audiosae
from audiosae.corpus.copies import find_copies, find_links
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.corpus.windows import Corpus
from audiosae.evaluation.folds import make_plan
from audiosae.recordings.spectrogram import Spectrogram


def names(groups):
    return [[source.name for source in group] for group in groups]


@pytest.fixture
def folder(tmp_path):
    """Three recordings, two copies of the first, links to the second, and one that differs in its middle."""
    for number in range(3):
        write(tmp_path / f"{number}.wav", tone(6.0, 8000, seed=number))
    for name in ("copy.wav", "deeper/copy.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "0.wav", tmp_path / name)
    content = bytearray((tmp_path / "2.wav").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "almost.wav").write_bytes(content)
    (tmp_path / "soft.wav").symlink_to(tmp_path / "1.wav")
    os.link(tmp_path / "1.wav", tmp_path / "hard.wav")
    return tmp_path


def test_copies_have_the_same_bytes_and_links_the_same_file(folder):
    sources = scan([folder], (".wav",))
    links = find_links(sources)
    assert names(links) == [["1.wav", "hard.wav", "soft.wav"]]
    assert names(find_copies(sources, links)) == [["0.wav", "copy.wav", "deeper/copy.wav"]]


def test_inspect_counts_copies_and_links(folder):
    found = audiosae.inspect(folder)
    assert "2 of 8 sources are copies of others: 0.wav = copy.wav = deeper/copy.wav" in found.summary
    assert "2 of 8 sources are links to the file of another: 1.wav = hard.wav = soft.wav" in found.summary
    assert found.facts["copies"] == [["0.wav", "copy.wav", "deeper/copy.wav"]]
    assert not any("copies" in line or "links" in line for line in audiosae.inspect(folder / "deeper").summary)


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_in_one_fold_outer_and_inner(seed):
    rng = np.random.default_rng(seed)
    contents = np.concatenate([np.arange(40), rng.integers(40, size=30)])
    labels = [f"class {content % 3}" for content in contents]
    plan = make_plan(
        labels, kind="stratified", values=None, column="", seed=seed, digests=[f"{content}" for content in contents]
    )
    assert plan.tested.tolist() == list(range(70))
    assert any("30 of 70 files are copies of others" in note for note in plan.notes)
    for split in plan.splits:
        assert not set(contents[split.train]) & set(contents[split.test])
        assert set(plan.target[split.test]) == {0, 1, 2}
        inner, kept = plan.inner(split, 5, seed), contents[split.train]
        for fold in np.unique(inner):
            assert not set(kept[inner == fold]) & set(kept[inner != fold])


def test_without_copies_the_folds_are_the_same_as_without_digests():
    labels = [f"{i % 2}" for i in range(40)]
    how = {"kind": "stratified", "values": None, "column": "", "seed": 1}
    with_digests = make_plan(labels, digests=[f"{i}" for i in range(40)], **how)
    plain = make_plan(labels, **how)
    assert [s.test.tolist() for s in with_digests.splits] == [s.test.tolist() for s in plain.splits]
    assert with_digests.notes == plain.notes


@pytest.mark.parametrize(("kind", "values"), [("group", "xxxxyyyy"), ("fold", "xxxxyyyy"), ("split", "xxxyyyyy")])
def test_copies_that_a_column_divides_are_reported(kind, values):
    plan = make_plan(list("abababab"), kind=kind, values=list(values), column="c", seed=0, digests=list("1234a34b"))
    told = [note for note in plan.notes if "a copy is in the training part" in note]
    assert told
    assert told[0].startswith("1 of 8" if kind == "split" else "4 of 8")


def test_a_class_of_copies_cannot_be_divided():
    with pytest.raises(audiosae.InputError, match=r"label 'b' has 2 of the files, without copies, fewer than 5 folds"):
        make_plan(
            ["a"] * 6 + ["b"] * 6,
            kind="stratified",
            values=None,
            column="",
            seed=0,
            digests=[*"123456", *"777888"],
        )


def test_copies_are_on_one_side_of_the_held_out_part(tmp_path):
    for number in range(12):
        write(tmp_path / f"{number:02d}.wav", tone(0.4, 8000, seed=number))
        shutil.copy(tmp_path / f"{number:02d}.wav", tmp_path / f"copy of {number:02d}.wav")
    domain = Spectrogram(sample_rate=8000).resolve([])
    corpus = Corpus(domain, ingest(domain, scan([tmp_path], (".wav",)), cache=tmp_path / "cache", workers=1))
    for seed in range(4):
        training, held_out, description = corpus.split(seed)
        assert description == "2 of 24 sources"
        assert not {r.digest for r in training.records} & {r.digest for r in held_out.records}


def test_labels_without_meaning_gain_nothing_from_copies(trained, tmp_path):
    """Copies of files in the training part would let a classifier recognise them."""
    rng = np.random.default_rng(8)
    for number in range(20):
        path = tmp_path / "ab"[number % 2] / f"{number:02d}.wav"
        write(path, tone(0.5, pitch=rng.uniform(300, 3000), noise=0.1, seed=number))
        shutil.copy(path, path.with_name(f"x{number}.wav"))
    done = audiosae.evaluate(audiosae.load_model(trained), tmp_path, "folder", baselines="none")
    assert done.results[0]["accuracy"] < 0.75
    assert any("20 of 40 files are copies" in note for note in done.plan.notes)
