#!/usr/bin/env bash
# Tables of Raven are not CSV: an annotation that begins with a quotation mark swallows the rows below it.
#
# Versions: pandas 3.1.1, pyarrow 26.0.1, numpy 2.4.6.
# Guess:    a table of Raven, a row per line with tabs, is what the usual readers of CSV read with a tab as separator.
# Seen:     Raven writes texts as they are. For CSV, a quotation mark at the begin of a field quotes all text up to the
#           next one, so pandas, pyarrow and Python's csv give one row of four, without an error. Quoting must be off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import csv

import pandas
import pyarrow
import pyarrow.csv

assert (pandas.__version__, pyarrow.__version__) == ("3.1.1", "26.0.1"), "another version"
rows = ((0.1, '"song'), (1.1, "call"), (2.1, "call"), (3.1, '6" tape"'))
with open("table.txt", "w") as file:
    file.write("Selection\tBegin Time (s)\tEnd Time (s)\tAnnotation\n")
    file.writelines(f"{number}\t{start}\t{start + 0.1:.1f}\t{text}\n" for number, (start, text) in enumerate(rows, 1))
with open("table.txt", newline="") as file:
    plain = len(list(csv.DictReader(file, delimiter="\t")))
with open("table.txt", newline="") as file:
    unquoted = len(list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)))
tabs = pyarrow.csv.ParseOptions(delimiter="\t")
seen = {
    "csv": plain,
    "pandas": len(pandas.read_csv("table.txt", sep="\t")),
    "pyarrow": len(pyarrow.csv.read_csv("table.txt", parse_options=tabs)),
    "csv without quoting": unquoted,
    "pandas without quoting": len(pandas.read_csv("table.txt", sep="\t", quoting=csv.QUOTE_NONE)),
}
for name, count in seen.items():
    print(f"{name}: {count} of {len(rows)} rows")
assert list(seen.values()) == [1, 1, 1, 4, 4]
PYTHON
