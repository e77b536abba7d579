"""Choice of the training windows: evenly, or most of them from where something stands out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from test_corpus import Grid, field, record
from test_train import learn, same

import audiosae
from audiosae.autoencoder.model import load_model
from audiosae.corpus import selection
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.engine.prominent import prominent_windows
from audiosae.engine.shards import source_key
from audiosae.errors import InputError, PluginError
from audiosae.features.background import background_units
from audiosae.recordings.prominence import stands_out
from audiosae.system.parameters import declaration_of
from audiosae.training.options import TrainOptions
from audiosae.training.sampling import sampled

SECOND = 0.01  # per row


class Loud(Grid):
    """A domain whose rows stand out where their first value is above 5."""

    def stands_out(self, field):
        return field[:, 0] > 5


def loud_corpus(folder, rows=(400, 300, 200), loud=((50, 90), (), (20, 25))):
    """Return a corpus of three records, in two shards, with loud rows."""
    records = []
    for number, (count, span) in enumerate(zip(rows, loud, strict=True)):
        array = field(count, 2, seed=number)
        if span:
            array[slice(*span), 0] = 9
        records.append(record(folder, array, name=str(number)))
    engine = LocalEngine()
    engine.shards = {source_key(each.path): number for each, number in zip(records, (0, 0, 1), strict=True)}
    return EngineCorpus(Loud("8,2", "1,2"), records, engine)


def test_windows_with_a_quarter_of_loud_rows_are_found_in_every_shard(tmp_path):
    corpus = loud_corpus(tmp_path)
    first, second, third = (ranges.tolist() for ranges in prominent_windows(corpus))
    assert first == [[50 - 6, 90 - 2 + 1]]  # two of the eight rows of a window
    assert second == []
    at = 393 + 293
    assert third == [[at + 20 - 6, at + 25 - 2 + 1]]


def test_most_of_the_windows_are_events_and_every_recording_gives_some(tmp_path):
    corpus = loud_corpus(tmp_path, loud=((50, 150), (), (20, 25)))
    events = np.concatenate(prominent_windows(corpus))
    for most in (0, 40):
        part = sampled(corpus, TrainOptions(sample="events", max_windows=most))
        inside = selection.contains(events, part.picked)
        assert len(part) == (most or int(selection.total(events) / 0.85))
        assert inside.sum() == round(0.85 * len(part))
        of_record = np.bincount(part.locate(np.arange(len(part)))[0][~inside])
        assert np.ptp(of_record) <= 1
        assert (np.diff(part.picked) > 0).all()
    assert not np.array_equal(
        part.picked, sampled(corpus, TrainOptions(sample="events", max_windows=40, seed=1)).picked
    )


@pytest.mark.parametrize("loud", [((), (), ()), ((0, 400), (0, 300), (0, 200))])
def test_recordings_without_events_or_full_of_them_can_be_used(tmp_path, loud):
    corpus = loud_corpus(tmp_path, loud=loud)
    part = sampled(corpus, TrainOptions(sample="events", max_windows=100))
    assert len(part) == 100
    everything = sampled(corpus, TrainOptions(sample="events"))
    assert len(everything) == (len(corpus) if loud[0] else len(corpus) // 10)


def test_a_quota_is_equal_as_far_as_the_sizes_allow():
    assert selection.quotas([5, 100, 0, 100], 65) == [5, 30, 0, 30]
    assert selection.quotas([3, 3], 100) == [3, 3]
    assert sum(selection.quotas([10, 10, 10], 10)) == 10


def test_sounds_stand_out_and_steady_noise_does_not():
    rng = np.random.default_rng(0)
    levels = (10 * np.log10(rng.chisquare(8, (9000, 40)))).astype(np.float32) + np.linspace(20, 0, 40, dtype=np.float32)
    assert stands_out(levels, SECOND).mean() < 0.01
    levels[3000:3300, 10:14] += 15
    found = stands_out(levels, SECOND)
    assert found[3000:3300].mean() > 0.95
    assert found.mean() < 0.05
    assert stands_out(levels[:500], SECOND).mean() > 0.5  # too short to distinguish noise from sound


def test_units_of_noise_are_background(tmp_path):
    corpus = loud_corpus(tmp_path, loud=((50, 90), (10, 60), (20, 80)))
    codes = {0: 1.0, 1: -1.0}  # one unit likes loud rows, the other quiet ones, the last is dead
    weights = np.zeros((16, 3), np.float32)
    for unit, sign in codes.items():
        weights[::2, unit] = sign
    model = SimpleNamespace(
        domain=corpus.domain,
        dead=np.array([False, False, True]),
        codes=lambda windows, backend: windows @ weights,
    )
    assert background_units(model, corpus).tolist() == [False, True, False]


def test_other_workers_give_the_same_model(sounds, tmp_path, cache):
    options = {"sample": "events", "max_windows": 600, "epochs": 1}
    learn(sounds, tmp_path / "one", cache, **options)
    learn(sounds, tmp_path / "two", tmp_path / "cache", workers=2, **options)
    assert same(tmp_path / "one", tmp_path / "two")
    assert load_model(tmp_path / "one").facts["options"]["sample"] == "events"


def test_training_states_how_many_units_show_the_background(sounds, trained):
    run = audiosae.train(sounds, hidden=4, epochs=1)
    assert run.model.facts["background_units"] == run.summary["background_units"] <= 4
    assert f"background            {run.summary['background_units']} of 4 units: " in declaration_of(
        audiosae.train
    ).text(run)
    units = load_model(trained).facts["background_units"]
    assert f"| background units | {units}: " in (trained / "README.md").read_text()


def test_a_domain_without_events_is_trained_evenly_or_refused(tmp_path):
    rows = tmp_path / "rows.npy"
    np.save(rows, np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32))
    model = audiosae.train(rows, domain="vectors", hidden=3, epochs=1).model
    assert model.facts["options"]["sample"] == "even"
    assert "background_units" not in model.facts
    with pytest.raises(InputError, match=r"^sample=.events.: the domain vectors does not know what stands out"):
        audiosae.train(rows, domain="vectors", hidden=3, epochs=1, sample="events")


def test_a_domain_with_a_wrong_answer_is_named(tmp_path, monkeypatch):
    corpus = loud_corpus(tmp_path)
    monkeypatch.setattr(Loud, "stands_out", lambda self, field: None)
    with pytest.raises(PluginError, match=r"domain grid: stands_out\(\) returned \(\), wanted 400 truth values"):
        prominent_windows(corpus)
