#!/usr/bin/env bash
# libsndfile reads a MIDI sample dump that ended early at its full length, and changes samples of whole ones.
#
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Guess:    a dump whose transfer ended early has the length of what was received, or reading it ends in an error. Of
#           whole ones, all samples are read: 8 to 14 bits in two bytes of 7 bits, to 21 in three, to 28 in four.
# Seen:     the length is what the header states; the last packet is repeated up to there, as a tone. In whole dumps:
#           the samples of the last packet are zeros unless it is full; samples of 14 and 21 bits, which fill their two
#           or three bytes, are looked for in one byte more, so that noise is read.
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
rate, length = 8000, 24000


def read(name):
    """Read the samples; soundfile.read seeks to the end of what it has read, and that fails here."""
    with sf.SoundFile(name) as file:
        file.seekable = lambda: False
        return file.read(file.frames)


def dump(sound, bits):
    """Return a sample dump: a header of 21 bytes, and packets of 127, of which 120 hold samples."""
    width = -(-bits // 7)
    values = np.round((sound + 1) / 2 * (2**bits - 1)).astype(int) << 7 * width - bits
    samples = np.stack([values >> 7 * at & 127 for at in reversed(range(width))], axis=1).astype(np.uint8).tobytes()
    data = bytearray([0xF0, 0x7E, 0, 1, 0, 0, bits])
    for number in (10**9 // rate, len(sound), 0, 0):  # sample period in nanoseconds, length, loop
        data += bytes(number >> shift & 127 for shift in (0, 7, 14))
    data += bytes([127, 0xF7])
    for number in range(-(-len(samples) // 120)):
        packet = bytes([0x7E, 0, 2, number & 127]) + samples[120 * number : 120 * (number + 1)].ljust(120, b"\0")
        data += b"\xf0" + packet + bytes([np.bitwise_xor.reduce(np.frombuffer(packet, np.uint8)) & 127, 0xF7])
    return data


sound = 0.3 * np.sin(2 * np.pi * 440.7 * np.arange(length) / rate) + 0.5
errors = {}
for bits in (13, 14, 15, 20, 21, 22):
    open("sound.sds", "wb").write(dump(sound, bits))
    errors[bits] = np.abs(read("sound.sds") - sound).max()
print("largest error of a whole dump, by bits:", {bits: float(f"{error:.0e}") for bits, error in errors.items()})

sf.write("sound.sds", sound, rate, subtype="PCM_16")
data = open("sound.sds", "rb").read()
open("cut.sds", "wb").write(data[: len(data) * 7 // 10])
cut, received = read("cut.sds"), (len(data) * 7 // 10 - 21) // 127 * 40
repeats = np.array_equal(cut[-40:], cut[-80:-40]) and np.array_equal(cut[-40:], cut[received + 80 : received + 120])
print(f"dump of {length} samples that ended after {received}: {len(cut)} read; the last 40 repeated: {repeats}")

sf.write("part.sds", sound[: length - 10], rate, subtype="PCM_16")
end, written = read("part.sds")[-30:], sound[-40:-10].min()
print(f"dump of {length - 10} samples: the last 30 are {end.min()} to {end.max()}, written as {written:.2f} or more")
assert {bits for bits, error in errors.items() if error > 0.1} == {14, 21}
assert len(cut) == length and repeats and np.ptp(cut[-40:]) > 0.1
assert not end.any() and written > 0.1
PYTHON
