"""Measure everything, print the table, write JSON: ``python -m benchmarks [--short] [--only steps,gpu]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import cluster, gpu, reading, steps, survey, whole
from benchmarks.measure import machine

PARTS = {
    "steps": steps.figures,
    "reading": reading.figures,
    "whole": whole.figures,
    "survey": survey.figures,
    "cluster": cluster.figures,
    "gpu": gpu.figures,
}
ALONE = ["gpu"]  # not unless it is asked for


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small sizes: whether it runs, not how fast")
    parser.add_argument(
        "--only", default=",".join(p for p in PARTS if p not in ALONE), help="parts, with commas between"
    )
    parser.add_argument("-o", "--out", type=Path, help="JSON file")
    given = parser.parse_args()
    found = []
    for name in given.only.split(","):
        for figure in PARTS[name](short=given.short):
            print(f"{figure.name}: {figure.value:.3g} (bar {figure.bar:g})", file=sys.stderr, flush=True)
            found.append(figure)
    print(whole.show(found, machine()))
    if given.out:
        whole.dump(found, machine(), given.out)


if __name__ == "__main__":
    main()
