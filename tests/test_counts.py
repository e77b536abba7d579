"""The same thing has the same number in all commands, or words that tell the numbers apart."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

from audiosae.views.evaluation_page import _row


def test_the_windows_of_a_run_add_up_and_say_what_they_are_for(sounds, trained, run, tmp_path):
    inspected = json.loads(run("inspect", sounds, "--json")[1])["windows"]
    shown = json.loads(run("report", trained, sounds, "-o", tmp_path / "r.html", "--json")[1])["windows"]
    code, out, _ = run("train", sounds, "-o", tmp_path / "run", "--hidden", 2, "--epochs", 1)
    training, held_out = map(int, re.search(r"(\d+) windows of 16 x 40 for training, (\d+) held out\)", out).groups())
    assert (code, inspected, shown) == (0, training + held_out, training + held_out)
    assert f"| windows | {training} of 16 x 40 for training |" in (tmp_path / "run" / "README.md").read_text()
    assert f"{training} windows for training; held out: " in run("info", tmp_path / "run")[1]


@pytest.mark.parametrize("accuracy", [0.95251, 0.9525, 0.9524999, 0.12345, 1.0, 0.0])
def test_both_tables_of_the_evaluation_page_show_the_same_accuracy(accuracy):
    result = {"name": "nmf", "accuracy": accuracy, "stderr": 0.01, "features": 3, "probing": [], "groups": 0.0}
    row = _row(result)
    assert row["accuracy"].split(" ")[0] == row["all"] == f"{100 * accuracy:.1f}"
    assert "row.bar | round" not in (files("audiosae.views") / "templates" / "evaluation.html.j2").read_text()
