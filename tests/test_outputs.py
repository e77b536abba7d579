"""Output files: files of the user are not overwritten, files of audiosae are replaced."""

from __future__ import annotations

import json
import shutil

import pytest

OUTPUTS = {"export": "o.csv", "report": "o.html", "render": "o.png"}


@pytest.fixture
def command(small, sounds, tmp_path, run):
    def call(name, out, *more):
        return run(name, small, *([] if name == "render" else [sounds]), "-o", out, *more)

    return call


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_of_the_user_is_not_overwritten_and_a_file_of_audiosae_is_replaced(command, tmp_path, name):
    out = tmp_path / OUTPUTS[name]
    out.write_text("my notes\n")
    code, _, err = command(name, out)
    assert (code, out.read_text()) == (1, "my notes\n")
    assert "it exists, and audiosae did not write it" in err
    out.unlink()
    assert command(name, out)[0] == 0
    assert command(name, out)[0] == 0


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_pictures_of_every_format_are_recognised_as_made_by_audiosae(command, tmp_path, suffix):
    assert [command("render", tmp_path / f"o.{suffix}")[0] for _ in range(2)] == [0, 0]


def test_a_file_of_the_user_with_the_name_of_a_table_description_is_not_overwritten(command, tmp_path):
    (tmp_path / "o.json").write_text('{"mine": 1}')
    code, _, err = command("export", tmp_path / "o.csv")
    assert (code, "o.json" in err, (tmp_path / "o.json").read_text()) == (1, True, '{"mine": 1}')


def test_the_labels_table_is_not_overwritten_by_features(command, tmp_path):
    labels = tmp_path / "l.csv"
    labels.write_text("filename,label\ntone_00.wav,a\n")
    (tmp_path / "l.json").write_text('{"model_digest": "", "level": "file"}')
    code, _, err = command("export", labels, "--labels", labels)
    assert (code, labels.read_text()[:8]) == (1, "filename")
    assert "it is one of the inputs" in err


def test_an_evaluation_replaces_only_its_own_files(command, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "predictions.csv").write_text("mine\n")
    code, _, err = command("evaluate", tmp_path / "o", "--labels", "folder")
    assert (code, (tmp_path / "o" / "predictions.csv").read_text()) == (1, "mine\n")
    assert "audiosae did not write it" in err


def test_a_journal_of_another_program_is_renamed_and_reported(run, sounds, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "journal.csv").write_text("another program's\n")
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(sounds / "tone_11.wav", few)
    code, _, err = run("train", few, "-o", folder, "--hidden", 1, "--epochs", 1)
    assert code == 0, err
    assert (folder / "before-1" / "journal.csv").read_text() == "another program's\n"
    assert f"contained journal.csv, now moved to {folder / 'before-1'}" in err


def test_two_tables_that_differ_in_suffix_have_separate_descriptions(command, tmp_path):
    def level(name):
        return json.loads((tmp_path / name).read_text())["level"]

    command("export", tmp_path / "o.csv")
    command("export", tmp_path / "o.npz")
    assert sorted(path.name for path in tmp_path.glob("o.*")) == ["o.csv", "o.json", "o.npz"]  # one json for both
    err = command("export", tmp_path / "o.npz", "--level", "window")[2]
    assert "o.npz.json describes o.npz, because o.json belongs to another table" in err
    assert (level("o.json"), level("o.npz.json")) == ("file", "window")
    command("export", tmp_path / "o.csv", "--level", "window")
    command("export", tmp_path / "o.npz")
    assert (level("o.json"), level("o.npz.json")) == ("window", "file")


@pytest.mark.parametrize("name", ["export", "survey", "evaluate"])
def test_replacing_the_output_of_another_model_is_reported(run, trained, sounds, tmp_path, name):
    folders = tmp_path / "clips"
    for number in range(10):
        (folders / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (folders / "ab"[number % 2] / f"{number}.wav").symlink_to(sounds / f"tone_{number:02d}.wav")
    other, out = tmp_path / "other", tmp_path / ("o.csv" if name == "export" else "o")
    run("train", sounds, "-o", other, "--hidden", 4, "--epochs", 1, "-q")
    more = ["--labels", "folder", "--baselines", "none"] if name == "evaluate" else []
    heard = [run(name, model, folders, "-o", out, *more)[2] for model in (trained, trained, other)]
    message = f"{out} was made with another model and is replaced"
    assert [message in err for err in heard] == [False, False, True]
