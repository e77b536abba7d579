"""Text from files has no effect in any output: control codes, tags, formulas, links, separators."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from signals import tone, write

import audiosae
from audiosae.autoencoder.model import FILE
from audiosae.corpus.journal import Record, write_journal
from audiosae.corpus.sources import printable, scan
from audiosae.domain import domain_from_json
from audiosae.errors import InputError, PluginError
from audiosae.sounds.type_names import read_names
from audiosae.system.files import cell, csv_text, uncelled
from audiosae.system.text import html, markdown, one_line, terminal
from audiosae.views.model_card import write_model_card

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such file names")

MARK = "MARK"
ODD = f"=7;{MARK}\x1b[31m\x9b1m<i title=\"'>&|[a](b)`$x\u202e\u2028$*_\\n"  # harmless where it is not obeyed
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def odd(trained, tmp_path_factory):
    """A run folder, recordings, labels and names whose texts are all odd."""
    base = tmp_path_factory.mktemp("odd")
    folder = base / "in" / ODD
    rng = np.random.default_rng(0)
    for number in range(6):
        samples = 0.005 * rng.normal(size=8000 * 11)  # shorter ones have no noise floor
        for start in (2, 5, 8):
            samples[start * 8000 : start * 8000 + 4000] += tone(0.5, pitch=[700, 2200][number % 2], seed=number)
        write(folder / f"{ODD}{number}.wav", samples.astype(np.float32))
    run = shutil.copytree(trained, base / "run")
    model = audiosae.load_model(run)
    model.facts["versions"][ODD] = ODD
    model.facts["options"]["newer"] = model.facts["sources"]["held_out"] = ODD
    model.facts["domain"]["version"] = ODD
    model.save(run / FILE)
    names = ((base / "names.csv"), "type,name\n", [f"{number},{quoted(ODD)}" for number in range(1, 9)])
    labels = (
        (base / "labels.csv"),
        f"filename,{quoted(ODD)},other\n",
        [f"{quoted(f'{ODD}/{ODD}{number}.wav')},{quoted(f'{ODD}{number % 2}')},x" for number in range(6)],
    )
    for path, head, rows in (names, labels):
        path.write_text(head + "\n".join(rows), encoding="utf-8")
    return base


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.attributes, self.texts = set(), set(), []

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.texts.append(data)


def check_page(path):
    page = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert "i" not in tags.seen
    assert not {name for name in tags.attributes if "'" in name or name.startswith("&|[a](b)")}
    assert any(MARK in text for text in tags.texts), path
    assert not CONTROL.search(re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)), path


def check_table(path):
    """Every cell with the odd text is protected, quoted, and read back."""
    raw = path.read_text(encoding="utf-8")
    with path.open(newline="", encoding="utf-8") as file:
        cells = [text for row in csv.reader(file) for text in row if MARK in text]
    assert cells, path
    assert not any(text.startswith("=") for text in cells)
    for text in cells:
        assert quoted(text) in raw, path
    return {uncelled(text) for text in cells}


def check_terminal(*texts):
    for text in texts:
        assert not CONTROL.search(text), text


def test_survey_and_find(odd, run):
    out, sources = odd / "found", odd / "in"
    code, *said = run("survey", odd / "run", sources, "-o", out, "--names", odd / "names.csv")
    assert code == 0, said
    check_terminal(*said)
    assert one_line(ODD)[:20] in said[0]
    check_page(out / "index.html")
    assert ODD in check_table(out / "types.csv")
    assert check_table(out / "events.csv") >= {ODD, *(source.name for source in scan([sources], (".wav",)))}
    tables = [*out.glob("events.raven/*"), *out.glob("events.audacity/*")]
    assert tables
    for table in tables:
        text = table.read_text(encoding="utf-8")
        assert MARK in text
        assert not CONTROL.search(text.replace("\t", ""))
    like = next(iter((odd / "in" / ODD).iterdir()))
    for name in ("like.csv", "like.html"):
        code, *said = run("find", odd / "run", sources, "--like", f"{like}@2.0-2.5", "-n", 3, "-o", odd / name)
        assert code == 0, said
        check_terminal(*said)
    check_table(odd / "like.csv")
    check_page(odd / "like.html")


def test_export_and_report(odd, run):
    how = ["--labels", odd / "labels.csv", "--label-column", ODD]
    code, *said = run("export", odd / "run", odd / "in", "-o", odd / "t.csv", *how)
    assert code == 0, said
    check_terminal(*said)
    found = check_table(odd / "t.csv")
    assert {f"{ODD}0", f"{printable(ODD)}/{printable(ODD)}0.wav"} <= found
    code, *said = run("report", odd / "run", odd / "in", "-o", odd / "r.html", *how)
    assert code == 0, said
    check_terminal(*said)
    check_page(odd / "r.html")


def test_evaluate(odd, run, tmp_path):
    rng = np.random.default_rng(1)
    for number in range(12):
        write(tmp_path / "in" / f"{ODD}{number % 2}" / f"{number}.wav", tone(0.4, pitch=rng.uniform(300, 3000)))
    command = ["evaluate", odd / "run", tmp_path / "in", "-o", tmp_path / "e", "--labels", "folder"]
    code, *said = run(*command, "--baselines", "none")
    assert code == 0, said
    check_terminal(*said)
    assert MARK in said[0]
    check_page(tmp_path / "e" / "index.html")
    assert check_table(tmp_path / "e" / "predictions.csv") == {printable(f"{ODD}{n}") for n in range(2)} | {
        f"{printable(f'{ODD}{n % 2}')}/{n}.wav" for n in range(12)
    }


def test_inspect_info_and_journal(odd, run, tmp_path):
    for command in (["inspect", odd / "in"], ["info", odd / "run"], ["diff", odd / "run", odd / "run"]):
        code, *said = run(*command, *(["-o", tmp_path / "d.html"] if command[0] == "diff" else []))
        assert code == 0, said
        check_terminal(*said)
        if command[0] != "diff":
            assert MARK in said[0]
    record = Record(printable(ODD), "skipped", f"undecodable: {ODD}")
    write_journal(tmp_path / "journal.csv", [(record, 0)])
    assert check_table(tmp_path / "journal.csv") == {record.file, record.reason}


def test_errors_are_one_line_without_control_codes(odd, run, tmp_path):
    table = tmp_path / "odd.csv"
    table.write_text(f"{quoted(ODD)},b\n1,2\n")
    commands = [
        ["export", odd / "run", odd / "in", "-o", tmp_path / "t.csv", "--labels", table],
        ["survey", odd / "run", odd / "in", "-o", tmp_path / "s", "--names", table],
        ["info", tmp_path / ODD],
    ]
    for command in commands:
        for more in ([], ["--traceback"]):
            code, out, err = run(*command, *more)
            assert (code, MARK in err) == (1, True)
            check_terminal(out, err)
            assert err.rstrip("\n").count("\n") == 0 or more


def test_the_model_card(odd):
    card = odd / "run" / "README.md"
    card.unlink()
    write_model_card(audiosae.load_model(odd / "run"), odd / "run")
    text = card.read_text(encoding="utf-8")
    assert text.count(MARK) >= 4
    assert text.count(markdown(ODD)) == text.count(MARK)
    assert not CONTROL.search(text)
    for live in ("<i", "](b)", "|[a", "[31m<"):
        assert live not in text.replace(r"\<", "").replace(r"\[", "").replace(r"\]", "").replace(r"\|", "")


def test_each_function_leaves_ordinary_text_unchanged():
    for text in ("Vögel/ruf 1.wav", "rho_hat_mean 0.02 (target)", "2 of 24 sources: a-b, c+d #3!", "日本 👨‍👩‍👧"):
        assert [f(text) for f in (one_line, terminal, html, markdown, cell)] == [text] * 5
    assert terminal("a\nb\x1b") == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://a.b", r"https\://a.b"),
        ("www.a.b", r"www\.a.b"),
        ("a@b.c", r"a\@b.c"),
        ("_x_ and __y__", r"\_x\_ and \_\_y\_\_"),
        ("a\nb", r"a\\nb"),
        (":tada:", r"\:tada:"),
        ("<b>&amp;", r"\<b\>\&amp;"),
    ],
)
def test_markdown_has_no_effect(text, safe):
    assert markdown(text) == safe


def test_names_of_files_are_different_texts_for_different_files():
    odd_names = [b"a\n", b"a\\n", b"a\\\\n", b"a\xff", b"a\\xff", "a\x85".encode(), b"a\x85", b"a\\u0085", b"a\\x85"]
    odd_names += [
        "a\u2028".encode(),
        b"a\\u2028",
        b"a\x1b",
        b"a\\x1b",
        "a\u202e".encode(),
        b"a\\u202e",
        b"a\t",
        b"a\\t",
    ]
    texts = [printable(os.fsdecode(name)) for name in odd_names]
    assert len(set(texts)) == len(odd_names)
    assert all(text.isprintable() for text in texts)


def test_recordings_whose_names_look_alike_stay_apart(trained, tmp_path):
    for name, pitch in (("a\nb.wav", 400), ("a\\nb.wav", 3000)):
        write(tmp_path / name, tone(0.5, pitch=pitch))
    (tmp_path / "labels.csv").write_text('filename,label\n"a\nb.wav",low\n"a\\nb.wav",high\n')
    model = audiosae.load_model(trained)
    table = audiosae.export(model, tmp_path, labels=tmp_path / "labels.csv", level="window")
    rows = sorted({*zip(table.keys["file"].tolist(), table.keys["label"].tolist(), strict=True)})
    assert rows == [("a\\\\nb.wav", "high"), ("a\\nb.wav", "low")]
    (tmp_path / "shown.csv").write_text("filename,label\na\\nb.wav,low\na\\\\nb.wav,high\n")
    shown = audiosae.export(model, tmp_path, labels=tmp_path / "shown.csv")
    assert sorted(zip(shown.keys["file"].tolist(), shown.keys["label"].tolist(), strict=True)) == rows
    (tmp_path / "one.csv").write_text("filename,label\na\\nb.wav,low\n")
    with pytest.raises(InputError, match=r"which may be a\\nb.wav or a\\\\nb.wav;"):
        audiosae.export(model, tmp_path, labels=tmp_path / "one.csv")


def test_each_recording_has_its_own_annotations(trained, tmp_path):
    samples = 0.003 * np.random.default_rng(0).normal(size=8000 * 11).astype(np.float32)
    samples[24000:28000] += tone(0.5, pitch=900)
    for name in ("a\nb.wav", "a\\nb.wav"):
        write(tmp_path / "in" / name, samples)
    audiosae.survey(audiosae.load_model(trained), tmp_path / "in", tmp_path / "found")
    for table in (tmp_path / "found" / "events.raven").iterdir():
        begin = {line.split("\t")[7] for line in table.read_text().splitlines()[1:]}
        assert len(begin) == 1
    assert len([*(tmp_path / "found" / "events.raven").iterdir()]) == 2


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_cell_that_begins_like_a_formula_gets_an_apostrophe(mark):
    assert (cell(f"{mark}a"), uncelled(f"'{mark}a")) == (f"'{mark}a", f"{mark}a")


def test_a_cell_with_a_separator_of_another_country_is_quoted():
    assert csv_text([["a;b", 1, 0.5, "c"], ["a b", 1, 0.5, "c"]]) == '"a;b",1,0.5,"c"\r\na b,1,0.5,c\r\n'


def test_names_saved_by_the_page_are_protected_like_those_of_tables(tmp_path):
    """The page's function and `cell` give the same text, and it is read back."""
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    script = (files("audiosae.views") / "templates" / "survey_corrections.js").read_text(encoding="utf-8")
    part = script[script.index("  const formula =") : script.index("  const table =")]
    texts = ["=type", "+1", "-1.5e3", "-a", "@a", "a;=b", 'a "b"', "\uff1dwide", "bird, large"]
    code = f"{part}\nconsole.log(JSON.stringify({json.dumps(texts)}.map(quoted)))"
    done = subprocess.run([node, "-e", code], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [quoted(cell(text)) for text in texts]
    path = tmp_path / "names.csv"
    path.write_text("type,name\n" + "".join(f"{n},{text}\n" for n, text in enumerate(json.loads(done.stdout), 1)))
    assert [*read_names(path).of.values()] == texts


@pytest.mark.parametrize(
    ("package", "told"),
    [
        ("the-birds", "the model file names this package, so trust the file first; try: pip install the-birds"),
        ("x; echo a", "the model file does not name a valid package"),
        ("x y", "the model file does not name a valid package"),
        ("--user", "the model file does not name a valid package"),
        ("git+https://a/b", "the model file does not name a valid package"),
        ("a\x1b[31m", "the model file does not name a valid package"),
        ("x" * 200, "the model file does not name a valid package"),
    ],
)
def test_a_package_named_by_a_model_is_a_claim(package, told):
    with pytest.raises(PluginError) as caught:
        domain_from_json({"name": "birds", "package": package, "options": {}})
    assert told in str(caught.value)
    assert package == "the-birds" or package not in str(caught.value)


def test_versions_and_names_of_a_model_are_shown_only_if_they_can_be_valid():
    for description in (
        {"name": "birds; echo a", "options": {}},
        {"name": "spectrogram", "package": "x; echo a", "options": {}},
        {"name": "spectrogram", "package": "audiosae", "version": "1; echo a", "options": {"n_melz": 3}},
    ):
        with pytest.raises(PluginError) as caught:
            domain_from_json(description)
        assert "echo a" not in str(caught.value) or "'birds; echo a'" in str(caught.value)


def test_text_leaves_through_these_functions_only():
    """`print`, `csv.writer`, `html.escape` and `|safe` stand only where text from files is escaped first."""
    allowed = {
        "csv.writer(": {"system/files.py"},
        "html.escape(": {"system/text.py"},
        "import escape": set(),
        "print(": {"cli/__init__.py", "cli/console.py", "errors.py"},  # errors.py: in an example
        "stderr.write(": {"__main__.py", "system/progress.py"},  # __main__.py: a constant
        "Markup(": set(),
    }
    root = files("audiosae")
    for path in root.rglob("*.py"):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        for words, where in allowed.items():
            found = re.search(rf"(?<![\w.]){re.escape(words)}" if words == "print(" else re.escape(words), text)
            assert not found or name in where, (name, words)
