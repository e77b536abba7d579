#!/usr/bin/env bash
# soundfile writes an MP3 of variable bit rate where a constant one is asked for, unless compression_level is given too.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    bitrate_mode="CONSTANT" gives a constant bit rate, at the default level of compression.
# Seen:     without compression_level, the bytes are the same for CONSTANT, AVERAGE, VARIABLE and no mode: a variable
#           bit rate. With a level the modes differ. No error or warning is given.
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
rate, rng = 22050, np.random.default_rng(0)
time = np.arange(6 * rate) / rate
sound = 0.3 * np.sin(2 * np.pi * 440 * time) * (time > 3) + 0.1 * rng.normal(size=time.size) * (time < 2)
content = {}
for level in (None, 0.5):
    for mode in (None, "CONSTANT", "AVERAGE", "VARIABLE"):
        sf.write("sound.mp3", sound, rate, bitrate_mode=mode, compression_level=level)
        content[level, mode] = data = open("sound.mp3", "rb").read()
        kind = "variable (Xing)" if b"Xing" in data[:100] else "constant (Info)" if b"Info" in data[:100] else "?"
        print(f"compression_level={level}, bitrate_mode={mode}: {len(data)} bytes, {kind}")
    print(f"different files: {len({data for (_, mode), data in content.items() if _ == level})}")
assert len({content[None, mode] for mode in (None, "CONSTANT", "AVERAGE", "VARIABLE")}) == 1
assert len({content[0.5, mode] for mode in ("CONSTANT", "AVERAGE", "VARIABLE")}) == 3
assert b"Xing" in content[None, "CONSTANT"][:100] and b"Info" in content[0.5, "CONSTANT"][:100]
PYTHON
