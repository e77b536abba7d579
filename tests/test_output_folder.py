"""Folders and tables of results: edits are noticed, killed runs are cleared away, two runs do not mix."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from audiosae.commands.evaluation_folder import EVALUATION_FOLDER, write_results
from audiosae.commands.output_folder import DIGESTS, OutputFolder
from audiosae.commands.run_folder import RunFolder
from audiosae.errors import InputError
from audiosae.features.table import check_output
from audiosae.system.files import quick_digest, remove_abandoned
from audiosae.system.schema import FactsFile, Object, Text

NAMES = ("a.csv", "b.csv", "deep/c.txt")
FOLDER = OutputFolder(
    "trial",
    "trial.json",
    FactsFile(("trial",), Object({"trial": Text(), "files": DIGESTS}), "move it away"),
    lambda out: [out / name for name in NAMES],
)


def write(out, text="1", names=NAMES):
    """Write a folder as a command does."""
    FOLDER.check(out, [])
    with FOLDER.replaced_together(out) as work:
        fill(work, text, names)


def fill(work, text, names=NAMES):
    for name in names:
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text)
    (work / "trial.json").write_text(json.dumps({"trial": text, "files": FOLDER.digests(work)}))


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()}


def test_an_unchanged_folder_is_replaced_whatever_its_times(tmp_path):
    write(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    for number, path in enumerate(sorted((tmp_path / "copy").rglob("*"))):
        os.utime(path, (time.time() + 10_000 * number,) * 2)
    write(tmp_path / "copy", "2", ["a.csv"])
    assert sorted(contents(tmp_path / "copy")) == ["a.csv", "trial.json"]


@pytest.mark.parametrize("name", NAMES)
def test_an_edited_file_is_never_replaced_whatever_its_time(tmp_path, name):
    write(tmp_path)
    path, status = tmp_path / name, (tmp_path / name).stat()
    path.write_text("2")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = contents(tmp_path)
    with pytest.raises(
        InputError, match=f"cannot write .*{path}: it was changed after the trial that wrote it; choose"
    ):
        write(tmp_path, "3")
    assert contents(tmp_path) == before
    path.unlink()
    write(tmp_path, "3")


def test_a_file_that_the_run_did_not_write_is_not_replaced(tmp_path):
    write(tmp_path, names=["a.csv"])
    (tmp_path / "b.csv").write_text("mine")
    with pytest.raises(InputError, match="b.csv: it exists, and audiosae did not write it"):
        write(tmp_path)


@pytest.mark.parametrize("name", ["../a.csv", "/a.csv", "deep/../../a.csv", "c:a.csv", ""])
def test_facts_that_name_files_elsewhere_are_refused(tmp_path, name):
    (tmp_path / "trial.json").write_text(json.dumps({"trial": "1", "files": {name: "0" * 32}}))
    with pytest.raises(InputError, match=r"trial.json is damaged: files.key: wanted the name of a file, found"):
        write(tmp_path)


def test_an_output_is_compared_with_all_inputs_in_linear_time(tmp_path, monkeypatch):
    names, calls, stat = [f"{number}.txt" for number in range(100)], [], Path.stat
    folder = replace(FOLDER, outputs=lambda out: [out / name for name in names])
    (tmp_path / "in").mkdir()
    inputs = [tmp_path / "in" / name for name in names]
    for path in inputs:
        path.touch()
    folder.check(tmp_path / "out", inputs)
    with folder.replaced_together(tmp_path / "out") as work:
        fill(work, "1", names)
    monkeypatch.setattr(Path, "stat", lambda path, **options: calls.append(path) or stat(path, **options))
    folder.check(tmp_path / "out", inputs)
    assert len(calls) < 10 * len(names)
    (tmp_path / "out" / "7.txt").unlink()
    os.link(inputs[50], tmp_path / "out" / "7.txt")
    with pytest.raises(InputError, match=r"7\.txt: it is one of the inputs"):
        folder.check(tmp_path / "out", inputs)


def test_a_second_run_into_a_folder_is_refused(tmp_path):
    write(tmp_path)
    message = f"^another trial is writing {tmp_path}; wait for it, or choose another folder with -o$"
    with FOLDER.replaced_together(tmp_path), pytest.raises(InputError, match=message):
        write(tmp_path)
    with FOLDER.replaced_together(tmp_path), pytest.raises(InputError, match=message):
        FOLDER.replaced_together(tmp_path).__enter__()
    write(tmp_path)


def test_the_folder_of_a_killed_run_is_removed_by_the_next(tmp_path):
    write(tmp_path, "1")
    (tmp_path / ".unfinished-abc" / "deep").mkdir(parents=True)
    fill(tmp_path / ".unfinished-abc", "half")
    write(tmp_path, "2")
    assert set(contents(tmp_path)) == {*NAMES, "trial.json"}
    assert (tmp_path / "a.csv").read_text() == "2"
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_was_killed_while_it_moved_its_files_does_not_block_the_next(tmp_path):
    write(tmp_path, "1")
    work = tmp_path / ".unfinished-abc"
    work.mkdir()
    fill(work, "2")
    (work / "trial.json").replace(tmp_path / "trial.json")
    (work / "a.csv").replace(tmp_path / "a.csv")
    FOLDER.check(tmp_path, [])
    write(tmp_path, "3")
    assert (tmp_path / "b.csv").read_text() == "3"


def test_a_failed_run_leaves_the_earlier_files_and_removes_a_new_folder(tmp_path):
    write(tmp_path / "out")
    before = contents(tmp_path / "out")
    for out in ("out", "new"):
        FOLDER.check(tmp_path / out, [])
        with pytest.raises(FileNotFoundError), FOLDER.replaced_together(tmp_path / out) as work:
            fill(work, "2", ["a.csv", "no folder/of this/name"])
    assert contents(tmp_path / "out") == before
    assert not (tmp_path / "new").exists()


def test_temporary_files_of_a_killed_training_are_removed_by_the_next_run(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    gone, own = ["model.safetensors.77.tmp", "README.md.1.tmp"], ["model.safetensors.x.tmp", "notes.77.tmp"]
    for name in gone + own:
        (out / name).write_text("half")
    with RunFolder(out, resume=False, say=print):
        pass
    assert sorted(path.name for path in out.glob("*.tmp")) == sorted(own)


def test_temporary_files_of_a_killed_export_are_removed_and_those_of_a_running_one_stay(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [f"t.csv.{number}.tmp" for number in (ended.pid, os.getpid())]
    for name in (*names, f"u.csv.{ended.pid}.tmp"):
        (tmp_path / name).write_text("half")
    check_output(tmp_path / "t.csv")
    assert {path.name for path in tmp_path.iterdir()} == {names[1], f"u.csv.{ended.pid}.tmp"}


def test_names_with_special_characters_are_not_patterns(tmp_path):
    (tmp_path / "ab.csv.7.tmp").write_text("mine")
    remove_abandoned(tmp_path, ["a*.csv", "[a]b.csv"], locked=True)
    assert (tmp_path / "ab.csv.7.tmp").exists()


@pytest.mark.slow
def test_a_killed_survey_leaves_nothing_behind_after_the_next(small, sounds, cache, tmp_path):
    command = [sys.executable, "-m", "audiosae", "survey", str(small), str(sounds), "-o", str(tmp_path / "out"), "-q"]
    killed = subprocess.Popen([*command, "--cache", str(cache)])
    while not list(tmp_path.glob("out/.unfinished-*")):
        assert killed.poll() is None
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert list(tmp_path.glob("out/.unfinished-*"))
    assert subprocess.run([*command, "--cache", str(cache)], check=False).returncode == 0
    assert not list((tmp_path / "out").glob(".*"))
    facts = json.loads((tmp_path / "out" / "survey.json").read_text())
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {*facts["files"], "survey.json"}


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_export_does_not_replace_an_edited_table(trained, sounds, cache, run, tmp_path, suffix):
    table = tmp_path / f"t.{suffix}"
    command = ("export", trained, sounds, "--cache", cache, "-q", "-o")
    assert run(*command, table)[0] == run(*command, table)[0] == 0
    table.write_bytes(table.read_bytes() + b"\n")
    code, _, err = run(*command, table)
    assert code == 1
    assert f"cannot write {table}: it was changed after the export that wrote it; choose another output" in err
    assert run(*command, tmp_path / f"u.{suffix}")[0] == 0


def test_tables_that_share_a_description_each_have_a_digest(trained, sounds, cache, run, tmp_path):
    command = ("export", trained, sounds, "--cache", cache, "-q", "-o")
    for _ in range(2):
        for suffix in ("csv", "npz"):
            assert run(*command, tmp_path / f"t.{suffix}")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.json", "t.npz"]
    digests = json.loads((tmp_path / "t.json").read_text())["tables"]
    assert digests == {name: quick_digest(tmp_path / name) for name in ("t.csv", "t.npz")}
    (tmp_path / "t.parquet").write_bytes(b"mine")
    code, _, err = run(*command, tmp_path / "t.parquet")
    assert (code, "audiosae did not write it" in err) == (1, True)


def test_evaluate_does_not_replace_edited_predictions(tmp_path):
    (tmp_path / "predictions.csv").write_text("file,label\n")
    facts = {"results": [], "chance": 0.5, "model": "run"}
    write_results(facts, tmp_path)
    assert [*facts["files"]] == ["predictions.csv"]
    EVALUATION_FOLDER.check(tmp_path, [])
    (tmp_path / "predictions.csv").write_text("file,label,comment\n")
    with pytest.raises(InputError, match="predictions.csv: it was changed after the evaluation that wrote it; choose"):
        EVALUATION_FOLDER.check(tmp_path, [])


def test_find_does_not_replace_an_edited_table_or_page(trained, sounds, cache, run, tmp_path):
    for name, added in (("like.csv", b"\n"), ("like.html", b"<p>mine</p>")):
        path = tmp_path / name
        command = ("find", trained, sounds, "--like", sounds / "tone_03.wav", "--cache", cache, "-q", "-o", path)
        assert [run(*command)[0] for _ in range(2)] == [0, 0]
        path.write_bytes(path.read_bytes() + added)
        code, _, err = run(*command)
        assert (code, f"cannot write {path}: it was changed after the " in err) == (1, True), err
    assert json.loads((tmp_path / "like.json").read_text())["like"] == f"--like {sounds / 'tone_03.wav'}"
