#!/usr/bin/env bash
# soundfile.blocks gives other samples of an MP3 than soundfile.read, from the start of the second block on.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    reading a file in blocks gives the samples of reading it whole.
# Seen:     the first block is equal; later ones differ by up to the level of the sound itself. soundfile seeks to the
#           position that it has already reached after each read, and the MPEG decoder then lacks the bits that a frame
#           takes from the frames before it (the bit reservoir). No error is raised. After one seek to a place far from
#           the last one, the samples are right.
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
sf.write("sound.mp3", sound, rate, bitrate_mode="VARIABLE", compression_level=0.3)
whole, _ = sf.read("sound.mp3")
blocks = np.concatenate(list(sf.blocks("sound.mp3", blocksize=5000)))
with sf.SoundFile("sound.mp3") as file:
    file.seek(100_000)
    sought = file.read(5000)
first, later = np.abs(blocks[:5000] - whole[:5000]).max(), np.abs(blocks - whole).max()
after = np.abs(sought - whole[100_000:105_000]).max()
print(f"samples: {len(whole)} read whole, {len(blocks)} in blocks")
print(f"largest difference: first block {first:.1e}, all blocks {later:.2f}, after one seek {after:.1e}")
assert len(whole) == len(blocks)
assert first < 1e-4 and after < 1e-4 and later > 0.05
PYTHON
