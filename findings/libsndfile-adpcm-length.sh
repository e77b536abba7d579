#!/usr/bin/env bash
# libsndfile reads ADPCM WAV files up to the end of the last block, not to the length that the file states.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    the chunk "fact", which WAV requires for compressed formats because blocks are not always full, states the
#           number of samples; a file that is written and read has the same length.
# Seen:     "fact" is not used: MS ADPCM is written with the right number and read back with up to a block more (about
#           62 ms at 8 kHz). IMA ADPCM is written with the number of samples of whole blocks, so its length is lost; a
#           right number, as other programs write it, is not used either.
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
rate, length = 8000, 24010
sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(length) / rate)
seen = {}
for subtype in ("MS_ADPCM", "IMA_ADPCM"):
    sf.write("sound.wav", sound, rate, subtype=subtype)
    data = bytearray(open("sound.wav", "rb").read())
    at = data.find(b"fact") + 8
    stated = struct.unpack_from("<I", data, at)[0]
    frames = len(sf.read("sound.wav")[0])
    struct.pack_into("<I", data, at, length)
    open("right.wav", "wb").write(data)
    right = len(sf.read("right.wav")[0])
    seen[subtype] = stated, frames, right
    print(f"{subtype}: {length} samples written, {stated} stated, {frames} read; {right} if {length} are stated")
assert seen == {"MS_ADPCM": (24010, 24500, 24500), "IMA_ADPCM": (24240, 24240, 24240)}
PYTHON
