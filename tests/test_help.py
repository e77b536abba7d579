"""Help: examples, groups of options, completion, and suggestions for wrong names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import once
from runs import copy_some_samples, shortened

from audiosae.cli import COMMANDS as DECLARED
from audiosae.cli import app

EXAMPLES = {command.name: command.example for command in DECLARED}
GROUP = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)
SCRIPTS = Path(sys.executable).parent


def test_every_command_has_an_example():
    assert sorted(EXAMPLES) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example_in_one_line_that_can_be_parsed(run, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    code, out, _ = run(name, "--help")
    lines = out.rstrip().splitlines()
    assert code == 0
    assert lines[-2:] == ["Example:", f"  {EXAMPLES[name]}"]
    program, command, *arguments = shlex.split(EXAMPLES[name])
    assert (program, command) == ("audiosae", name)
    GROUP.commands[name].make_context(name, arguments)  # an unknown option would raise


@pytest.mark.slow
def test_every_example_runs(tmp_path, cache, monkeypatch):
    copy_some_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    once([*shortened("audiosae train samples/sounds -o second-run --seed 1"), "-q"])  # the second model of `diff`
    for name, example in EXAMPLES.items():
        if name not in {"cache", "samples"}:  # the other tests need the cache; all samples are compared in test_samples
            once([*shortened(example), "-q"])
    for written in ("some.png", "features.csv", "report.html", "found/index.html", "like.html", "diff.html"):
        assert (tmp_path / written).stat().st_size > 1000, written


def test_long_lists_of_options_are_grouped_completely(run):
    text = run("train", "--help")[1]
    parts = re.split(r"\n(\w+):\n", text)
    groups = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(groups) == ["Arguments", "Input", "Model", "Training", "Machine", "Output", "Example"]
    for option, group in {
        "--set": "Input",
        "--hidden": "Model",
        "--epochs": "Training",
        "--resume": "Training",
        "--workers": "Machine",
        "--out": "Output",
        "--help": "Output",
    }.items():
        assert option in groups[group], option
    for param in GROUP.commands["train"].params:
        assert all(name in text for name in param.opts if name.startswith("--"))


def test_short_lists_are_not_grouped(run):
    assert "\nOptions:\n" in run("info", "--help")[1]
    assert "\nMethod:\n" in run("evaluate", "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [(["trian"], "'train'"), (["surveys"], "'survey'"), (["train", "x", "-o", "y", "--hiden", "3"], "--hidden")],
)
def test_the_nearest_name_is_suggested_for_an_unknown_one(run, arguments, nearest):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert nearest in err


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (2, "trian x"),
        (2, "train x -o y --hiden 3"),
        (2, "train x"),
        (2, "train x -o y --epochs many"),
        (2, "train x -o y --solver newton"),
        (2, "train x -o y --workers 0"),
        (2, "find x y --like z -n 0"),
        (1, "train nowhere -o y"),
        (1, "info nowhere"),
        (1, "train x -o y --hidden 0"),
        (1, "train x -o y --set n_mel=3"),
        (1, "train x -o y --memory much"),
        (1, "train x -o y --domain sound"),
        (1, "survey x y -o z --types 0"),
    ],
)
def test_status_is_2_for_wrong_usage_and_1_for_unusable_values(run, status, command):
    code, out, err = run(*command.split())
    assert (code, out, err.count("\n")) == (status, "", 1)
    assert ("--help)" in err) == (status == 2)


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --com")])
def test_the_script_of_a_named_shell_is_printed(run, shell, words):
    code, out, _ = run("--show-completion", shell)
    assert code == 0
    assert words in out
    assert "_AUDIOSAE_COMPLETE" in out
    assert run("--show-completion", "csh")[0] == 2


@pytest.mark.parametrize(("typed", "found"), [("sur", ["survey"]), ("train --whit", ["--whiten", "--whiten-power"])])
def test_bash_completes(typed, found):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed: its completion is not tested")
    if not (SCRIPTS / "audiosae").exists():
        pytest.skip("audiosae is not installed as a script: pip install -e .")
    words = ["audiosae", *typed.split()]
    script = f"""eval "$(audiosae --show-completion bash)"
COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
_audiosae_completion audiosae; echo "${{COMPREPLY[*]}}" """
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        [bash, "-c", script], check=True, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert told.stdout.split() == found
