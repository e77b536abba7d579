#!/usr/bin/env bash
# PyAV returns the encoder's padding at the end of an m4a, although the file states where its sound ends.
#
# Versions: av 18.1.0 with its libavformat 62.12, numpy 2.4.6.
# Guess:    the edit list of an m4a says which part of the decoded AAC is the recording. The samples before it, the
#           encoder's delay, are left out, so those after it are too.
# Seen:     decoding begins at the right sample, but goes on to the end of the last packet: up to 1023 samples more
#           than the duration of the stream.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import av
import numpy as np

assert (av.__version__, av.library_versions["libavformat"][:2]) == ("18.1.0", (62, 12)), "another version"
rate = 44100
more = {}
for length in (100 * 1024 - 1024, 2 * rate, 2 * rate + 300):
    sound = (0.3 * np.sin(2 * np.pi * 440 * np.arange(length) / rate)).astype(np.float32)
    with av.open("sound.m4a", "w") as file:
        stream = file.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        split = av.AudioResampler("fltp", "mono", rate, frame_size=1024)
        for part in [*split.resample(frame), *split.resample(None), None]:
            file.mux(stream.encode(part))
    with av.open("sound.m4a") as file:
        stream = file.streams.audio[0]
        stated = round(stream.duration * stream.time_base * rate)
        read = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(stream)])
    begin = np.abs(read[5000:9000] - sound[5000:9000]).max()
    more[length] = len(read) - length
    print(f"{length} samples: stated {stated}, read {len(read)}; largest difference at the same place {begin:.4f}")
    assert abs(stated - length) <= rate / 1000 and begin < 0.02
assert list(more.values())[0] == 0 and all(0 < count < 1024 for count in list(more.values())[1:])
PYTHON
