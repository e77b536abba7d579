"""Pages of survey and find."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shlex
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import once
from pages import block, decoded, pieces, serious_faults
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
from audiosae.sounds.events import Events
from audiosae.sounds.examples import Example
from audiosae.sounds.find_types import find_types
from audiosae.sounds.labeller import Examples, predict
from audiosae.sounds.results import MapPoints
from audiosae.views.excerpts import span_text
from audiosae.views.survey_events import _folder
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


def found(surveyed, cache):
    """Return the survey of the recordings again, with its model and corpus."""
    model = load_model(surveyed.run)
    records = ingest(model.domain, scan([surveyed.sounds], (".wav",), domain="spectrogram"), cache=cache, workers=1)
    corpus = EngineCorpus(model.domain, records, LocalEngine())
    survey, _ = find_types(model, corpus, count=3)
    return survey, model, corpus


def test_the_page_has_a_summary_and_a_link_to_the_report(surveyed):
    text = surveyed.page.read_text(encoding="utf-8")
    assert "18 sounds of 3 types were found in 6 recordings (2 min 0 s)." in text
    assert 'href="report.html"' in text
    lines = base64.b64encode((surveyed.page.parent / "recordings.png").read_bytes()).decode()
    assert f'src="data:image/png;base64,{lines}"' in text, "the page can be sent without the folder"
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
    read = {name: np.frombuffer(base64.b64decode(events[name]), kind) for name, kind in kinds.items() if events[name]}
    return events | read


@pytest.mark.parametrize(
    ("folder", "paths"),
    [
        ("june", {"june/a/x.wav": "a/x.wav", "june/y.wav": "y.wav"}),
        ("", {"/home/me/june/x.wav": "x.wav"}),
        ("", {"C:\\june\\x.wav": "x.wav"}),
        (None, {"june/x.wav": "june/x.wav", "/may/y.wav": "/may/y.wav"}),
    ],
)
def test_the_folder_of_the_recordings_is_on_the_page_unless_it_tells_of_a_machine(folder, paths):
    records = [SimpleNamespace(path=path, file=file) for path, file in paths.items()]
    assert _folder(SimpleNamespace(records=records)) == folder


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


def test_a_sample_of_the_sounds_is_on_the_page_with_labels_and_sites(surveyed, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.sounds.event_map.MOST", 4)
    monkeypatch.setattr("audiosae.sounds.event_map._EXTREME", 1)
    survey, model, corpus = found(surveyed, cache)
    page, best = tmp_path / "page.html", survey.types[1].exemplar
    answers = list(survey.labels.answers)
    answers[best] = replace(answers[best], label=HOSTILE, answer="yes", type=3)
    labels = replace(survey.labels, answers=tuple(answers))
    survey = replace(survey, labels=labels, sites=[HOSTILE, *"abcde"])
    facts = write_survey_page(survey, model, corpus, page)
    sounds, text = columns(page), page.read_text(encoding="utf-8")
    numbers = sounds["event"].tolist()
    assert 6 <= len(numbers) == facts["sounds"] < 18
    assert {kind.exemplar + 1 for kind in survey.types} <= {*numbers}
    assert f"This page has {len(numbers)} of the 18 sounds" in text
    assert sounds["start"].tolist() == [round(survey.event(number - 1).start, 4) for number in numbers]
    assert sounds["given"] == {str(numbers.index(best + 1)): [HOSTILE, "yes"]}
    assert sounds["type"][numbers.index(best + 1)] == 3
    assert sounds["sites"] == [HOSTILE, *"abcde"]
    assert '<option value="site">' in text
    assert "<script>alert(1)" not in text


@pytest.fixture(scope="module")
def labelled(surveyed, cache, tmp_path_factory):
    """Return the page of a survey with sites and labels: three of four sounds have one, and one is not of interest."""
    folder = tmp_path_factory.mktemp("labelled")
    with (surveyed.page.parent / "labels.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    for number, row in enumerate(rows):
        row[5] = "-" if number == 5 else "" if number % 4 == 0 else {"1": HOSTILE, "2": "two", "3": "three"}[row[4]]
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    options = {"labels": folder / "labels.csv", "site": r"(?P<site>[12])0000\.", "types_from": surveyed.page.parent}
    audiosae.survey(surveyed.run, surveyed.sounds, folder / "out", events="csv", cache=cache, **options)
    return SimpleNamespace(page=folder / "out" / "index.html", rows=rows)


def test_labels_are_on_the_page_and_sounds_of_no_interest_can_be_restored(labelled):
    sounds, text = columns(labelled.page), labelled.page.read_text(encoding="utf-8")
    given = {str(number): [row[5], ""] for number, row in enumerate(labelled.rows) if row[5]}
    assert sounds["given"] == given
    assert [str(number) for number in sounds["type"]] == [row[4] for row in labelled.rows]
    assert "17 sounds of 3 types were found in 6 recordings" in text
    assert "Sounds that are not of interest, which no count includes: 1." in text
    assert [int(count) for count in re.findall(r'<p class="count">(\d+) sounds</p>', text)].count(5) == 1
    names = [sounds["names"][i] for i in np.frombuffer(base64.b64decode(sounds["classified"]), "<i4")]
    expected = {"1": HOSTILE, "2": "two", "3": "three"}
    assert [names[number] for number in range(0, 18, 4)] == [expected[row[4]] for row in labelled.rows[::4]]
    confidence = np.frombuffer(base64.b64decode(sounds["confidence"]), "<f4")
    assert [*np.flatnonzero(confidence < 1)] == [*range(0, 18, 4)]
    sites = re.search(r'aria-label="Table of sites".*?</table>', text, re.DOTALL).group()
    assert re.findall(r'scope="row">(?:<a .*?>)?(\d)<.*?<td>1</td><td>0.01</td><td>(\d)</td>', sites) == [
        ("1", "2"),
        ("2", "3"),
    ]
    assert "<script>alert(1)" not in text


def test_hours_that_were_never_recorded_are_one_row(surveyed):
    hours = block(surveyed.page, "items")["hours"]["cells"]
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
    query, matches = block(out, "items").values()
    assert code == 0
    assert [(w["from"], w["to"], w["liked"]) for w in query] == [([9.0], [9.6], True)]
    assert [w["time"][:14] for w in matches] == [
        f"2024-06-01 {int(m['file'][9:11]):02d}:" for m in json.loads(text)["matches"]
    ]
    assert [w["from"][0] for w in matches] == pytest.approx([m["start"] for m in json.loads(text)["matches"]], abs=1e-3)
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
    survey, model, corpus = found(surveyed, cache)
    size = surveyed.page.stat().st_size * 7 // 10
    facts = write_survey_page(survey, model, corpus, tmp_path / "page.html", size=size)
    assert (tmp_path / "page.html").stat().st_size == facts["bytes"] <= size
    assert 0 < facts["examples"] < facts["examples_there"] == 18
    note = f"Of the 18 sounds on this page, {facts['examples']} can be played and {facts['pictures']} have a picture."
    assert note in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="the 3 types alone need"):
        write_survey_page(survey, model, corpus, tmp_path / "page.html", size=1000)


def saved(tab, button, path):
    """Click a button that saves a table; return the rows of the table."""
    with tab.expect_download() as download:
        tab.click(button)
    download.value.save_as(path)
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.reader(file)]


def shown(tab):
    """Return the numbers of the sounds in the grid, from 0."""
    return tab.eval_on_selector_all("#grid .cell", "all => all.map((each) => Number(each.dataset.sound))")


@pytest.mark.browser
def test_names_entered_on_the_page_are_saved_as_a_table(surveyed, see, tmp_path):
    from audiosae.autoencoder.model import FILE
    from audiosae.sounds.sound_types import load_types
    from audiosae.sounds.type_names import read_names
    from audiosae.system.files import file_digest

    tab = see(surveyed.page)
    tab.fill("input[data-type='2']", 'a "song", loud')
    assert 'a "song", loud' in tab.inner_text("#kind-2")
    assert 'a "song", loud' in tab.inner_text("#legend")
    saved(tab, "#save-names", tmp_path / "names.csv")
    names = read_names(tmp_path / "names.csv")
    types = load_types(surveyed.page.parent, file_digest(surveyed.run / FILE))
    assert names.of == {1: HOSTILE, 2: 'a "song", loud'}
    assert names.types == types.digest


@pytest.mark.browser
def test_labels_survive_undo_redo_and_a_reload_and_are_saved(surveyed, see, tmp_path):
    tab, sounds = see(surveyed.page), columns(surveyed.page)
    tab.click("#every")
    tab.select_option("#order", "time")
    assert shown(tab) == [*range(18)]
    picks = tab.locator("#grid .pick")
    picks.nth(2).click()
    picks.nth(5).click(modifiers=["Shift"])
    assert tab.inner_text("#name-them") == "Name 4 sounds"
    tab.evaluate("""() => {
      for (let number = 0; number < 40; number += 1) {
        document.getElementById("label").value = `=kind ${number}`;
        document.getElementById("naming").requestSubmit();
      }
    }""")
    tab.locator("#map").focus()
    for _ in range(40):
        tab.keyboard.press("Control+z")
    assert tab.is_disabled("#undo")
    assert "=kind" not in tab.inner_text("#grid")
    for _ in range(40):
        tab.keyboard.press("Control+y")
    tab.click("#none")
    picks.nth(0).click()
    tab.click("#reject")
    tab.reload()
    rows = saved(tab, "#save", tmp_path / "labels.csv")
    assert rows[0] == ["event", "file", "start", "end", "type", "label", "answer"]
    labels = {0: "-"} | dict.fromkeys(range(2, 6), "'=kind 39")
    for number, row in enumerate(rows[1:]):
        file, times = sounds["files"][sounds["record"][number]], (sounds["start"][number], sounds["end"][number])
        assert (row[0], row[1]) == (str(number + 1), file)
        assert (float(row[2]), float(row[3])) == times
        assert row[4:] == [str(sounds["type"][number]), labels.get(number, ""), ""]


@pytest.mark.browser
def test_types_are_merged_and_split_and_new_ones_are_numbered_without_gaps(surveyed, see, tmp_path):
    tab, sounds = see(surveyed.page), columns(surveyed.page)
    tab.locator("[data-kind='1'] [data-do='split']").click()
    tab.locator("[data-kind='2'] [data-do='split']").click()
    assert tab.locator("[data-kind]").count() == 5
    fourth = int(tab.inner_text("[data-kind='4'] .count").split()[0])
    tab.locator("[data-kind='4'] [data-merge]").select_option("1")  # type 4 is gone: 5 is saved as 4
    tab.locator("[data-kind='3'] [data-merge]").select_option("1")
    assert tab.locator("[data-kind]:visible").count() == 3
    assert 1 <= fourth <= 3
    rows = saved(tab, "#save", tmp_path / "labels.csv")[1:]
    types = np.array([int(row[4]) for row in rows])
    assert set(types[sounds["type"] == 3]) == {1}
    assert set(types[sounds["type"] == 1]) == {1}
    assert set(types[sounds["type"] == 2]) == {2, 4}
    assert 1 <= (types == 4).sum() <= 3


@pytest.mark.browser
def test_the_map_plays_what_is_clicked_and_selects_a_rectangle(surveyed, see):
    items, stored = block(surveyed.page, "items"), pieces(surveyed.page)
    tab = see(surveyed.page)
    noted = "window.heard = []; HTMLMediaElement.prototype.play = async function () { heard.push(this.src); };"
    tab.evaluate(f"() => {{ {noted} }}")
    box, at = places(tab, surveyed.page)
    order = np.frombuffer(base64.b64decode(items["pictures"]["of"]), "<u4").tolist()
    alone = [n for n in range(18) if np.sort(np.abs(at - at[n]).max(axis=1))[1] > 4]
    assert len(alone) > 9
    for number in alone[:5]:
        tab.mouse.click(*at[number])
        assert f"sound {number + 1}," in tab.inner_text("#pointed")
    expected = [stored[items["played"][order.index(number)]]["sound"] for number in alone[:5]]
    assert tab.evaluate("heard") == expected
    tab.mouse.move(box["x"] + 2, box["y"] + 2)
    tab.mouse.down()
    corner = box["x"] + box["width"] / 2, box["y"] + box["height"] - 2
    tab.mouse.move(*corner, steps=3)
    tab.mouse.up()
    assert sorted(shown(tab)) == sorted(np.flatnonzero(at[:, 0] < corner[0]).tolist())
    tab.locator("#map").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    assert tab.get_attribute("#pointed", "role") == "status"
    assert len(tab.evaluate("heard")) == 6


def places(tab, page):
    """Scroll to the map; return where it is, (left, top, width, height), and where each sound is on it, (sounds, 2)."""
    tab.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    # below its place when the page is scrolled further, where a longer grid would move it to
    tab.evaluate("scrollBy(0, document.getElementById('map').getBoundingClientRect().y - 200)")
    box = tab.locator("#map").bounding_box()
    place = columns(page)["place"].reshape(-1, 2) / 65535
    size = np.array([box["width"], box["height"]])
    return box, np.array([box["x"], box["y"]]) + 11 + place * (size - 22)


def touched(tab, *fingers):
    """Move fingers on a touch screen, each from its first position to its last."""
    session = tab.context.new_cdp_session(tab)
    for step in range(len(fingers[0])):
        points = [{"x": finger[step][0], "y": finger[step][1], "id": i} for i, finger in enumerate(fingers)]
        kind = "touchMove" if step else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.browser
def test_a_lasso_selects_and_the_map_is_enlarged_with_keys_wheel_and_fingers(surveyed, see):
    tab = see(surveyed.page, has_touch=True)
    box, at = places(tab, surveyed.page)
    corner, size = np.array([box["x"], box["y"]]), np.array([box["width"], box["height"]])
    alone = [n for n in range(18) if np.sort(np.abs(at - at[n]).max(axis=1))[1] > 4]
    centre = at[next(n for n in alone if (np.minimum(at[n] - corner, corner + size - at[n]) > 70).all())]

    def lasso(*corners):
        tab.mouse.move(*corners[0])
        tab.mouse.down()
        for corner in corners[1:]:
            tab.mouse.move(*corner, steps=3)
        tab.mouse.up()
        return sorted(shown(tab))

    tab.select_option("#drag", "lasso")
    left, top, right, bottom = box["x"] + 2, box["y"] + 2, box["x"] + box["width"] - 2, box["y"] + box["height"] - 2
    slope = (bottom - top) / (right - left)
    below = np.flatnonzero(at[:, 1] - top > slope * (at[:, 0] - left))
    assert 0 < len(below) < 18
    assert lasso((left, top), (right, bottom), (left, bottom)) == below.tolist()

    def seen():
        return lasso((left, top), (right, top), (right, bottom), (left, bottom))

    for how in ("keys", "wheel", "fingers"):
        tab.locator("#map").press("0")
        assert seen() == [*range(18)]
        tab.mouse.move(*centre)
        if how == "wheel":
            tab.keyboard.down("Control")
            tab.mouse.wheel(0, -60)
            tab.keyboard.up("Control")
        elif how == "fingers":
            ends = (centre - [30, 0], centre - [45, 0], centre - [60, 0])
            touched(tab, ends, [2 * centre - end for end in ends])
        else:
            tab.mouse.click(*centre)
            tab.keyboard.press("+")
            tab.keyboard.press("+")
        factor = 2.25 if how == "keys" else 2
        tab.wait_for_timeout(50)
        moved = centre + factor * (at - centre) - corner
        expected = np.flatnonzero(((moved > 2) & (moved < size - 2)).all(axis=1)).tolist()
        assert 0 < len(expected) < 18
        assert seen() == expected, how
    tab.locator("#map").press("Shift+ArrowRight")
    moved -= [size[0] / 8, 0]
    assert seen() == np.flatnonzero(((moved > 2) & (moved < size - 2)).all(axis=1)).tolist()


def searched(tab, folder):
    """Return the example of the command that the larger view shows for recordings in a folder."""
    tab.fill("#box-folder", str(folder))
    command = shlex.split(tab.inner_text("#box-command"))
    assert command[:4] == ["audiosae", "find", "MODEL", str(folder)]
    return Example.parse(command[command.index("--like") + 1])


@pytest.mark.browser
def test_a_box_on_the_larger_view_is_told_and_gives_the_command_of_find(surveyed, see):
    tab, sounds = see(surveyed.page, has_touch=True), columns(surveyed.page)
    hertz = np.frombuffer(base64.b64decode(sounds["hz"]), "<u4").reshape(-1, 2)
    tab.evaluate("() => { window.told = []; document.addEventListener('audiosae:box', (e) => told.push(e.detail)); }")
    tab.click("[data-cell='2024-06-01 1']")
    tab.locator("#hour button").last.click()
    tab.select_option("#order", "time")
    tab.locator("#grid .cell[data-sound='4'] .pick").press("e")
    tab.wait_for_function("document.getElementById('view-cursor').dataset.from")
    start, seconds = (float(tab.get_attribute("#view-cursor", f"data-{name}")) for name in ("from", "seconds"))
    box = tab.locator("#view-canvas").bounding_box()
    left, right = box["x"] + 56, box["x"] + box["width"] - 8
    x = [left + (right - left) * (sounds[edge][4] - start) / seconds for edge in ("start", "end")]
    share = tab.evaluate("(all) => all.map(frequencyAxis(readSounds().scale.bands).share)", hertz[4].tolist())
    y = [box["y"] + 320 * (1 - each) for each in share]
    middle = (y[0] + y[1]) / 2 - box["y"] - 2
    row = tab.evaluate(
        """([top, width]) => Array.from(
          document.getElementById("view-canvas").getContext("2d").getImageData(0, top, width, 1).data)""",
        [round(middle), round(box["width"])],
    )
    brightness = np.reshape(row, (-1, 4))[:, :3].mean(axis=1)
    first, last = (round(each - box["x"]) for each in x)
    assert brightness[first:last].mean() > 2 * brightness[58 : first - 4].mean(), "the sound is where the axes say"
    tab.mouse.move(x[0], y[1])
    tab.mouse.down()
    tab.mouse.move(x[1], y[0], steps=2)
    tab.mouse.up()
    # 100 to 200 pixels from the left edge
    touched(tab, [(left + 100, box["y"] + 50), (left + 150, box["y"] + 90), (left + 200, box["y"] + 120)])
    tab.locator("#view-canvas").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    tab.fill("#box-start", str(round(start, 2)))
    tab.keyboard.press("Tab")
    drawn, touch, moved, longer, typed = tab.evaluate("told")
    file = sounds["files"][sounds["record"][4]]
    assert {each["recording"] for each in (drawn, touch, moved, longer, typed)} == {file}
    pixel = seconds / (right - left)
    assert (drawn["start"], drawn["end"]) == pytest.approx((sounds["start"][4], sounds["end"][4]), abs=2 * pixel)
    assert (drawn["low"], drawn["high"]) == pytest.approx(hertz[4].tolist(), rel=0.1)
    assert (touch["start"], touch["end"]) == pytest.approx((start + 100 * pixel, start + 200 * pixel), abs=2 * pixel)
    assert moved["start"] - touch["start"] == pytest.approx(seconds / 100, abs=2e-4)
    assert (longer["start"], typed["start"]) == (moved["start"], round(start, 2))
    assert longer["end"] > moved["end"]
    found = searched(tab, surveyed.sounds)
    assert found.path == surveyed.sounds / file
    assert [found.start, found.end, found.low_hz, found.high_hz] == [typed[k] for k in ("start", "end", "low", "high")]
    tab.fill("#view-label", "frog")
    tab.keyboard.press("Enter")
    tab.click("#view-next")
    assert "frog" not in tab.inner_text("#view-about")
    tab.keyboard.press("Escape")
    assert tab.inner_text("#grid").count("frog") == 1


@pytest.mark.browser
def test_every_player_plays_the_stretch_of_its_recording_in_the_browser(surveyed, see):
    tab, sounds = see(surveyed.page), columns(surveyed.page)
    heard = tab.evaluate(
        """async (rate) => {
          const sounds = readSounds(), source = soundSource(sounds), found = [];
          for (const n of sounds.event.keys()) {
            const { url, from } = await source.sound(n);
            const bytes = Uint8Array.from(atob(url.split(",")[1]), (c) => c.charCodeAt(0)).buffer;
            const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
            found.push([from, Array.from(decoded.getChannelData(0), (value) => Math.round(1000 * value))]);
          }
          return found;
        }""",
        RATE,
    )
    assert len(heard) == 18
    for number, (start, samples) in enumerate(heard):
        source, _ = soundfile.read(surveyed.sounds / sounds["files"][sounds["record"][number]])
        first, size = round(start * RATE), len(samples)
        expected = np.resize(source[first : first + size], size)
        lags = np.fft.irfft(np.fft.rfft(samples) * np.conj(np.fft.rfft(expected)), size)
        assert np.argmax(lags) == 0, number


@pytest.mark.browser
def test_the_queue_takes_names_with_keys_and_they_survive_a_survey(surveyed, see, cache, tmp_path):
    tab = see(surveyed.page)
    tab.locator("#queue-heading").focus()
    given = {}

    def asked():
        return int(tab.get_attribute("#queued", "data-sound")) + 1

    for number in range(12):
        name = "frog" if number % 2 else "hen"
        given[asked()] = name
        if number < 2:
            tab.keyboard.press("l")
            tab.keyboard.type(name)
            tab.keyboard.press("Enter")
        else:
            tab.keyboard.press(str(2 + number % 2))  # 1: the name of a type
    assert "12 sounds of 18 answered" in tab.inner_text("#queued")
    last = [*given][-1]
    tab.keyboard.press("Control+z")
    assert asked() == last, "it is asked again"
    tab.keyboard.press("s")
    assert asked() != last
    saved(tab, "#save", tmp_path / "labels.csv")
    del given[last]
    tab.locator("input[data-type='2']").press_sequentially("owl")
    assert tab.locator("#queue-labels button").all_inner_texts() == [f"{HOSTILE} 1", "hen 2", "frog 3", "owl 4"]
    labels = {"labels": tmp_path / "labels.csv", "types_from": surveyed.page.parent, "events": "csv", "cache": cache}
    audiosae.survey(surveyed.run, surveyed.sounds, tmp_path / "out", **labels)
    sounds = columns(tmp_path / "out" / "index.html")
    assert {sounds["event"][int(n)]: label for n, (label, _) in sounds["given"].items()} == given


@pytest.mark.browser
def test_with_enough_labels_the_least_certain_sound_is_asked_as_by_the_survey(surveyed, see):
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (60, 6))
    points = (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32)
    known, label = rng.permutation(60)[:40], rng.integers(0, 3, 60)
    open_ = np.setdiff1d(np.arange(60), known)
    found = predict(points[open_], Examples(points[known], label[known], np.zeros(40, np.intp)), 3)
    ordered = np.sort(np.log(found.probability), axis=1)
    expected = open_[np.argsort(ordered[:, -1] - ordered[:, -2])]
    labels = [f"kind {label[n]}" if n in known else "" for n in range(60)]
    ask = """([codes, labels, open]) => nextQuestions(
      { codes: 6, code: Int8Array.from(codes), count: 60, event: labels, ask: [] },
      { now: { label: labels, answer: labels.map(() => "") } })(open)"""
    assert see(surveyed.page).evaluate(ask, [codes.ravel().tolist(), labels, open_.tolist()]) == expected.tolist()


@pytest.mark.browser
def test_answers_give_the_precision_of_a_type_from_random_sounds_only(surveyed, see, tmp_path):
    tab = see(surveyed.page)
    tab.locator("[data-kind='2'] [data-do='listen']").click()
    tab.select_option("#queue-kind", "nearest")
    tab.click("[data-answer='other']")
    tab.select_option("#queue-kind", "random")
    tab.locator("#queue-heading").focus()
    for key in "yyyn":
        tab.keyboard.press(key)
    tab.click("[data-answer='yes']")
    text = tab.inner_text("#precision")
    assert re.fullmatch(r"(67|80) % of [56] random sounds are right \(95 % interval: (30 to 90|38 to 96) %\)", text)
    assert text in tab.inner_text("[data-kind='2']")
    rows = saved(tab, "#save", tmp_path / "labels.csv")
    assert Counter(row[6] for row in rows[1:]) == {"": 12, "yes": 4, "no": 1, "other": 1}


@pytest.mark.browser
def test_an_hour_opens_in_the_grid_and_arrow_keys_move(surveyed, see):
    tab, sounds = see(surveyed.page), columns(surveyed.page)
    tab.click("[data-cell='2024-06-01 2']")
    tab.locator("#hour button").last.click()
    assert sorted(shown(tab)) == np.flatnonzero(sounds["record"] == 2).tolist()
    tab.click("[data-cell='2024-06-01 2']")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.dataset.cell") == "2024-06-01 3"
    tab.select_option("#kind", "1")
    cell = tab.locator("[data-cell='2024-06-01 3']")
    assert cell.inner_text() == "180"  # per hour: one in 20 s
    assert "1 sound in 20 s of recording, 180 per recorded hour" in cell.get_attribute("aria-label")
    tab.select_option("#unit", "count")
    assert cell.inner_text() == "1"


@pytest.mark.browser
def test_given_and_classified_labels_are_shown_and_no_interest_is_undone(labelled, see, tmp_path):
    tab = see(labelled.page)
    tab.locator("#legend button", has_text="not of interest").click()
    assert shown(tab) == [5]
    tab.click("#unname")
    rows = saved(tab, "#save", tmp_path / "labels.csv")[1:]
    assert [row[4] for row in rows] == [row[4] for row in labelled.rows]
    assert [row[5] for row in rows] == ["" if row[5] == "-" else row[5] for row in labelled.rows]
    tab.click("#every")
    tab.select_option("#order", "time")
    texts = tab.eval_on_selector_all("#grid .cell .pick", "all => all.map((each) => each.innerText)")
    assert all(("probably" in text) == (number % 4 == 0) for number, text in enumerate(texts))
    assert serious_faults(tab) == []


@pytest.mark.browser
def test_a_survey_with_other_labels_replaces_saved_changes_but_not_unsaved_ones(surveyed, labelled, see, tmp_path):
    def name_all(text):
        tab.click("#every")
        tab.fill("#label", text)
        tab.keyboard.press("Enter")

    page = tmp_path / "index.html"
    page.write_bytes(surveyed.page.read_bytes())
    tab = see(page)
    name_all("old")
    tab.fill("input[data-type='2']", "bird")
    saved(tab, "#save", tmp_path / "labels.csv")
    page.write_bytes(labelled.page.read_bytes())
    tab.reload()
    tab.click("#every")
    assert "old" not in tab.inner_text("#grid")
    assert "bird" in tab.inner_text("#kind-2"), "the name was not saved"
    page.write_bytes(surveyed.page.read_bytes())
    tab.reload()
    name_all("new")
    page.write_bytes(labelled.page.read_bytes())
    tab.reload()
    tab.click("#every")
    assert tab.inner_text("#grid").count("new") == 18


@pytest.mark.browser
def test_the_hours_of_a_site_are_those_it_recorded(labelled, see):
    tab, sounds = see(labelled.page), columns(labelled.page)
    tab.select_option("#site", label="2")
    assert (
        tab.eval_on_selector_all(
            "#hours button", "all => all.filter((each) => each.checkVisibility({visibilityProperty: true})).length"
        )
        == 1
    )
    tab.click("[data-cell='2024-06-01 2']")
    tab.locator("#hour button").last.click()
    assert sorted(shown(tab)) == np.flatnonzero(sounds["record"] == 2).tolist()
    assert "all sounds, 2024-06-01, 2:00 to 3:00, 2" in tab.inner_text("#grid-heading")
    tab.select_option("#site", label="1")
    tab.click("[data-cell='2024-06-01 1']")
    tab.locator("#hour button").last.click()
    assert len(shown(tab)) == 2, "without the one of no interest"
    assert tab.locator("#kind optgroup option").all_text_contents() == [HOSTILE, "three", "two"]
    tab.select_option("#site", "")
    tab.select_option("#kind", label="two")
    tab.select_option("#unit", "count")
    tab.click("[data-cell='2024-06-01 1']")
    tab.locator("#hour button").last.click()
    assert tab.inner_text("[data-cell='2024-06-01 1']") == str(len(shown(tab))) == "1"


@pytest.mark.browser
def test_an_answer_about_the_type_is_not_saved_as_one_about_a_label(surveyed, see, tmp_path):
    tab = see(surveyed.page)
    tab.locator("[data-kind='2'] [data-do='listen']").click()
    tab.locator("[data-answer='no']").click()
    tab.locator("[data-answer='yes']").click()
    tab.click("#every")
    assert Counter(row[6] for row in saved(tab, "#save", tmp_path / "labels.csv")[1:]) == {"": 16, "no": 1, "yes": 1}
    tab.fill("#label", "frog")
    tab.keyboard.press("Enter")
    rows = saved(tab, "#save", tmp_path / "labels.csv")[1:]
    assert Counter((row[5], row[6]) for row in rows) == {("frog", ""): 17, ("frog", "yes"): 1}


@pytest.mark.browser
def test_the_grid_works_with_the_keyboard_alone_and_the_page_says_if_nothing_is_kept(surveyed, see):
    tab = see(surveyed.page)
    tab.click("#every")
    tab.locator("#grid .pick[tabindex='0']").focus()
    tab.keyboard.press("Space")
    tab.keyboard.press("Shift+ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    assert tab.inner_text("#marked") == "3 sounds marked"
    tab.keyboard.press("n")
    tab.keyboard.type("frog")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#grid").count("frog") == 3
    tab.locator("#grid .pick").nth(4).focus()
    tab.keyboard.press("p")
    tab.wait_for_selector("#grid .cell.playing")
    tab.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    tab.fill("input[data-type='2']", "bird")
    assert "This browser keeps nothing: save before you leave." in tab.inner_text("#saved")


@pytest.mark.browser
@pytest.mark.parametrize("how", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}])
def test_the_page_is_accessible_and_fits_a_phone(surveyed, see, how):
    tab = see(surveyed.page, **how)
    tab.fill("input[data-type='2']", "bird")
    tab.locator("#grid .pick").first.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= how.get("viewport", {"width": 1280})["width"]
    assert serious_faults(tab) == []
    tab.locator("#grid .pick").first.press("e")
    tab.wait_for_function("document.getElementById('view-cursor').dataset.from")
    assert serious_faults(tab) == []


@pytest.mark.slow
@pytest.mark.browser
def test_a_page_of_5000_sounds_selects_names_and_undoes(surveyed, cache, see, tmp_path, monkeypatch):
    survey, model, corpus = found(surveyed, cache)
    rng, rows = np.random.default_rng(0), np.repeat(np.arange(18), 278)
    events = Events(**{column.name: getattr(survey.sounds, column.name)[rows] for column in fields(Events)})
    start = np.clip(events.start + rng.uniform(-2, 2, len(rows)), 0, 19)
    events = replace(events, start=start, end=start + 0.3)
    mapped = MapPoints(np.arange(len(rows)), survey.mapped.points[rows])
    monkeypatch.setattr("audiosae.views.survey_events.map_positions", lambda points, _: rng.random((len(points), 2)))
    monkeypatch.setattr("audiosae.views.survey_page._MOST_PLAYED", 5)
    facts = write_survey_page(
        replace(survey, events=events, bouts=events, mapped=mapped), model, corpus, tmp_path / "page.html"
    )
    assert facts["pictures"] == facts["sounds"] == 5004
    tab = see(tmp_path / "page.html")
    tab.locator("#map").scroll_into_view_if_needed()
    box = tab.locator("#map").bounding_box()
    tab.mouse.move(box["x"] + 2, box["y"] + 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.up()
    count = int(tab.inner_text("#grid-heading").split()[0].replace(",", ""))
    assert 1000 < count < 1500, "a quarter"
    assert len(shown(tab)) == 60
    tab.click("#more")
    assert len(shown(tab)) == 120
    tab.fill("#label", "frog")
    tab.keyboard.press("Enter")
    rows = saved(tab, "#save", tmp_path / "labels.csv")[1:]
    assert Counter(row[5] for row in rows) == {"": 5004 - count, "frog": count}
    tab.click("#undo")
    assert {row[5] for row in saved(tab, "#save", tmp_path / "labels.csv")[1:]} == {""}
