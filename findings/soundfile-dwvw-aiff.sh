#!/usr/bin/env bash
# soundfile writes AIFF with delta with variable word width (DWVW), but cannot read it as it reads other files.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    what soundfile.write accepts, soundfile.read reads.
# Seen:     the file says that it is seekable, so soundfile seeks after the samples were decoded; libsndfile cannot seek
#           in this encoding, and read raises LibsndfileError although every sample was decoded (16 and 24 bits alike).
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
for subtype in ("PCM_16", "DWVW_16", "DWVW_24"):
    sf.write("sound.aiff", sound, rate, subtype=subtype)
    with sf.SoundFile("sound.aiff") as file:
        out = np.zeros(rate)
        try:
            file.read(out=out)
            message = ""
        except sf.LibsndfileError as error:
            message = str(error)
        seen[subtype] = file.seekable(), message, float(np.abs(out - sound).max())
        print(f"{subtype}: seekable {seen[subtype][0]}, {message or 'read'}, error of samples {seen[subtype][2]:.1e}")
assert seen["PCM_16"][1] == ""
for subtype in ("DWVW_16", "DWVW_24"):
    seekable, message, error = seen[subtype]
    assert seekable and message and error < 1e-3
PYTHON
