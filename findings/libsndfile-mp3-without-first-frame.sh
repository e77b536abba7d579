#!/usr/bin/env bash
# libsndfile reads a variable-bit-rate MP3 only in part if the file does not begin with a frame of information.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    where no Xing or Info frame states the length (it is optional: an encoder that writes to a pipe cannot go
#           back to fill it in), the number of frames may be an estimate, but reading goes on to the end of the file.
# Seen:     the length is the file's size over the size of the first frame, and reading stops there without an error:
#           3.6 of 12 seconds if the recording begins with a loud part.
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
time = np.arange(12 * rate) / rate
sound = 0.3 * np.sin(2 * np.pi * 440 * time) * (time > 3) + 0.1 * rng.normal(size=time.size) * (time < 6)
sf.write("with.mp3", sound, rate, bitrate_mode="VARIABLE", compression_level=0.3)
data = open("with.mp3", "rb").read()
assert b"Xing" in data[:64]
kbit = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160][data[2] >> 4]  # MPEG-2, layer III
length = 72 * kbit * 1000 // rate + (data[2] >> 1 & 1)
assert data[length] == 0xFF and data[length + 1] & 0xE0 == 0xE0, "the second frame begins here"
open("without.mp3", "wb").write(data[length:])
seconds = {name: len(sf.read(name)[0]) / rate for name in ("with.mp3", "without.mp3")}
print(f"seconds read: {seconds}")
assert abs(seconds["with.mp3"] - 12) < 0.1
assert seconds["without.mp3"] < 5
PYTHON
