#!/usr/bin/env bash
# aru_metadata_parser, with which opensoundscape reads the names of recordings, finds dates in names that have none.
#
# Versions: aru_metadata_parser 1.0.0, python-dateutil 4.0.0.
# Guess:    a name such as bird_07.wav or R4_S02_may.wav has no date, which is an error, as of a name without digits.
# Seen:     it is a date of the present month or year, so the same file has another date when it is read next month: the
#           parts that a name does not state are those of today (fuzzy parsing of dateutil).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aru-metadata-parser==1.0.0 python-dateutil==4.0.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import datetime
import importlib.metadata

from aru_metadata_parser.parse import parse_aru_file_start_time

assert importlib.metadata.version("aru_metadata_parser") == "1.0.0", "another version"
today, seen = datetime.date.today(), {}
for name in ("site07_20240601_053000.wav", "bird_07.wav", "R4_S02_may.wav"):
    seen[name] = parse_aru_file_start_time(name)
    print(f"{name}: {seen[name]} (today is {today})")
assert seen["site07_20240601_053000.wav"] == datetime.datetime(2024, 6, 1, 5, 30)
assert seen["bird_07.wav"].date() == today.replace(day=7)
assert (seen["R4_S02_may.wav"].year, seen["R4_S02_may.wav"].month) == (today.year, 5)
PYTHON
