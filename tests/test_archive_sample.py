"""Long archives: training reads stretches that are drawn evenly before anything but headers is read."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import numpy as np
import pytest
from signals import tone, write

import audiosae
from audiosae.commands.train_sample import share_line
from audiosae.corpus.archive_sample import Archive
from audiosae.corpus.fields import read_field
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.domain import Domain, Probe
from audiosae.features.summary import activity_of, summarise
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.parameters import declaration_of
from audiosae.system.progress import Progress
from audiosae.training.options import TrainOptions
from audiosae.training.sampling import suited_to_sample, windows_to_read
from audiosae.views.model_card import model_card_text

RATE = 8000
DOMAIN = Spectrogram(sample_rate=RATE).resolve([])
START = datetime(2024, 5, 1)  # noqa: DTZ001 (local time of a recorder)


@dataclass(frozen=True)
class Stated(Domain):
    """Files that state their number of rows; nothing else of them is read here."""

    name: ClassVar[str] = "spectrogram"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    unit: ClassVar[str] = "s"
    window = (4, 1)
    stretch = 100

    def probe(self, path):
        rows = int(path.read_text().split()[0])
        return Probe(6.0 * rows, rows)


def archive(folder, rows):
    sources = []
    for number, count in enumerate(rows):
        path = folder / f"{number:04d}.txt"
        path.write_text(f"{count} {number}")
        sources.append(Source(path.name, path))
    return Archive.of(Stated(), sources, Progress())


def total(sources, rows):
    return sum(sum(high - low for low, high in s.stretches) or rows[int(s.path.stem)] for s in sources)


def test_stretches_are_spread_evenly_over_files_days_and_hours(tmp_path):
    rows = [600] * 240  # of an hour each, ten days
    starts = [START + timedelta(hours=number) for number in range(240)]
    drawn = archive(tmp_path, rows).drawn(4800, seed=3, starts=starts)
    assert total(drawn, rows) == pytest.approx(4800, rel=0.05)
    numbers = [int(source.path.stem) for source in drawn for _ in source.stretches]
    assert set(Counter(number // 24 for number in numbers).values()) <= {4, 5, 6}  # days
    hours = Counter(
        (starts[number] + timedelta(minutes=6 * low / 60)).hour
        for number, low in zip(numbers, (low for source in drawn for low, _ in source.stretches), strict=True)
    )
    assert len(hours) == 24
    assert max(hours.values()) <= 3
    assert {high - low for source in drawn for low, high in source.stretches} == {100}
    again, other = (archive(tmp_path, rows).drawn(4800, seed=seed, starts=starts) for seed in (3, 4))
    assert again == drawn != other


def test_short_files_are_drawn_whole_and_broken_ones_are_kept_to_be_reported(tmp_path):
    rows = [50] * 40 + [0, 1]
    made = archive(tmp_path, rows)
    (tmp_path / "0003.txt").write_text("no number")
    drawn = Archive.of(Stated(), made.sources, Progress()).drawn(500, seed=0)
    assert {source.stretches for source in drawn} == {()}
    assert {"0003.txt", "0041.txt"} <= {source.name for source in drawn}
    assert total([s for s in drawn if s.name != "0003.txt"], rows) == pytest.approx(500, rel=0.15)


def test_copies_of_a_recording_are_one_source(tmp_path):
    rows = [300] * 6
    made = archive(tmp_path, rows)
    for number in (2, 4):
        shutil.copy(tmp_path / "0001.txt", tmp_path / f"000{number}.txt")
    names = {source.name for source in made.drawn(1200, seed=0)}
    assert len(names & {"0001.txt", "0002.txt", "0004.txt"}) <= 1
    assert len(names) > 2


def test_an_archive_that_fits_is_read_whole_and_few_headers_are_read(tmp_path, monkeypatch):
    made, read = archive(tmp_path, [100] * 300), []
    monkeypatch.setattr(Stated, "probe", lambda _, path: read.append(path) or Probe(1.0, 100))
    assert Archive.larger_than(10**6, Stated(), made.sources, Progress()) is None
    assert len(read) <= 64
    assert Archive.larger_than(10**4, Stated(), made.sources, Progress()).windows == 300 * 97


def test_two_kinds_of_files_in_turn_are_both_probed(tmp_path):
    made = archive(tmp_path, [10, 1000] * 128)  # their sizes tell nothing
    assert Archive.larger_than(10**5, Stated(), made.sources, Progress()) is not None


@pytest.mark.parametrize(("rate", "error"), [(RATE, 1e-3), (11025, 3.0)])
def test_a_part_has_the_levels_of_the_whole(tmp_path, rate, error):
    path = write(tmp_path / "a.wav", tone(5.0, rate=rate, seed=1), rate)
    whole = np.concatenate(list(DOMAIN.field(path)))
    for low, high in ((0, 100), (120, 333), (400, 900)):
        part = np.concatenate(list(DOMAIN.part(path, low, high)))
        assert part.shape == whole[low:high].shape
        assert np.abs(part - whole[low:high])[:-4].mean() < error


def test_no_window_reaches_from_one_stretch_to_the_next(tmp_path):
    path = write(tmp_path / "a.wav", tone(6.0, seed=1), RATE)
    stretches = ((0, 100), (100, 220), (300, 400), (900, 950))
    whole, some = (
        ingest(DOMAIN, [Source("a.wav", path, stretches=each)], cache=tmp_path / "cache", workers=1)[0]
        for each in ((), stretches)
    )
    assert some.ranges == ((0, 100), (100, 220), (220, 320))
    assert some.stretches == stretches
    assert some.reason == "1 of 4 drawn parts left out: no samples at 9.0 s"
    level = np.asarray(read_field(whole))[:100] - np.asarray(read_field(some))[:100]
    assert level.std() < 0.2  # but for the step of the cache, they differ by the mean level
    assert some.digest != whole.digest


@pytest.fixture
def long_archive(tmp_path):
    """Two recordings of three minutes."""
    for number in range(2):
        write(tmp_path / "in" / f"2024010{number + 1}_100000.wav", tone(180.0, seed=number), RATE)
    return tmp_path / "in"


def test_training_reads_a_part_of_a_long_archive_and_says_so(long_archive, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.training.sampling._READ", 18000)
    options = {"hidden": 3, "epochs": 1}
    run, two = (
        audiosae.train(long_archive, max_windows=15000, workers=n, cache=tmp_path / f"{n}", **options) for n in (1, 2)
    )
    assert run.model.facts["archive"] == {"sources": 2, "windows": 35972, "extent": 360.0, "drawn": 180.01}
    assert run.model.facts["sources"]["extent"] == pytest.approx(180, abs=1)
    text = declaration_of(audiosae.train).text(run)
    assert "sample                0.1 of 0.1 h (50 %), spread over 2 of 2 sources; --max-windows 0 reads all" in text
    assert dict(summarise(run.model, activity_of(run.model)))["sample"] == "50 % of 2 sources"
    assert "| drawn from | 2 files with 360 s, of which 50 % was read |" in model_card_text(run.model)
    assert run.model.params.flat.tobytes() == two.model.params.flat.tobytes()
    assert windows_to_read(TrainOptions(max_windows=0)) == 0


def test_others_are_drawn_in_place_of_damaged_recordings(tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.training.sampling._READ", 12000)
    rows = [300] * 40
    made = archive(tmp_path, rows)
    first = made.drawn(1200, seed=0)
    damaged = {source.location: total([source], rows) for source in first[:3]}
    second = made.drawn(1200, seed=0, lost=damaged)
    added = [source for source in second if source not in first]
    assert {source.name for source in first} <= {source.name for source in second}
    assert not damaged.keys() & {source.location for source in added}
    assert total(second, rows) - total(first, rows) == pytest.approx(sum(damaged.values()), rel=0.2)

    for number in range(4):
        path = write(tmp_path / "in" / f"{number}.flac", tone(60.0, seed=number), RATE)
        if not number:
            path.write_bytes(path.read_bytes()[:2000])
    run = audiosae.train(tmp_path / "in", max_windows=12000, hidden=3, cache=tmp_path / "cache")
    assert [record.file for record in run.skipped] == ["0.flac"]
    assert run.model.facts["sources"]["extent"] == pytest.approx(run.model.facts["archive"]["drawn"], rel=0.02)
    assert "1 source of the sample cannot be read, or not wholly: others were drawn" in run.notes
    assert {"epochs": 1, "learning_rate": 0.0075}.items() <= run.model.facts["options"].items()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, (1, 0.0075)),
        ({"epochs": None, "learning_rate": None, "max_windows": 10**6}, (1, 0.0075)),
        ({"epochs": 3}, (3, 0.003)),
        ({"learning_rate": 0.003}, (0, 0.003)),
        ({"max_windows": 200_000}, (0, 0.003)),
        ({"solver": "lbfgs"}, (0, 0.003)),
        ({"decoder": "sigmoid"}, (0, 0.003)),
    ],
)
def test_a_sample_is_learned_in_one_pass_at_a_higher_rate(given, found):
    options = suited_to_sample(TrainOptions.resolve(DOMAIN.defaults, given, domain="spectrogram"), given)
    assert (options.epochs, options.learning_rate) == found


def test_the_share_states_what_damaged_recordings_took_from_the_sample():
    facts = {"sources": 3, "windows": 10**7, "extent": 100 * 3600.0, "drawn": 4 * 3600.0}
    assert share_line(facts, 2, 3 * 3600.0, "s").startswith("3.0 of 100.0 h (3 %), 1.0 h less than drawn, as some")
    assert share_line(facts, 3, 3.99 * 3600.0, "s").startswith("4.0 of 100.0 h (4 %), spread over 3 of 3 sources")
    assert ", 0.01 h less than drawn" in share_line(facts | {"drawn": 60.0}, 3, 24.0, "s")
