#!/usr/bin/env bash
# soundfile cannot write an MP3 of variable bit rate with compression_level=1.0, the end of the documented range.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    compression_level is between 0.0 and 1.0, both included, for all formats.
# Seen:     1.0 raises LibsndfileError for MP3 of variable bit rate, and 0.99 works. FLAC and Ogg Vorbis take 1.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import soundfile as sf

assert (sf.__version__, sf.__libsndfile_version__) == ("0.14.0", "1.2.2"), "another version"
rate = 22050
sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
seen = {}
for name, mode in (("sound.flac", None), ("sound.ogg", None), ("sound.mp3", "VARIABLE")):
    for level in (0.0, 0.99, 1.0):
        try:
            sf.write(name, sound, rate, compression_level=level, bitrate_mode=mode)
            seen[name, level] = "written"
        except sf.LibsndfileError as error:
            seen[name, level] = f"LibsndfileError: {error.error_string[:40]}"
        print(f"{name}, compression_level={level}: {seen[name, level]}")
failed = [key for key, text in seen.items() if text != "written"]
assert failed == [("sound.mp3", 1.0)]
PYTHON
