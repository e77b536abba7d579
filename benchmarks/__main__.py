"""Run the benchmarks, print a table, write JSON: ``python -m benchmarks [--short] [--only steps,gpu]``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from audiosae.errors import AudiosaeError
from benchmarks import cluster, gpu, reading, steps, survey, table, whole
from benchmarks.measure import machine

PARTS = {
    "steps": steps.figures,
    "reading": reading.figures,
    "whole": whole.figures,
    "table": table.figures,
    "survey": survey.figures,
    "cluster": cluster.figures,
    "gpu": gpu.figures,
}
ON_REQUEST = ["gpu"]  # not run by default
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small sizes, to check that everything runs")
    parser.add_argument(
        "--only", default=",".join(p for p in PARTS if p not in ON_REQUEST), help="parts, separated by commas"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        help="JSON file; the table is written next to it, as .md.  [for gpu: in results/, named by date and device]",
    )
    options = parser.parse_args()
    began, figures = time.perf_counter(), []
    facts = {"date": datetime.now().astimezone().date().isoformat()} | machine()
    for name in options.only.split(","):
        for figure in PARTS[name](short=options.short):
            print(f"{figure.name}: {figure.shown} (bar {figure.bar:g})", file=sys.stderr, flush=True)
            figures.append(figure)
    facts["minutes"] = round((time.perf_counter() - began) / 60, 1)
    table = whole.show(figures, facts)
    print(table)
    out = options.out or (None if options.short or "gpu" not in options.only.split(",") else result_path(facts))
    if out:
        whole.dump(figures, facts, out)
        out.with_suffix(".md").write_text(table + "\n", encoding="utf-8")


def result_path(facts: dict[str, Any]) -> Path:
    """Return the path for the figures of a GPU, named by date and device."""
    device = re.sub(r"[^a-z0-9]+", "-", str(facts["gpu"]).split(" (")[0].lower()).strip("-")
    return RESULTS / f"{facts['date']}-{device}.json"


if __name__ == "__main__":
    try:
        main()
    except AudiosaeError as error:  # such as a missing GPU
        sys.exit(str(error))
