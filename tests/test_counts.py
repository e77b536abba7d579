"""The same thing has the same number in all commands, or words that tell the numbers apart."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import numpy as np
import pytest
from signals import write

from audiosae.views.evaluation_page import _row


def test_the_windows_of_a_run_add_up_and_say_what_they_are_for(sounds, trained, run, tmp_path):
    inspected = json.loads(run("inspect", sounds, "--json")[1])["windows"]
    shown = json.loads(run("report", trained, sounds, "-o", tmp_path / "r.html", "--json")[1])["windows"]
    code, out, _ = run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 1)
    training, held_out = map(int, re.search(r"(\d+) windows of 16 x 40 for training, (\d+) held out\)", out).groups())
    assert (code, inspected, shown) == (0, training + held_out, training + held_out)
    assert f"| windows | {training} of 16 x 40 for training |" in (tmp_path / "run" / "README.md").read_text()
    assert f"{training} windows for training; held out: " in run("info", tmp_path / "run")[1]


def test_windows_that_are_left_out_and_short_sources_are_counted(tmp_path, run):
    rng = np.random.default_rng(0)
    for number in range(3):  # a quarter of each recording is silent
        write(tmp_path / "in" / f"{number}.wav", rng.normal(0, 0.1, 8000) * np.repeat([1.0, 0.0], [6000, 2000]), 8000)
    write(tmp_path / "in" / "short.wav", rng.normal(0, 0.1, 900), 8000)
    inspected = json.loads(run("inspect", tmp_path / "in", "--json")[1])
    options = ("-o", tmp_path / "run", "--hidden", 2, "--epochs", 1, "--set", "silence=30")
    code, out, _ = run("train", tmp_path / "in", *options)
    assert (code, "skipped               1: shorter than a window (1)" in out) == (0, True)
    parts = re.search(r"(\d+) windows of .* for training, (.*) left out as silent or blank\)", out)
    windows = [int(parts[1]), *map(int, re.findall(r"\d+", parts[2]))]
    assert sum(windows) == inspected["windows"]
    assert 0.15 < windows[-1] / sum(windows) < 0.35
    code, out, err = run("report", tmp_path / "run", tmp_path / "in", "-o", tmp_path / "r.html")
    assert f"{sum(windows[:-1])} windows ({windows[-1]} left out as silent or blank) of 3 sources (1 skipped)" in out
    assert "skipped short.wav: shorter than a window" in err
    _, out, err = run("export", tmp_path / "run", tmp_path / "in", "-o", tmp_path / "t.csv")
    assert "of 4 sources" in out
    padded = "1 of 4 sources are shorter than a window and are padded (train and report skip them): short.wav"
    assert padded in err.splitlines()


def test_many_sources_that_are_skipped_for_one_reason_are_one_line(tmp_path, run, trained, sounds):
    for number in range(5):
        (tmp_path / f"{number}.wav").write_bytes(b"no sound")
    (tmp_path / "empty.wav").touch()
    code, out, err = run("export", trained, sounds, tmp_path, "-o", tmp_path / "t.csv")
    skipped = [line for line in err.splitlines() if line.startswith("skipped ")]
    of = int(re.search(r"of (\d+) sources", out)[1]) + 6
    assert (code, len(skipped)) == (0, 2)
    assert skipped[0].startswith(f"skipped 5 of {of} sources, undecodable: ")
    assert re.search(r"0\.wav, \S+1\.wav, \S+2\.wav and 2 more$", skipped[0])
    assert skipped[1].endswith("empty.wav: empty: zero bytes")


@pytest.mark.parametrize("accuracy", [0.95251, 0.9525, 0.9524999, 0.12345, 1.0, 0.0])
def test_both_tables_of_the_evaluation_page_show_the_same_accuracy(accuracy):
    result = {"name": "nmf", "accuracy": accuracy, "stderr": 0.01, "std": 0.02, "features": 3, "folds": [accuracy] * 2}
    result |= {"interval": (0.1, 0.9), "probing": [], "groups": 0.0, "v_measure": 0.0}
    assert _row(result)["scores"].accuracy == f"{100 * accuracy:.1f}"
    assert "row.bar | round" not in (files("audiosae.views") / "templates" / "evaluation.html.j2").read_text()
