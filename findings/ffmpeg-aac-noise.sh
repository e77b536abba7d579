#!/usr/bin/env bash
# A part of an AAC recording has other samples when it is decoded after a seek than when the file is read to it.
#
# Versions: av 18.1.0 with its libavcodec 62.28, numpy 2.4.6.
# Guess:    some packets after a seek, a decoder has all that it needs, and gives the samples of the whole file.
# Seen:     the samples differ by the level of the noise in the recording. The encoder replaces noise by its level
#           (perceptual noise substitution), and the decoder makes it up from random numbers that go on from packet to
#           packet. Without noise substitution, the samples are equal to the bit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import av
import numpy as np

assert (av.__version__, av.library_versions["libavcodec"][:2]) == ("18.1.0", (62, 28)), "another version"
rate, rng = 44100, np.random.default_rng(0)
time = np.arange(6 * rate) / rate
sound = (0.2 * np.sin(2 * np.pi * 440 * time) + 0.05 * rng.normal(size=time.size)).astype(np.float32)
differences = {}
for substitution in ("1", "0"):
    with av.open("sound.m4a", "w") as file:
        stream = file.add_stream("aac", rate=rate, layout="mono", options={"aac_pns": substitution})
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        split = av.AudioResampler("fltp", "mono", rate, frame_size=1024)
        for part in [*split.resample(frame), *split.resample(None), None]:
            file.mux(stream.encode(part))
    with av.open("sound.m4a") as file:
        whole = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    with av.open("sound.m4a") as file:
        file.seek(3 * rate, stream=file.streams.audio[0])
        frames = [frame for frame in file.decode(audio=0) if 4 * rate <= frame.pts < 5 * rate]  # a second later
    part = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    begin = frames[0].pts
    differences[substitution] = float(np.abs(part - whole[begin : begin + len(part)]).max())
    print(f"noise substitution {substitution}: largest difference {differences[substitution]:.3f}")
assert differences["0"] == 0 and differences["1"] > 0.02
PYTHON
