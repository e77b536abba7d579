"""Pages of survey and find."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import once
from pages import block, decoded, pieces
from PIL import Image
from signals import write
from test_survey_cli import RATE, recording

import audiosae
from audiosae.autoencoder.model import load_model
from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.domain import Span
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import EngineCorpus
from audiosae.errors import InputError
from audiosae.sounds.find_types import find_types
from audiosae.views.excerpts import span_text
from audiosae.views.survey_page import length, write_survey_page

HOSTILE = '</script><script>alert(1)</script>"&,<b>'


@pytest.fixture(scope="module")
def surveyed(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("surveyed")
    for number in range(6):
        write(folder / "in" / f"20240601_{number:02d}0000.wav", recording(number), RATE)
    train = ["train", folder / "in", "-o", folder / "run", "--hidden", 24, "--epochs", 6, "--cache", cache, "-q"]
    once(train, pictures=False)
    (folder / "names.csv").write_text('type,name\n1,"' + HOSTILE.replace('"', '""') + '"\n')
    (folder / "out").mkdir()
    (folder / "out" / "report.html").write_text("the report")
    names = ["--names", folder / "names.csv"]
    once(["survey", folder / "run", folder / "in", "-o", folder / "out", *names, "--cache", cache, "-q"])
    return SimpleNamespace(folder=folder, run=folder / "run", sounds=folder / "in", page=folder / "out" / "index.html")


def test_the_page_has_a_summary_and_a_link_to_the_report(surveyed):
    text = surveyed.page.read_text(encoding="utf-8")
    assert "18 sounds of 3 types were found in 6 recordings (2 min 0 s)." in text
    assert 'href="report.html"' in text
    assert 'href="recordings.png"' in text
    assert (surveyed.page.parent / "recordings.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    cards = re.findall(r'data-kind="(\d)".*?<p class="count">(.*?)</p>', text, re.DOTALL)
    assert cards == [(str(n), "6 sounds") for n in (1, 2, 3)]
    assert all(f'id="{target}"' in text for target in re.findall(r'href="#(.+?)"', text))


@pytest.mark.parametrize("group", ["event", "bout"])
def test_the_page_says_what_a_sound_is_and_how_far_to_trust_it(surveyed, cache, tmp_path, group):
    survey = audiosae.survey(surveyed.run, surveyed.sounds, tmp_path, group_by=group, events="csv", cache=cache)
    text = " ".join(re.sub("<.*?>", " ", (tmp_path / "index.html").read_text(encoding="utf-8")).split())
    events, bouts = len(survey.events), len(survey.bouts)
    assert bouts < events  # the pulses of a tone
    assert f"{events if group == 'event' else bouts} sounds of" in text
    meaning = {
        "event": f"Each sound is one event, such as a syllable or a bark. The {events} events form {bouts} bouts",
        "bout": f"The {bouts} bouts have {events / bouts:.1f} events on average ({events} events in events.csv)",
    }
    assert meaning[group] in text
    assert "Weak sounds, sounds that overlap in time and frequency, and sounds in rain and wind" in text
    assert "Events and bouts: How far to trust events" in text
    assert ("Where a bout begins and ends" in text) == ("events each on average" in text) == (group == "bout")


def test_durations_are_shown_with_as_many_digits_as_they_need():
    lengths = [length(seconds) for seconds in (0, 0.0043, 0.062, 0.1, 4.25, 42.1, 185, 4321)]
    assert lengths == ["0.00 s", "4.3 ms", "62 ms", "0.10 s", "4.25 s", "42.1 s", "3 min 5 s", "1 h 12 min"]
    spans = [span_text(Span((start,), (end,), "s")) for start, end in ((9.5, 9.7), (9.5, 9.5043), (62.3, 62.36))]
    assert spans == ["9.50 s to 9.70 s", "9.500 s to 9.504 s", "1:02.300 to 1:02.360"]


def test_names_are_escaped(surveyed):
    text = surveyed.page.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


def columns(page):
    """Return the columns of the page's sounds, read as its script reads them."""
    events = block(page, "items")["events"]
    kinds = {
        "event": "<u4",
        "record": "<u4",
        "start": "<f8",
        "end": "<f8",
        "type": "<i2",
        "time": "<f8",
        "place": "<u2",
    }
    read = {name: np.frombuffer(base64.b64decode(events[name]), kind) for name, kind in kinds.items()}
    return events | read


def test_every_sound_can_be_played_and_its_excerpt_contains_it(surveyed):
    stored, items, sounds = pieces(surveyed.page), block(surveyed.page, "items"), columns(surveyed.page)
    order = np.frombuffer(base64.b64decode(items["pictures"]["of"]), "<u4")
    assert sorted(order) == [*range(18)]
    assert len(items["played"]) == 18
    assert sorted(sounds["type"][order[:3]]) == [1, 2, 3], "one of each type first"
    for number, which in zip(order, items["played"], strict=True):
        piece = stored[which]
        assert piece["file"] == sounds["files"][sounds["record"][number]]
        assert piece["image"] is None
        assert piece["low"] <= sounds["start"][number] - 0.2
        assert piece["high"] >= sounds["end"][number] + 0.2
        samples, rate = decoded(piece["sound"])
        source, _ = soundfile.read(surveyed.sounds / piece["file"])
        expected = source[round(piece["low"] * RATE) : round(piece["high"] * RATE)]
        assert rate == RATE
        length = min(len(samples), len(expected))
        lags = np.fft.irfft(np.fft.rfft(samples[:length]) * np.conj(np.fft.rfft(expected[:length])))
        assert np.argmax(lags) in {0, 1, len(lags) - 1}


def test_the_pictures_show_their_sounds_on_one_scale(surveyed):
    pictures, sounds = block(surveyed.page, "items")["pictures"], columns(surveyed.page)
    of, at = (np.frombuffer(base64.b64decode(pictures[name]), kind) for name, kind in (("of", "<u4"), ("at", "<u2")))
    left = np.frombuffer(base64.b64decode(pictures["from"]), "<f8")
    (sheet,) = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in pictures["sheets"]]
    assert pictures["shown"] == 18
    for number, (_, x, y, width), begin in zip(of, at.reshape(-1, 4), left, strict=True):
        tile = sheet[y : y + pictures["height"], x : x + width].astype(float)
        during = begin + (np.arange(width) + 0.5) * pictures["pixel"]
        inside = (during > sounds["start"][number]) & (during < sounds["end"][number])
        assert 0 < inside.sum() < width
        assert tile[:, inside].max(axis=0).mean() > 1.5 * tile[:, ~inside].max(axis=0).mean()
    hertz, shares = zip(*pictures["ticks"], strict=True)
    assert list(hertz) == sorted(hertz)
    assert all(0 < low < high < 1 for low, high in pairwise(shares))


def test_labels_and_sites_are_in_the_columns(surveyed, cache, tmp_path):
    model = load_model(surveyed.run)
    records = ingest(model.domain, scan([surveyed.sounds], (".wav",), domain="spectrogram"), cache=cache, workers=1)
    corpus = EngineCorpus(model.domain, records, LocalEngine())
    survey, _ = find_types(model, corpus, count=3)
    page = tmp_path / "page.html"
    write_survey_page(survey, model, corpus, page, labels={4: (HOSTILE, "yes")}, sites=[HOSTILE, *"abcde"])
    events = block(page, "items")["events"]
    assert events["given"] == {"4": [HOSTILE, "yes"]}
    assert events["sites"] == [HOSTILE, *"abcde"]
    assert '<option value="site">' in page.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page.read_text(encoding="utf-8")


def test_hours_that_were_never_recorded_are_one_row(surveyed):
    hours = block(surveyed.page, "items")["hours"]
    assert list(hours) == [f"2024-06-01 {hour}" for hour in range(6)]
    assert all(sum(cell["types"].values()) == 3 for cell in hours.values())
    times = [datetime.fromtimestamp(time, UTC) for time in columns(surveyed.page)["time"].tolist()]
    assert Counter(time.hour for time in times) == dict.fromkeys(range(6), 3)
    text = surveyed.page.read_text(encoding="utf-8")
    assert re.findall(r"(\d+):00</th><td colspan=\"1\">(.*?)</td>", text) == [("6", "18 hours not recorded")]


def test_the_page_of_find_has_the_example_first(surveyed, cache, run, tmp_path):
    like = f"{surveyed.sounds}/20240601_000000.wav@9-9.6"
    out = tmp_path / "found.html"
    arguments = ["find", surveyed.run, surveyed.sounds, "--like", like, "-n", 4, "--cache", cache, "-o", out]
    code, text, _ = run(*arguments, "--json")
    query, *matches = block(out, "items")
    assert code == 0
    assert (query[0]["from"], query[0]["to"]) == ([9.0], [9.6])
    assert [w["from"][0] for (w,) in matches] == pytest.approx(
        [m["start"] for m in json.loads(text)["matches"]], abs=1e-3
    )
    out.write_text("mine")
    assert run(*arguments)[0] == 1
    assert out.read_text() == "mine"


def test_progress_counts_files_and_then_excerpts_of_the_page(surveyed, cache, run, tmp_path):
    like = f"{surveyed.sounds}/20240601_000000.wav@9-9.6"
    out = tmp_path / "found.html"
    _, _, err = run("find", surveyed.run, surveyed.sounds, "--like", like, "-n", 9, "--cache", cache, "-o", out)
    (searching,) = [line for line in err.splitlines() if line.startswith("searching")]
    assert searching.startswith("searching: 6 of 6 files")
    assert "page: 10 of 10 moments" in err


def test_annotation_tables_of_the_user_are_not_replaced(surveyed, cache, run, tmp_path):
    (tmp_path / "events.raven").mkdir()
    (tmp_path / "events.raven" / "mine.selections.txt").write_text("mine")
    code, _, err = run("survey", surveyed.run, surveyed.sounds, "-o", tmp_path, "--events", "raven", "--cache", cache)
    assert code == 1
    assert "audiosae did not write it" in err
    assert (tmp_path / "events.raven" / "mine.selections.txt").read_text() == "mine"


@pytest.mark.parametrize("existing", [False, True], ids=["a new folder", "an earlier survey"])
def test_an_interrupted_survey_changes_nothing(surveyed, cache, tmp_path, monkeypatch, existing):
    out = tmp_path / "out"
    options = {"cache": cache, "events": "csv,raven"}
    if existing:
        audiosae.survey(surveyed.run, surveyed.sounds, out, types=2, **options)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("audiosae.commands.survey.write_survey_page", interrupt)
    with pytest.raises(KeyboardInterrupt):
        audiosae.survey(surveyed.run, surveyed.sounds, out, **options)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert out.exists() == existing
    monkeypatch.undo()
    audiosae.survey(surveyed.run, surveyed.sounds, out, events="csv", cache=cache)
    assert not any((out / "events.raven").glob("*"))
    assert (out / "events.csv").is_file()
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []


def test_a_small_page_has_fewer_examples_and_a_note(surveyed, cache, tmp_path):
    model = load_model(surveyed.run)
    records = ingest(model.domain, scan([surveyed.sounds], (".wav",), domain="spectrogram"), cache=cache, workers=1)
    corpus = EngineCorpus(model.domain, records, LocalEngine())
    survey, _ = find_types(model, corpus, count=3)
    size = surveyed.page.stat().st_size * 7 // 10
    facts = write_survey_page(survey, model, corpus, tmp_path / "page.html", size=size)
    assert (tmp_path / "page.html").stat().st_size == facts["bytes"] <= size
    assert 0 < facts["examples"] < facts["examples_there"] == 18
    note = f"Of the 18 sounds on this page, {facts['examples']} can be played and {facts['pictures']} have a picture."
    assert note in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="the 3 types alone need"):
        write_survey_page(survey, model, corpus, tmp_path / "page.html", size=1000)
