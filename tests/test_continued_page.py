"""The page of a continued survey: what it keeps of the last one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from signals import write

from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.sound_store import SoundStore
from audiosae.views.stored_excerpts import StoredExcerpts
from audiosae.views.survey_events import PageEvents

RATE = 8000
DOMAIN = Spectrogram(sample_rate=RATE, n_fft=256, hop_length=80, n_mels=20)


@pytest.fixture
def sources(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        samples = 0.01 * rng.normal(size=12 * RATE)
        for start in (2, 5, 9):
            samples[start * RATE :][: RATE // 2] += 0.3 * np.sin(np.arange(RATE // 2) * (0.5 + 0.2 * number))
        write(tmp_path / "in" / f"{number}.wav", samples.astype(np.float32), RATE)
    (tmp_path / "in" / "1a.wav").write_text("no sound")
    return scan([tmp_path / "in"], (".wav",), domain="spectrogram")


def test_a_page_encodes_only_sounds_that_the_last_one_did_not_play(sources, tmp_path, monkeypatch):
    corpus = read(DOMAIN, sources, LocalEngine(), cache=tmp_path / "cache", workers=1)
    corpus = corpus.only(corpus.used)
    times = {"record": np.array([0, 1, 2]), "start": np.array([2.0, 5.0, 9.0]), "end": np.array([2.5, 5.5, 9.5])}
    events = SimpleNamespace(**times, low_hz=np.full(3, 500.0), high_hz=np.full(3, 900.0), type=np.ones(3, int))
    (tmp_path / "store").mkdir()

    def pieces(numbers):
        excerpts = StoredExcerpts(DOMAIN, corpus, events, pictures=False)
        excerpts.store = SoundStore(tmp_path / "store")
        return list(excerpts.pieces([excerpts.locate(number)[0] for number in numbers]))

    before = pieces([0, 1])
    encoded = []
    monkeypatch.setattr(StoredExcerpts, "piece", lambda _, part: encoded.append(part.record) or {"fault": "none"})
    assert pieces([1, 2, 0]) == [before[1], {"fault": "none"}, before[0]]
    assert encoded == [2]


def test_new_recordings_do_not_change_the_order_of_the_other_sounds():
    def order(names):
        records = [SimpleNamespace(digest=name) for name in names]
        record = np.repeat(np.arange(len(names)), 40)
        sounds = SimpleNamespace(record=record, start=np.tile(np.arange(40) * 0.7, len(names)))
        page = object.__new__(PageEvents)
        page._survey, page.numbers = SimpleNamespace(sounds=sounds, records=records), np.arange(len(record))
        rank = page._random_order()
        assert sorted(rank.tolist()) == list(range(len(record)))
        chosen = np.argsort(rank)
        return [(names[record[n]], float(sounds.start[n])) for n in chosen]

    before, after = order(["a", "b"]), order(["a", "c", "b"])
    assert [each for each in after if each[0] != "c"] == before
    assert len({name for name, _ in after[:12]}) == 3
