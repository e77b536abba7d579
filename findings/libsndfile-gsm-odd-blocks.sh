#!/usr/bin/env bash
# libsndfile appends a block of noise to a GSM 6.10 WAV file with an odd number of blocks.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    the length is what the chunks "fact" and "data" state; the byte that pads a chunk of odd size is not sound.
# Seen:     a block has 65 bytes, so the chunk of an odd number of blocks is padded by a byte. That byte counts as the
#           start of a further block: 320 more samples, which were never recorded and are louder than the recording.
#           The file is written by the same library.
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
rate = 8000
time = np.arange(320 * 86) / rate
extra = {}
for blocks in (84, 85, 86):
    sf.write("gsm.wav", 0.05 * np.sin(2 * np.pi * 440 * time[: 320 * blocks]), rate, subtype="GSM610")
    data = open("gsm.wav", "rb").read()
    stated = struct.unpack_from("<I", data, data.find(b"fact") + 8)[0]
    assert stated == 320 * blocks and struct.unpack_from("<I", data, data.find(b"data") + 4)[0] == 65 * blocks
    read, _ = sf.read("gsm.wav")
    extra[blocks] = len(read) - stated
    if blocks == 85:
        peak, end = np.abs(read[:stated]).max(), np.abs(read[stated:]).max()
print(f"samples beyond the stated length, by number of blocks: {extra}")
print(f"peak of the recording {peak:.2f}, of what was appended {end:.2f}")
assert extra == {84: 0, 85: 320, 86: 0} and end > peak
PYTHON
