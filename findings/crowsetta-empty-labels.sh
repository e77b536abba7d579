#!/usr/bin/env bash
# crowsetta cannot read annotations without a text, and Raven tables whose frequencies are whole numbers.
#
# Versions: crowsetta 5.1.2, pandas 3.1.1, pandera 0.35.0, numpy 2.4.6.
# Guess:    Audacity writes a label track whose labels have no text, and Raven a selection table with an empty
#           annotation; both are read, with an empty label. A table with 100 instead of 100.0 Hz is read, too.
# Seen:     each raises SchemaError for the whole file: the label may not be null, and the frequency must be a float.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  crowsetta==5.1.2 pandas==3.1.1 pandera==0.35.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata

from crowsetta.formats.bbox import Raven
from crowsetta.formats.seq import AudSeq

assert importlib.metadata.version("crowsetta") == "5.1.2", "another version"
head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
row = "{}\tSpectrogram 1\t1\t{}.1\t{}.2\t{}\t{}\t{}\n"


def raven(low, high, text):
    return head + row.format(1, 0, 0, low, high, "song") + row.format(2, 1, 1, low, high, text)


files = {
    "Audacity": (AudSeq, "0.1\t0.2\tsong\n0.3\t0.4\tcall\n"),
    "Audacity, one label empty": (AudSeq, "0.1\t0.2\tsong\n0.3\t0.4\t\n"),
    "Raven": (Raven, raven("100.5", "200.5", "call")),
    "Raven, one annotation empty": (Raven, raven("100.5", "200.5", "")),
    "Raven, frequencies of whole hertz": (Raven, raven("100", "200", "call")),
}
seen = {}
for name, (form, content) in files.items():
    with open("annotations.txt", "w") as file:
        file.write(content)
    try:
        form.from_file("annotations.txt", **({"annot_col": "Annotation"} if form is Raven else {}))
        seen[name] = "read"
    except Exception as error:  # pandera's SchemaError
        seen[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    print(f"{name}: {seen[name]}")
assert [text.split(":")[0] for text in seen.values()] == ["read", "SchemaError", "read", "SchemaError", "SchemaError"]
PYTHON
