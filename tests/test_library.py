"""Python functions: the same files, messages and errors as the commands."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, once

import audiosae
from audiosae import cli
from audiosae.errors import InputError
from audiosae.system.progress import Bar, ProgressBars
from audiosae.system.spelling import with_arguments


@pytest.fixture
def mixed(sounds, tmp_path):
    """The twelve sounds in two folders, and a file that is not a sound."""
    for number in range(12):
        folder = tmp_path / "mixed" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"tone_{number:02d}.wav").symlink_to(sounds / f"tone_{number:02d}.wav")
    (tmp_path / "mixed" / "broken.wav").write_bytes(b"no sound")
    return tmp_path / "mixed"


def test_train_writes_the_same_bits_as_the_command(sounds, trained, tmp_path):
    run = audiosae.train(str(sounds), tmp_path / "run", hidden=12, epochs=8)
    for name in ("model.safetensors", "journal.csv", "atoms.png"):
        assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes(), name
    assert run.summary["sources_used"] == len(run.used) == 12
    assert run.summary["model"] == str(tmp_path / "run" / "model.safetensors")


def test_train_without_a_folder_gives_the_same_model_and_writes_nothing(sounds, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = audiosae.train(sounds, hidden=12, epochs=8)
    assert list(tmp_path.iterdir()) == []
    assert (run.folder, run.summary["run"], run.summary["model"]) == (None, None, None)
    run.model.save(str(tmp_path / "saved.safetensors"))
    assert (tmp_path / "saved.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_every_result_lists_the_skipped_sources(mixed, trained, tmp_path):
    run = audiosae.train(mixed, hidden=4, epochs=1)
    table = audiosae.export(trained, mixed)
    found = audiosae.survey(trained, mixed, types=2)
    labels = tmp_path / "l.csv"
    files = [f"{folder}/{path.name},{folder}" for folder in "ab" for path in sorted((mixed / folder).iterdir())]
    labels.write_text("\n".join(["filename,label", "broken.wav,a", *files]))
    evaluation = audiosae.evaluate(trained, mixed, labels, baselines="none")
    like = audiosae.find(trained, mixed, mixed / "a" / "tone_00.wav")
    page = audiosae.report(trained, mixed, tmp_path / "report.html")
    for result in (run, table, found, evaluation, like, page):
        assert [record.file for record in result.skipped] == ["broken.wav"]
        assert any("broken.wav" in line for line in result.notes) == (result is not run)


def test_error_messages_are_those_of_the_command_line_with_arguments_for_flags(run, trained, sounds, tmp_path):
    calls = {
        "train --hidden 0": lambda: audiosae.train(sounds, tmp_path / "r", hidden=0),
        "train --set n_mel=3": lambda: audiosae.train(sounds, tmp_path / "r", settings={"n_mel": 3}),
        "export --pool mode": lambda: audiosae.export(trained, sounds, tmp_path / "r.csv", pool="mode"),
        "export --label-column x": lambda: audiosae.export(trained, sounds, label_column="x"),
        "survey --types 0": lambda: audiosae.survey(trained, sounds, tmp_path / "r", types=0),
        "evaluate --labels nowhere.csv": lambda: audiosae.evaluate(trained, sounds, "nowhere.csv"),
        "find --like nowhere.wav": lambda: audiosae.find(trained, sounds, "nowhere.wav", tmp_path / "r.csv"),
        "report --label-column x": lambda: audiosae.report(trained, sounds, tmp_path / "r", label_column="x"),
        "report --top 3": lambda: audiosae.report(trained, sounds, tmp_path / "r", top=3),
        "diff": lambda: audiosae.diff(trained, sounds, tmp_path / "r"),
    }
    for command, call in calls.items():
        name, *options = command.split()
        out = [] if name == "evaluate" else ["-o", tmp_path / ("r.csv" if name in {"export", "find"} else "r")]
        code, _, err = run(name, *([] if name == "train" else [trained]), sounds, *out, *options, "-q")
        with pytest.raises(InputError) as error:
            call()
        assert (code, with_arguments(err.strip())) == (1, f"audiosae: {error.value}"), command
        assert "--" not in str(error.value)
        assert name in {"report", "diff"} or "--" in err


def test_messages_have_arguments_for_flags(sounds, tmp_path, trained):
    (tmp_path / "in").mkdir()
    for number in range(2):
        (tmp_path / "in" / f"20260101_0{number}3000.wav").symlink_to(sounds / "tone_00.wav")
    notes = audiosae.export(trained, tmp_path / "in").notes
    assert any(note.endswith("no time zone; give that of the recorder's clock with time_zone") for note in notes)
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match="^strict: 1 source skipped; the others were used$"):
        audiosae.export(trained, tmp_path / "in", strict=True)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("--min-gap x: wanted auto", 'min_gap="x": wanted auto'),
        ("--rho 2: wanted less", "rho=2: wanted less"),
        ("--set fmin=1 fmax=x: wanted less", 'settings={"fmin": 1, "fmax": "x"}: wanted less'),
        ("--set fmin=1 --set frames=8 uses", 'settings={"fmin": 1, "frames": 8} uses'),
        ("leave --engine out, or use --level file", 'leave engine out, or use level="file"'),
        ("--tf32 --engine local:2: no", 'tf32 engine="local:2": no'),
        ("--whiten-power 2 --keep -1: wanted more", "whiten_power=2 keep=-1: wanted more"),
        ("give it with --time-zone; choose another with -o", "give it with time_zone; choose another with out"),
        ("not used; audiosae cache --prune removes them", "not used; audiosae cache --prune removes them"),
        ("a--b.wav, c -o--", "a--b.wav, c -o--"),
    ],
)
def test_flags_become_arguments(message, expected):
    assert with_arguments(message) == expected
    assert with_arguments(expected) == expected


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("level", ["file", "window"])
def test_a_table_in_memory_equals_that_in_a_file(trained, mixed, tmp_path, suffix, level):
    (mixed / "=odd.wav").symlink_to((mixed / "a" / "tone_00.wav").resolve())
    in_memory = audiosae.export(trained, mixed, level=level, labels="folder")
    written = audiosae.export(trained, mixed, tmp_path / f"t.{suffix}", level=level, labels="folder")
    assert written.path == tmp_path / f"t.{suffix}"
    assert written.features.dtype == in_memory.features.dtype == np.float32
    assert np.array_equal(written.features, in_memory.features)
    assert written.columns == in_memory.columns == list(in_memory.keys)
    assert all(np.array_equal(written.keys[name], in_memory.keys[name]) for name in in_memory.columns)
    assert len(in_memory) == len(in_memory.keys["file"]) == len(in_memory.features)
    assert "=odd.wav" in in_memory.keys["file"]


def test_a_table_converts_to_a_pandas_frame(trained, sounds):
    table = audiosae.export(trained, sounds, pool=["mean"])
    frame = table.frame()
    assert list(frame.columns) == [*table.columns, *table.names]
    assert frame["u003_mean"].to_numpy().tolist() == table.features[:, 3].tolist()
    assert len(audiosae.survey(trained, sounds).frame()) >= 1


def test_a_frame_without_pandas_is_a_clear_error(trained, sounds, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas"):
        audiosae.export(trained, sounds).frame()


def test_survey_writes_the_same_files_as_the_command(trained, sounds, tmp_path):
    once(["survey", trained, sounds, "-o", tmp_path / "shell", "--types", "3", "-q"])
    found = audiosae.survey(audiosae.load_model(trained), [sounds], tmp_path / "python", types=3)
    names = sorted(path.name for path in (tmp_path / "shell").iterdir())
    assert sorted(path.name for path in (tmp_path / "python").iterdir()) == names
    for name in ("events.csv", "types.csv", "types.safetensors"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "shell" / name).read_bytes(), name
    facts = json.loads((tmp_path / "shell" / "survey.json").read_text())
    assert {key for key in facts if facts[key] != json.loads(json.dumps(found.facts))[key]} == {"folder", "page"}


@pytest.mark.parametrize("suffix", ["csv", "html"])
def test_find_gives_the_same_moments_as_the_command(trained, sounds, tmp_path, suffix, run):
    shell, like = tmp_path / f"shell.{suffix}", f"{sounds / 'tone_00.wav'}@0.1-0.4"
    facts = json.loads(run("find", trained, sounds, "--like", like, "-n", 3, "-o", shell, "--json")[1])
    found = audiosae.find(audiosae.load_model(trained), [sounds], like, tmp_path / f"python.{suffix}", count=3)
    assert (tmp_path / f"python.{suffix}").read_bytes() == shell.read_bytes()
    assert {key for key in facts if facts[key] != found.facts[key]} == {"table"}
    assert list(found.frame().itertuples(index=False, name=None)) == list(found.rows())
    assert "similarity" in found._repr_html_()
    assert "<caption>3 rows, from 0</caption>" in found.events._repr_html_()


def test_report_and_diff_write_the_same_pages_as_the_commands(trained, sounds, tmp_path, run):
    options = ["-o", tmp_path / "shell.html", "--labels", "folder", "--top", 2, "--json"]
    facts = json.loads(run("report", trained, sounds, *options)[1])
    page = audiosae.report(trained, sounds, tmp_path / "python.html", labels="folder", top=2)
    assert page.path.read_bytes() == (tmp_path / "shell.html").read_bytes()
    assert {key for key in facts if facts[key] != json.loads(json.dumps(page.facts))[key]} == {"report"}
    assert f'href="{page.path.as_posix()}"' in page._repr_html_()
    once(["diff", trained, trained, "-o", tmp_path / "shell.html", "-q"])
    compared = audiosae.diff(str(trained), trained, tmp_path / "python.html")
    assert compared.path.read_bytes() == (tmp_path / "shell.html").read_bytes()
    in_memory = audiosae.diff(trained, audiosae.load_model(trained), tmp_path / "python.html")
    assert in_memory.facts["groups"] == compared.facts["groups"]
    assert "a model in memory" in in_memory.path.read_text()


def test_numbers_out_of_range_are_refused_as_on_the_command_line(trained, sounds, tmp_path):
    for wrong, words in (({"top": 0}, "top=0: wanted 1 to 100"), ({"size": 9}, "size=9: wanted at least 10240")):
        with pytest.raises(InputError, match=words):
            audiosae.report(trained, sounds, tmp_path / "r.html", **wrong)
    with pytest.raises(InputError, match="count=0: wanted at least 1"):
        audiosae.find(trained, sounds, sounds / "tone_00.wav", count=0)


def test_an_evaluation_without_a_folder_writes_nothing(trained, mixed, monkeypatch, tmp_path):
    (mixed / "broken.wav").unlink()
    before = sorted(trained.rglob("*"))
    evaluation = audiosae.evaluate(trained, mixed, "folder", baselines="random-weights")
    assert sorted(trained.rglob("*")) == before
    assert evaluation.frame()["name"].tolist() == ["model", "random-weights"]
    assert "random-weights" in evaluation._repr_html_()


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_shows_facts_and_atoms_of_a_model(trained):
    shown = audiosae.load_model(trained)._repr_html_()
    page = Elements()
    page.feed(shown)
    source = next(attrs["src"] for tag, attrs in page.tags if tag == "img")
    assert source.startswith("data:image/png;base64,iVBOR")
    assert "12 sigmoid, linear output" in page.texts
    assert len(shown) < 100_000


def test_notebook_tables_escape_markup(trained, sounds):
    table = audiosae.export(trained, sounds)
    table.keys["file"][0] = "<b>"
    assert "<b>" not in table._repr_html_()
    assert "&lt;b&gt;" in table._repr_html_()


def test_save_replaces_only_model_files(trained, tmp_path):
    model = audiosae.load_model(trained)
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(InputError, match="audiosae did not write it"):
        model.save(path)
    with pytest.raises(InputError, match="it is a folder"):
        model.save(tmp_path)
    for _ in range(2):
        model.save(tmp_path / "m.safetensors")
    assert path.read_text() == "mine"
    assert model.digest == audiosae.load_model(tmp_path / "m.safetensors").digest


def test_nothing_is_printed_without_progress(trained, sounds, capfd):
    audiosae.export(trained, sounds)
    assert capfd.readouterr() == ("", "")
    audiosae.export(trained, sounds, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "encoding" in err


def test_a_notebook_without_widgets_has_a_line_for_each_stage_and_no_warning(trained, sounds, monkeypatch):
    lines = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.console.Console.out", lambda _, line, **options: lines.append(line))
    monkeypatch.setattr("audiosae.system.progress.find_spec", lambda _: None)
    audiosae.export(trained, sounds, progress=True)
    assert lines == ["reading: 12 files", "encoding: 12 files"]


def test_results_have_a_one_line_repr(trained, sounds):
    run = audiosae.train(sounds, hidden=4, epochs=1)
    assert repr(run) == "<TrainedRun: 4 units from 12 sources, 0 skipped>"
    assert repr(run.model) == "<Model: 4 units of spectrogram, windows of 16 x 40>"
    found = audiosae.survey(trained, sounds, types=2)
    assert repr(found) == f"<Survey: {len(found.events)} events of 2 types in 12 recordings; 0 skipped>"


def test_an_error_ends_the_progress_bar(trained, sounds, monkeypatch):
    ended = []
    monkeypatch.setattr(Bar, "close", lambda self: ended.append(self._bar.stop()))
    monkeypatch.setattr("audiosae.commands.export.gathered", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        audiosae.export(trained, sounds, progress=ProgressBars())
    assert len(ended) == 2  # reading, encoding


def test_no_public_name_is_a_package_or_a_module():
    modules = {path.name.removesuffix(".py") for path in (REPOSITORY / "audiosae").iterdir()}
    assert modules & {*audiosae.__all__} == set()


@pytest.mark.parametrize(
    "order", ["import audiosae.{0}, audiosae", "import audiosae; audiosae.{1}; import audiosae.{0}"]
)
def test_public_names_do_not_depend_on_what_was_imported_first(order):
    for module, name in (("commands.survey", "survey"), ("training", "train"), ("evaluation.compare", "evaluate")):
        code = f"{order.format(module, name)}; assert callable(audiosae.{name}), audiosae.{name}"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_dir_lists_exactly_the_public_names():
    assert dir(audiosae) == sorted(audiosae.__all__)
    assert all(getattr(audiosae, name) is not None for name in audiosae.__all__)
    commands = {"train", "survey", "find", "export", "evaluate", "report", "diff", "inspect"}
    assert {name for name in audiosae.__all__ if name.islower()} == commands | {"load_model"}
    assert commands <= {command.name for command in cli.COMMANDS}


PROGRAMS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(
    shutil.which("pyright", path=PROGRAMS) is None, reason="needs pyright: pip install --group types (.ci/run does)"
)
def test_the_types_of_all_public_names_are_complete(tmp_path):
    command = [shutil.which("pyright", path=PROGRAMS), "--verifytypes", "audiosae", "--ignoreexternal"]
    found = subprocess.run(
        command, check=False, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PATH": PROGRAMS}
    )
    assert "Type completeness score: 100%" in found.stdout, found.stdout[-2000:]


@pytest.mark.parametrize("name", audiosae.__all__)
def test_every_public_name_has_an_example_that_can_be_pasted(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = getattr(audiosae, name)
    module = sys.modules[found.__module__]
    examples = doctest.DocTestFinder(recurse=False).find(found, name, module=module, globs={})
    assert examples[0].examples, f"{name} has no example"
    ran = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples[0])
    assert ran.failed == 0


@pytest.mark.parametrize("name", [name for name in audiosae.__all__ if name.islower()])
def test_every_parameter_is_documented(name):
    function = getattr(audiosae, name)
    text = function.__doc__.split("Parameters\n")[1].split("Returns\n")[0]
    documented = {part for line in re.findall(r"^    (\w[\w, ]*)$", text, re.MULTILINE) for part in line.split(", ")}
    assert documented == {*inspect.signature(function).parameters}
