#!/usr/bin/env bash
# Recordings whose header leaves the length open, as their formats allow, cannot be read with soundfile.read.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    a FLAC with 0 as the total number of samples ("unknown") and a CAF whose audio chunk has size -1 ("to the end
#           of the file") are read to their end; programs that record to a pipe write both.
# Seen:     the FLAC has 9223372036854775807 frames, and reading it raises ValueError, because an array of that size is
#           asked for. Blocks can be read, but the one that reaches the end raises LibsndfileError, because soundfile
#           then seeks to the end. The CAF is called malformed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct

import numpy as np
import soundfile as sf

assert (sf.__version__, sf.__libsndfile_version__) == ("0.14.0", "1.2.2"), "another version"
rate = 22050
sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
sf.write("sound.flac", sound, rate)
data = bytearray(open("sound.flac", "rb").read())
assert data[:4] == b"fLaC" and int.from_bytes(data[21:26], "big") & (1 << 36) - 1 == len(sound)
data[21] &= 0xF0  # the 36 bits of the total number of samples in STREAMINFO
data[22:26] = bytes(4)
open("streamed.flac", "wb").write(data)
frames = sf.info("streamed.flac").frames
try:
    sf.read("streamed.flac")
    flac = "read"
except ValueError as error:
    flac = f"ValueError: {str(error)[:20]}"
with sf.SoundFile("streamed.flac") as file:
    before = len(file.read(len(sound) - 1000))
    try:
        file.read(1000)
        end = "read"
    except sf.LibsndfileError as error:
        end = str(error)
print(f"FLAC: {frames} frames, {flac}; {before} samples in a first block, then: {end}")

sf.write("sound.caf", sound, rate, subtype="PCM_16")
data = open("sound.caf", "rb").read()
at = data.find(b"data") + 4
open("streamed.caf", "wb").write(data[:at] + struct.pack(">q", -1) + data[at + 8 :])
try:
    sf.read("streamed.caf")
    caf = "read"
except sf.LibsndfileError as error:
    caf = str(error)
print(f"CAF: {caf}")
assert frames == 2**63 - 1 and flac.startswith("ValueError") and before == len(sound) - 1000
assert "psf_fseek" in end
assert "malformed" in caf
PYTHON
