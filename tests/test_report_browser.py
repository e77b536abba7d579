"""Pages in a browser: headless Chromium, controlled by Playwright."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile
from pages import items, pieces, serious_faults
from test_report import HOSTILE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("chromium"),
]  # first: a skip before the pages are made saves their time
SAMPLES = """async (url) => {
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (c) => c.charCodeAt(0));
  const sound = await new OfflineAudioContext(1, 8000, 8000).decodeAudioData(bytes.buffer);
  return Array.from(sound.getChannelData(0));
}"""


def heading(tab):
    return tab.inner_text("#detail-heading")


def order(tab):
    return tab.eval_on_selector_all("#units .unit:not([hidden])", "all => all.map((b) => Number(b.dataset.item))")


def test_the_page_opens_without_errors_or_requests_and_paints_within_two_seconds(see, page):
    tab = see(page)
    assert len(order(tab)) == 12
    assert heading(tab) == f"Unit {order(tab)[0]}"
    assert tab.locator("#detail .windows li").count() == len(items(page)[order(tab)[0]]["windows"]) > 0
    assert tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 2000


def test_the_page_runs_only_its_own_script(chromium, page, tmp_path):
    text = page.read_text(encoding="utf-8").replace("</body>", "<script>document.title = 'ran'</script></body>")
    (tmp_path / "changed.html").write_text(text, encoding="utf-8")
    context = chromium.new_context()
    tab, messages = context.new_page(), []
    tab.on("console", lambda message: messages.append(message.text))
    tab.goto((tmp_path / "changed.html").as_uri())
    assert heading(tab).startswith("Unit ")
    assert tab.title() != "ran"
    assert [text for text in messages if "Content Security Policy" in text]
    context.close()


@pytest.mark.parametrize(
    ("key", "down"),
    [
        ("activity", True),
        ("selectivity", True),
        ("centroid (Hz)", False),
        ("bandwidth (Hz)", False),
        ("likeness", False),
    ],
)
def test_units_are_sorted_by_the_selected_key(see, page, key, down):
    tab = see(page)
    tab.select_option("#sort", key)
    values = [items(page)[item]["order"][key] for item in order(tab)]
    assert values == sorted(values, reverse=down)


def test_search_finds_units_by_number_and_by_file(see, page):
    tab = see(page)
    tab.fill("#search", "7")
    assert order(tab) == [7]
    assert heading(tab) == "Unit 7"
    tab.fill("#search", "tone_03")
    with_file = {
        item["number"]
        for item in items(page)
        if any("tone_03" in pieces(page)[window["piece"]]["file"] for window in item["windows"])
    }
    assert set(order(tab)) == with_file
    tab.fill("#search", "no such file")
    assert order(tab) == []
    assert tab.inner_text("#count") == "0 of 12 shown: no unit matches the search"


def test_the_address_selects_a_unit(see, page):
    tab = see(page)
    tab.goto(page.as_uri() + "#u7")
    tab.wait_for_function("document.getElementById('detail-heading').textContent === 'Unit 7'")
    tab.goto(page.as_uri() + "#4")
    tab.wait_for_function("document.getElementById('detail-heading').textContent === 'Unit 4'")


def test_arrow_keys_work_before_a_unit_has_the_focus(see, page):
    tab = see(page)
    tab.set_viewport_size({"width": 700, "height": 900})
    first = heading(tab)
    tab.keyboard.press("ArrowDown")
    assert heading(tab) != first
    tab.keyboard.press("ArrowUp")
    assert heading(tab) == first


def test_the_map_has_each_unit_at_its_own_position(see, page):
    tab = see(page)
    tab.click("#as-map")
    boxes = tab.eval_on_selector_all(
        "#units .unit", "all => all.map((b) => [Number(b.dataset.item), b.offsetTop, b.offsetLeft])"
    )
    assert len({(top, left) for _, top, left in boxes}) == 12
    positions = {item: (top, left) for item, top, left in boxes}
    cells = {item["number"]: tuple(item["cell"]) for item in items(page)}
    assert sorted(cells, key=cells.get) == sorted(positions, key=positions.get)
    assert tab.is_disabled("#sort")


def test_arrow_keys_move_and_space_plays_and_stops(see, page):
    tab = see(page)
    tab.locator("#units .unit[tabindex='0']").focus()
    start = order(tab)
    tab.keyboard.press("ArrowRight")
    assert heading(tab) == f"Unit {start[1]}"
    tab.keyboard.press("ArrowLeft")
    assert heading(tab) == f"Unit {start[0]}"
    tops = tab.eval_on_selector_all("#units .unit", "all => all.map((b) => b.offsetTop)")
    tab.keyboard.press("ArrowDown")
    below = [item for item, top in zip(start, tops, strict=True) if top > tops[0]]
    assert (heading(tab) == f"Unit {below[0]}") if below else (heading(tab) == f"Unit {start[0]}")
    assert tab.evaluate("document.activeElement.dataset.item") == heading(tab).split()[1]
    tab.keyboard.press("Space")
    tab.wait_for_function("document.querySelector('.windows audio').currentTime > 0.05")
    assert tab.inner_text(".windows .play >> nth=0") == "■ Stop"
    tab.keyboard.press("Space")
    tab.wait_for_function("document.querySelector('.windows audio').paused")


def test_space_in_the_search_field_does_not_play(see, page):
    tab = see(page)
    tab.focus("#search")
    tab.keyboard.type("a b")
    assert tab.input_value("#search") == "a b"
    assert tab.evaluate("[...document.querySelectorAll('audio')].every((audio) => audio.paused)")


def test_every_player_plays_the_excerpt_that_its_entry_describes(see, page, sounds):
    tab = see(page)
    item = items(page)[order(tab)[0]]
    entries = tab.locator(".windows li")
    for number, window in enumerate(item["windows"]):
        piece, entry = pieces(page)[window["piece"]], entries.nth(number)
        assert piece["file"] in entry.inner_text()
        assert window["where"] in entry.inner_text()
        heard = np.array(tab.evaluate(SAMPLES, entry.locator("audio").get_attribute("src")))
        source, rate = soundfile.read(sounds / piece["file"])
        original = source[round(piece["low"] * rate) :][: len(heard)]
        inner = slice(400, len(original) - 400)
        correlation = {lag: np.corrcoef(original[inner], np.roll(heard, lag)[inner])[0, 1] for lag in range(-80, 81)}
        best = max(correlation, key=correlation.get)
        assert abs(best) <= 8, "a millisecond"
        assert correlation[best] > 0.9


def test_starting_a_sound_stops_the_other(see, page):
    tab = see(page)
    tab.locator(".windows .play").nth(0).click()
    tab.wait_for_function("document.querySelectorAll('.windows audio')[0].currentTime > 0.05")
    tab.locator(".windows .play").nth(1).click()
    tab.wait_for_function("document.querySelectorAll('.windows audio')[1].currentTime > 0.05")
    assert tab.evaluate("document.querySelectorAll('.windows audio')[0].paused")
    tab.locator("#detail .atoms .play").click()
    tab.wait_for_function("document.querySelector('.atoms audio').currentTime > 0.05")


def test_names_of_files_and_labels_are_escaped(see, trained, sounds, tmp_path, run):
    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / HOSTILE).write_bytes((sounds / "tone_05.wav").read_bytes())
    table = tmp_path / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["filename", "label"], [HOSTILE, "</script><script>alert(4)</script>"]])
    assert run("report", trained, folder, "-o", tmp_path / "page.html", "--labels", table, "-q")[0] == 0
    tab = see(tmp_path / "page.html")
    assert tab.locator(".windows .file").first.inner_text() == HOSTILE.replace("\n", "\\n")
    assert "label: </script><script>alert(4)</script>" in tab.inner_text("#detail")
    assert tab.locator("img[src=x], b[onload], script").count() == 3, "the page's own scripts"
    tab.fill("#search", "</script>")
    assert len(order(tab)) == 12


@pytest.mark.parametrize("how", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}])
@pytest.mark.parametrize("which", ["report", "diff", "evaluation"])
def test_pages_have_no_serious_accessibility_fault(see, page, both, evaluation, which, how):
    tab = see({"report": page, "diff": both, "evaluation": evaluation}[which], **how)
    assert serious_faults(tab) == []


@pytest.fixture(scope="module")
def both(trained, sounds, cache, tmp_path_factory):
    """Return the page of the diff of two runs with different numbers of units."""
    from conftest import once

    folder = tmp_path_factory.mktemp("both")
    once(["train", sounds, "-o", folder / "run", "--hidden", 14, "--epochs", 9, "--cache", cache, "-q"])
    once(["diff", trained, folder / "run", "-o", folder / "diff.html", "-q"])
    return folder / "diff.html"


def test_the_diff_shows_the_selected_group(see, both):
    tab = see(both)
    shown = items(both)
    for group in {item["group"] for item in shown}:
        tab.select_option("#group", group)
        assert order(tab) == [number for number in order(tab) if shown[number]["group"] == group] != []
        assert heading(tab).endswith(group)
    tab.select_option("#group", "")
    pair = next(number for number, item in enumerate(shown) if len(item["sides"]) == 2)
    tab.click(f"#units [data-item='{pair}']")
    assert tab.locator("#detail .atom").count() == 2


@pytest.fixture(scope="module")
def evaluation(trained, sounds, cache, tmp_path_factory):
    """Return the page of an evaluation with two labels, one of which contains markup."""
    from conftest import once

    folder = tmp_path_factory.mktemp("evaluation")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[f"tone_{number:02d}.wav", ("plain", HOSTILE)[number % 2]] for number in range(12)]
        csv.writer(file).writerows([["filename", "label"], *rows])
    options = ["--labels", folder / "labels.csv", "--baselines", "pca,field", "-o", folder / "out", "--cache", cache]
    once(["evaluate", trained, sounds, *options, "-q"])
    return folder / "out" / "index.html"


def test_the_evaluation_has_its_tables_and_labels_are_escaped(see, evaluation):
    tab = see(evaluation)
    name = HOSTILE.replace("\n", "\\n")
    assert tab.locator("h3").all_text_contents() == [name, "plain"]
    assert tab.locator(".confusion thead th").all_text_contents()[1:] == [name, "plain"]
    assert tab.locator("img[src=x], b[onload], script").count() == 1, "the page's own script"
    assert sorted(tab.locator("tr.own th").all_text_contents()) == ["model", "model"]
    assert tab.locator(".curve polyline").count() == 3
    assert tab.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")


@pytest.mark.parametrize("which", ["report", "evaluation"])
def test_pages_fit_the_width_of_a_phone(see, page, evaluation, which):
    tab = see({"report": page, "evaluation": evaluation}[which], viewport={"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_printed_page_has_pictures_but_no_controls(see, page):
    tab = see(page)
    tab.emulate_media(media="print")
    assert not tab.is_visible("#controls")
    assert not tab.is_visible(".windows .play >> nth=0")
    assert tab.is_visible(".windows img >> nth=0")
    assert tab.is_visible("#units .tile >> nth=0")
