"""The figure of accuracy over the number of units: its numbers, and the tables that show them."""

from __future__ import annotations

import pytest
from conftest import REPOSITORY

from benchmarks import width


def test_means_are_over_seeds_and_errors_over_folds(tmp_path):
    model, other = [[0.8, 0.6], [0.9, 0.7]], [[0.5, 0.5], [0.5, 0.5]]
    rows = [
        {"units": 32, "seed": seed, "name": name, "folds": folds[seed], "groups": 0.25}
        for seed in (0, 1)
        for name, folds in (("model", model), ("kmeans", other))
    ]
    table = width.summary(rows)
    assert [(row["method"], row["seeds"]) for row in table] == [("model", 2), ("kmeans", 2)]
    assert (table[0]["accuracy"], table[0]["stderr"]) == pytest.approx((75, 10))
    assert (table[1]["model_ahead"], table[1]["model_ahead_stderr"]) == pytest.approx((25, 10))
    width.write(table, tmp_path / "a.csv")
    assert width.read(tmp_path / "a.csv") == table


def test_the_documents_show_the_table_of_the_figure():
    table = width.read()
    assert {row["method"] for row in table} == {"model", *width.BASELINES}
    assert width.RESULTS.with_suffix(".png").stat().st_size > 0
    assert width.markdown(table) in (REPOSITORY / "benchmarks/results/worth.md").read_text(encoding="utf-8")
    of = {row["method"]: f"{row['accuracy']:.1f}" for row in table if row["units"] == 512}
    of["random"] = of["random-weights"]
    figures, readme = (
        " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
        for page in ("benchmarks/README.md", "README.md")
    )
    row = "| {model} | k-means {kmeans}, NMF {nmf}, random weights {random}, MFCC {mfcc} |"
    text = "512 units): {model} per cent; k-means {kmeans}, random weights {random}, MFCC {mfcc};"
    assert row.format_map(of) in figures
    assert text.format_map(of) in readme
    assert "benchmarks/results/width.png" in (REPOSITORY / "docs/explanation/evaluation.md").read_text(encoding="utf-8")
