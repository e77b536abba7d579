"""Measure everything, print the table, write JSON: ``python -m benchmarks [--short] [--only steps,gpu]``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from audiosae.errors import AudiosaeError
from benchmarks import cluster, gpu, reading, steps, table, whole
from benchmarks.measure import machine

PARTS = {
    "steps": steps.figures,
    "reading": reading.figures,
    "whole": whole.figures,
    "table": table.figures,
    "cluster": cluster.figures,
    "gpu": gpu.figures,
}
ALONE = ["gpu"]  # not unless it is asked for
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small sizes: whether it runs, not how fast")
    parser.add_argument(
        "--only", default=",".join(p for p in PARTS if p not in ALONE), help="parts, with commas between"
    )
    parser.add_argument("-o", "--out", type=Path, help="JSON file; the table goes beside it, as .md.  [of a card: in "
                                                       "results/, by date and device]")  # fmt: skip
    given = parser.parse_args()
    began, found, facts = time.perf_counter(), [], {"date": date.today().isoformat()} | machine()  # noqa: DTZ011
    for name in given.only.split(","):
        for figure in PARTS[name](short=given.short):
            print(f"{figure.name}: {figure.shown} (bar {figure.bar:g})", file=sys.stderr, flush=True)
            found.append(figure)
    facts["minutes"] = round((time.perf_counter() - began) / 60, 1)
    table = whole.show(found, facts)
    print(table)
    out = given.out or (None if given.short or "gpu" not in given.only.split(",") else place(facts))
    if out:
        whole.dump(found, facts, out)
        out.with_suffix(".md").write_text(table + "\n", encoding="utf-8")


def place(facts: dict[str, Any]) -> Path:
    """Return where the figures of a card are kept, by date and device."""
    device = re.sub(r"[^a-z0-9]+", "-", str(facts["gpu"]).split(" (")[0].lower()).strip("-")
    return RESULTS / f"{facts['date']}-{device}.json"


if __name__ == "__main__":
    try:
        main()
    except AudiosaeError as error:  # no card, for one
        sys.exit(str(error))
