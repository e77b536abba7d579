#!/usr/bin/env bash
# FFmpeg does not decode the first frame of sound of a WMA, so all later sounds are early by 46 ms.
#
# Versions: av 18.1.0 with its libavcodec 62.28, numpy 2.4.6.
# Guess:    what FFmpeg's own encoder wrote is decoded from its first sample on, or from the encoder's delay before it.
# Seen:     2048 samples are missing at the start (at 44.1 kHz). The time stamp of the first decoded frame says so, but
#           samples that are written one after the other, also by the program ffmpeg, begin at 0.
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
rate = 44100
time = np.arange(2 * rate) / rate
sound = (0.3 * np.sin(2 * np.pi * (200 * time + 300 * time**2))).astype(np.float32)
early = {}
for name, codec in (("sound.wma", "wmav2"), ("sound.mka", "flac")):
    with av.open(name, "w") as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 128000
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        split = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.codec_context.frame_size or 2048)
        for part in [*split.resample(frame), *split.resample(None), None]:
            file.mux(stream.encode(part))
    with av.open(name) as file:
        frames = list(file.decode(audio=0))
        first = float(frames[0].pts * frames[0].time_base)
        read = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float64)
    piece = sound[30000:34096]
    fits = [piece @ read[30000 + shift : 34096 + shift] for shift in range(-5000, 5000)]
    early[codec] = 5000 - int(np.argmax(fits))
    print(f"{codec}: sounds are {early[codec]} samples early; time stamp of the first frame {first:.3f} s")
assert early == {"wmav2": 2048, "flac": 0}
PYTHON
