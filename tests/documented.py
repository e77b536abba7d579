"""The columns of all tables, as the manual documents them."""

from __future__ import annotations

import csv
import re

from conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs/reference/files.md").read_text(encoding="utf-8")
KINDS = {
    "integer": ("integer", r"-?\d+"),
    "text": ("text", r".+"),
    "time": ("text", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}([+-]\d\d:\d\d)?"),
    "date": ("date", r"\d{4}-\d\d-\d\d"),
    **dict.fromkeys(("number", "seconds", "Hz", "dB"), ("number", r"-?\d+(\.\d+)?(e-?\d+)?")),
}
EXAMPLES = {  # columns in the document that stand for many
    "best_4": r"best_\d+",
    "fold_1": r"fold_.*",
    "recall_LABEL": r"recall_.*",
    "u037": r"u\d+",
    "u037_max": r"u\d+_max",
    "u037_mean": r"u\d+_mean",
    "pca": r"(?!(file|start|end|fold|label|model)$)[\w-]+",
}


def documented():
    """Columns of every table in the manual, in order: name, kind, pattern of the cells, most decimals, row."""
    tables = {}
    for part in DOCUMENT.split("\nColumns of ")[1:]:
        names, _, text = part.partition("\n|")
        columns = []
        for number, line in enumerate(text.partition("\n\n")[0].splitlines()[2:]):
            column, unit, _ = (cell.strip() for cell in line.strip("|").split("|", maxsplit=2))
            decimals = re.search(r"(\d) decimals?", unit)
            kind = KINDS[re.split(r"[ ,]", unit)[0]]
            most = int(decimals[1]) if decimals else 99
            columns += [(name, *kind, most, number) for name in re.findall(r"`(\w+)`", column)]
        tables |= dict.fromkeys(re.findall(r"`(\w+)\.csv`", names.partition("\n")[0]), columns)
    return tables


MANUAL = documented()


def column_of(table, name):
    found = [one for one in MANUAL[table] if re.fullmatch(EXAMPLES.get(one[0], one[0]), name)]
    assert found, f"{table}.csv: column {name} is not in docs/reference/files.md"
    return found[0]


def check_csv(path, table=None):
    """Check that the columns and cells of a CSV are as documented."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    columns = [column_of(table or path.stem, name) for name in head]
    order = [column[-1] for column in columns]
    assert order == sorted(order)
    for row in rows:
        for cell, (name, _, pattern, decimals, _) in zip(row, columns, strict=True):
            assert not cell or re.fullmatch(pattern, cell), (path.name, name, cell)
            assert len(cell.partition(".")[2]) <= decimals or not re.fullmatch(r"-?\d+\.\d+", cell), (name, cell)
    return head, rows
