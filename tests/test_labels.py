"""Tables of labels as spreadsheets write them, matched with file names as they are on disk."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from unicodedata import normalize

import pandas as pd
import pytest

from audiosae.corpus.labels import check_rows, read_labels
from audiosae.corpus.sources import scan
from audiosae.errors import InputError

WIDE = ["録音\u3000一.wav", "9.30\u202fAM.wav", "a\u00a0b.wav", "c\u200cd.wav", "e\u200df.wav"]
BIRD = "Vögel.wav"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return scan([folder], (".wav",))


def labelled(folder, content, sources, column=None):
    path = folder.parent / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_labels(str(path), sources, column)


def test_wide_and_joining_characters_are_unchanged(folder):
    sources = touched(folder, *WIDE)
    assert sorted(source.name for source in sources) == sorted(WIDE)
    rows = "".join(f"{source.name},{i}\n" for i, source in enumerate(sources))
    assert labelled(folder, "filename,label\n" + rows, sources) == [str(i) for i in range(len(WIDE))]


@pytest.mark.skipif(os.name == "nt", reason="file names cannot contain line breaks on Windows")
@pytest.mark.parametrize("name", ["a\nb.wav", "a\\nb.wav"])
def test_a_name_with_a_line_break_matches_raw_and_escaped(folder, name):
    sources = touched(folder, "a\nb.wav")
    assert labelled(folder, f'filename,label\n"{name}",x\n', sources) == ["x"]


@pytest.mark.parametrize(("disk", "table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_names_match(folder, disk, table):
    sources = touched(folder, normalize(disk, BIRD), normalize(disk, "été/á.wav"))
    rows = f"filename,label\n{normalize(table, BIRD)},b\n{normalize(table, 'été/á.wav')},s\n"
    assert sorted(labelled(folder, rows, sources)) == ["b", "s"]
    check_rows(folder.parent / "labels.csv", sources)


def test_two_files_that_differ_only_in_unicode_form_match_their_own_rows(folder):
    sources = touched(folder, *(normalize(form, BIRD) for form in ("NFC", "NFD")))
    rows = "".join(f"{source.name},{i}\n" for i, source in enumerate(sources))
    assert labelled(folder, "filename,label\n" + rows, sources) == ["0", "1"]
    with pytest.raises(InputError, match="wanted a filename that only one file has"):
        labelled(folder, f"filename,label\n./{BIRD},x\n", sources)


@pytest.mark.parametrize("other", ["./a/b.wav", "a\\b.wav", "a//b.wav", ".\\a\\b.wav", "b.wav", " a/b.wav"])
def test_two_rows_for_one_file_are_refused_in_any_spelling(folder, other):
    sources = touched(folder, "a/b.wav", "c.wav")
    assert labelled(folder, f"filename,label\n{other},1\nc.wav,2\n", sources) == ["1", "2"]
    with pytest.raises(InputError, match="more than once"):
        labelled(folder, f"filename,label\na/b.wav,1\n{other},2\n", sources)


def test_a_name_without_folder_that_two_files_have_is_refused(folder):
    with pytest.raises(InputError, match=r"names x\.wav, which may be a/x\.wav or b/x\.wav"):
        labelled(folder, "filename,label\nx.wav,1\n", touched(folder, "a/x.wav", "b/x.wav"))


@pytest.mark.parametrize(
    "content",
    [
        "filename,label\na.wav,x\n,\n , \nb.wav,y\n,\n,,,\n",
        "filename;label\na.wav;x\nb.wav;y\n;\n",
        "filename\tlabel\na.wav\tx\nb.wav\ty\n",
        "sep=;\nfilename;label\na.wav;x\nb.wav;y\n",
        "\n filename , label,,\na.wav,x,,\nb.wav,y ,,\n",
        "\ufefffilename,label\r\na.wav,x\r\nb.wav,y\r\n",
        *("filename\tlabel\na.wav\tx\nb.wav\ty\n".encode(e) for e in ("utf-16", "utf-8-sig", "utf-32")),
    ],
)
def test_csv_variants_of_spreadsheets_are_read(folder, content):
    assert labelled(folder, content, touched(folder, "a.wav", "b.wav")) == ["x", "y"]


def test_a_code_page_is_read_if_the_file_names_identify_it(folder):
    sources = touched(folder, BIRD, "b.wav")
    content = f"filename,label\n{BIRD},schön\nb.wav,y\n"
    assert sorted(labelled(folder, content.encode("cp1252"), sources)) == ["schön", "y"]
    for doubtful in (content.replace(BIRD, "b2.wav"), content.replace("schön", "señor").replace(BIRD, "b2.wav")):
        with pytest.raises(InputError, match="not a CSV in UTF-8 .*; save it as CSV UTF-8"):
            labelled(folder, doubtful.encode("cp1252"), sources)


def test_spaces_and_unicode_form_do_not_make_a_new_class(folder):
    sources = touched(folder, "a.wav", "b.wav", "c.wav")
    content = f"filename,label\na.wav,é\nb.wav,{normalize('NFD', 'é')} \nc.wav,\u00a0é\n"
    assert set(labelled(folder, content, sources)) == {"é"}


def test_files_without_a_row_have_no_label(folder):
    sources = touched(folder, "a.wav", "b.wav", "c.wav")
    assert labelled(folder, "filename,label\nb.wav,1\nc.wav, \n", sources) == [None, "1", None]


@pytest.mark.parametrize("given", ["..", "../", "../../birds", "."])
def test_a_folder_given_as_dots_labels_by_its_real_name(tmp_path, monkeypatch, given):
    touched(tmp_path / "birds", "a.wav", "in/b.txt")
    monkeypatch.chdir(tmp_path / "birds" / ("in" if given.startswith("..") else ""))
    assert read_labels("folder", scan([Path(given)], (".wav",))) == ["birds"]


def test_a_folder_name_that_is_not_utf_8_gives_a_label(tmp_path):
    bytes_ = os.fsencode(tmp_path) + b"/caf\xe9"
    touched(Path(os.fsdecode(bytes_)), "a.wav")
    assert read_labels("folder", scan([tmp_path], (".wav",))) == ["caf\\xe9"]


def test_hidden_trash_and_apple_double_files_are_skipped_and_reported(folder):
    messages = []
    touched(
        folder,
        "a.wav",
        "._a.wav",
        *(
            f"{name}/b.wav"
            for name in (".Trashes", "$RECYCLE.BIN", ".git/x", "@eaDir", "lost+found", "__MACOSX", "sub/.Trash-1000")
        ),
    )
    assert [source.name for source in scan([folder], (".wav",), say=messages.append)] == ["a.wav"]
    assert messages[0].startswith("skipped hidden, trash and AppleDouble files: ")
    for named in ("._a.wav", ".Trashes", ".git/x/b.wav"):
        assert len(scan([folder / named], (".wav",))) == 1


@pytest.fixture
def partly(trained, sounds, tmp_path):
    """A table with labels of ten of the twelve files, in two classes."""
    names = sorted(path.name for path in sounds.glob("*.wav"))[:-2]
    (tmp_path / "l.csv").write_text("filename,label\n" + "".join(f"{n},{'ab'[i % 2]}\n" for i, n in enumerate(names)))
    return [trained, sounds, "--labels", tmp_path / "l.csv"]


@pytest.mark.parametrize("command", ["evaluate", "export", "report"])
def test_files_without_a_label_are_reported_and_refused_by_strict(run, partly, tmp_path, command):
    out = tmp_path / {"evaluate": "o", "export": "o.csv", "report": "o.html"}[command]
    more = ["--baselines", "none"] if command == "evaluate" else []
    code, text, err = run(command, *partly, "-o", out, "--json", *more)
    facts = json.loads(text)
    assert code == 0, err
    assert (facts["without_label"], facts["unlabelled"]) == (2, ["tone_10.wav", "tone_11.wav"])
    assert "no label for 2 of 12 sources" in err
    assert "tone_10.wav, tone_11.wav" in err
    if command == "evaluate":
        assert facts["clips"] == 10
    if command == "export":
        assert pd.read_csv(out)["label"].isna().tolist() == [False] * 10 + [True] * 2
    code, _, err = run(command, *partly, "-o", out, "--strict", *more)
    assert code == 1
    assert "--strict: no label for 2 of 12 sources" in err


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_tables_of_every_format_have_rows_without_a_label(run, partly, tmp_path, suffix):
    code, _, err = run("export", *partly, "-o", tmp_path / f"o.{suffix}", "-q")
    assert code == 0, err


def test_unusual_file_names_survive_an_export(run, trained, sounds, folder):
    names = [*WIDE, normalize("NFD", BIRD), "=1+1.wav", "-1.wav"]
    for name in names:
        shutil.copy(sounds / "tone_00.wav", folder / name)
    rows = "".join(f"{normalize('NFC', name)},-1\n" for name in names)
    (folder.parent / "l.csv").write_text("filename,label\n" + rows, encoding="utf-16")
    code, _, err = run("export", trained, folder, "--labels", folder.parent / "l.csv", "-o", folder.parent / "o.csv")
    assert code == 0, err
    with (folder.parent / "o.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert sorted(row["file"].removeprefix("'") for row in table) == sorted(names)
    assert {row["label"] for row in table} == {"-1"}  # a number is not a formula
