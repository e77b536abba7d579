#!/usr/bin/env bash
# libsndfile misses the place by a block when it seeks in Ogg Vorbis.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    seek(n) and read(k) give the samples n to n + k of the whole file, as for every other format.
# Seen:     about one seek in five gives samples of another place; the position that the file reports is the one asked.
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
sf.write("sound.ogg", sound, rate)
whole, _ = sf.read("sound.ogg")
wrong, shifts = 0, set()
with sf.SoundFile("sound.ogg") as file:
    for place in rng.integers(2000, len(whole) - 4000, 200):
        assert file.seek(int(place)) == place
        read = file.read(1000)
        if np.abs(read - whole[place : place + 1000]).max() > 1e-4:
            wrong += 1
            near = range(place - 2000, place + 2001)
            shifts |= {int(at - place) for at in near if np.abs(whole[at : at + 1000] - read).max() < 1e-4}
print(f"{wrong} of 200 seeks give samples of another place, shifted by {sorted(shifts)}")
assert 10 <= wrong <= 150 and shifts and 0 not in shifts
PYTHON
