#!/usr/bin/env bash
# metamoth reads the time zone UTC-3:30 of an AudioMoth as UTC-2:30.
#
# Versions: metamoth 1.2.2.
# Guess:    the comment of a recording from Newfoundland, "(UTC-3:30)", has its zone, as "(UTC+5:30)" has.
# Seen:     the minutes are added to the negative hours, so the zone is UTC-02:30, and all times are an hour early.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check metamoth==1.2.2
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata

from metamoth.parsing import parse_comment_version_1_2_2

assert importlib.metadata.version("metamoth") == "1.2.2", "another version"
comment = (
    "Recorded at 05:30:00 01/06/2024 ({}) by AudioMoth 24F31901603710C8 at gain setting 2 while battery state was 4.1V."
)
seen = {}
for zone in ("UTC+5:30", "UTC-3", "UTC-3:30"):
    found = parse_comment_version_1_2_2(comment.format(zone)).timezone
    seen[zone] = found.utcoffset(None).total_seconds() / 3600
    print(f"({zone}): {seen[zone]:+.1f} h")
assert seen == {"UTC+5:30": 5.5, "UTC-3": -3.0, "UTC-3:30": -2.5}
PYTHON
