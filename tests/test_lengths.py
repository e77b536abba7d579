"""Lengths of recordings: whole, cut, joined, streamed, padded, and with wrong headers; excerpts of lossy formats."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import soundfile
from signals import collect, ogg_with_times, stated_frames, tone, wav_bytes, without_tag, write
from test_audio import JOINED, NOISE, SIZES, reason, with_size

from audiosae.errors import InputError
from audiosae.recordings import audio
from audiosae.recordings.audio import read_excerpt, read_mono
from audiosae.recordings.opening import read_header
from audiosae.recordings.quick_checks import common_rate
from audiosae.recordings.spectrogram import Spectrogram


def read(path, rate=8000):
    return collect(read_mono(path, rate))


def untagged(path, seconds=12.0, rate=22050, **options):
    """Write an MP3 of a varying bit rate that does not state its length; return its samples if it stated it."""
    samples = tone(seconds, rate, noise=0.1)
    samples[: len(samples) // 2] *= 0.01
    write(path, samples, rate, bitrate_mode="VARIABLE", **options)
    whole, _ = read(path, rate)
    frames = stated_frames(path.read_bytes())
    path.write_bytes(without_tag(path.read_bytes()))
    return whole, frames


@pytest.mark.parametrize("tail", [b"", bytes(5000), b"TAG" + bytes(125)], ids=["end", "zeros", "tag"])
@pytest.mark.parametrize("rate", [22050, 44100])
def test_mp3_that_does_not_state_its_length_is_read_to_its_end(tmp_path, rate, tail):
    path = tmp_path / "a.mp3"
    whole, frames = untagged(path, rate=rate)
    path.write_bytes(path.read_bytes() + tail)
    found, note = read(path, rate)
    assert note == ""
    assert len(found) == frames * (576 if rate == 22050 else 1152) == read_header(path).frames
    np.testing.assert_allclose(found[1105 : 1105 + len(whole)], whole, atol=1e-6)  # the delay of the encoder
    excerpt, _ = read_excerpt(path, 11.0, 11.5)
    np.testing.assert_allclose(excerpt, found[11 * rate : 11 * rate + len(excerpt)], atol=1e-6)


def test_mp3_that_begins_within_a_frame_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.mp3"
    untagged(path)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 3 :])
    found, note = read(path, 22050)
    assert note == ""
    assert len(found) == read_header(path).frames
    assert len(found) > 8 * 22050


def test_mp3_that_does_not_state_its_length_is_reported_if_it_is_cut_or_joined(tmp_path):
    path = tmp_path / "a.mp3"
    _, frames = untagged(path)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    found, note = read(path, 22050)
    assert len(found) == (frames - 1) * 576
    assert note == f"truncated at {len(found) / 22050:.1f} s"
    path.write_bytes(content + b"ID3\4\0\0\0\0\0\0" + content)
    assert read(path, 22050)[1] == f"only the first {frames * 576 / 22050:.1f} s: another recording follows"
    path.write_bytes(content + bytes(3000) + content)
    assert read(path, 22050)[1].endswith(": damaged frames follow")


def test_blocks_of_an_mp3_are_those_of_one_pass(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp3", tone(6.0, 48000, noise=0.3), 48000)
    whole = soundfile.read(path, dtype="float32")[0]
    monkeypatch.setattr(audio, "_SAMPLES_AT_ONCE", 30000)
    np.testing.assert_array_equal(read(path, 48000)[0], whole)


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [("a.mp3", 24000, {}), ("a.ogg", 44100, {}), ("a.opus", 48000, {"format": "OGG", "subtype": "OPUS"})],
)
def test_excerpts_of_lossy_formats_are_exact_beside_sudden_sounds(tmp_path, name, rate, options):
    rng = np.random.default_rng(0)
    samples = 0.001 * rng.normal(size=12 * rate)
    samples.reshape(24, -1)[:, : rate // 8] += 0.3 * rng.normal(size=(24, rate // 8))
    path = write(tmp_path / name, samples.astype(np.float32), rate, **options)
    whole, _ = read(path, rate)
    for at in rng.integers(0, 11 * rate, 40):
        excerpt, _ = read_excerpt(path, at / rate, at / rate + 0.1)
        np.testing.assert_allclose(excerpt, whole[at : at + len(excerpt)], atol=1e-6)


@pytest.mark.parametrize("shift", [-30000, 30000])
def test_vorbis_with_other_times_is_read_or_reported(tmp_path, shift):
    path = write(tmp_path / "a.ogg", tone(8.0, 22050, noise=0.1), 22050)
    path.write_bytes(ogg_with_times(path.read_bytes(), lambda granule: max(1000, granule + shift)))
    found, note = read(path, 22050)
    if shift > 0:
        assert (len(found), note) == (8 * 22050, "")
        np.testing.assert_allclose(read_excerpt(path, 5.0, 5.1)[0], found[5 * 22050 :][:2205], atol=1e-6)
    else:
        assert note.startswith(f"only the first {len(found) / 22050:.1f} s: the times of its pages do not fit")


def test_vorbis_without_its_last_bytes_is_reported(tmp_path):
    path = write(tmp_path / "a.ogg", tone(8.0, 22050, noise=0.1), 22050)
    path.write_bytes(path.read_bytes()[:-10])
    assert re.match(r"truncated at \d\.\d s", read(path, 22050)[1])


CONTAINERS = [
    *JOINED,
    *((f"a.{kind.lower()}", kind, "PCM_16") for kind in ("W64", "VOC", "NIST", "AVR", "MAT4", "MAT5", "MPC2K", "SVX")),
    ("a.wve", "WVE", "ALAW"),
    ("a.voc", "VOC", "PCM_U8"),
    ("a.wav", "WAV", "G721_32"),
    ("a.aiff", "AIFF", "DWVW_16"),
    ("a.caf", "CAF", "ALAC_16"),
]


@pytest.mark.parametrize("zeros", [0, 100, 5000])
@pytest.mark.parametrize(("name", "kind", "subtype"), CONTAINERS)
def test_zeros_behind_a_recording_are_no_part_of_it(tmp_path, name, kind, subtype, zeros):
    path = write(tmp_path / name, tone(2.0, noise=0.1), format=kind, subtype=subtype)
    path.write_bytes(path.read_bytes() + bytes(zeros))
    found, note = read(path)
    assert (len(found), note) == (16000, "")
    assert read_header(path).frames == 16000


@pytest.mark.parametrize("subtype", ["PCM_16", "ALAC_16"])
def test_caf_of_unknown_length_is_read_to_its_end(tmp_path, subtype):
    path = write(tmp_path / "a.caf", tone(2.0), subtype=subtype)
    whole, _ = read(path)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    if subtype == "PCM_16":
        content = content[: content.index(b"data") + 12 + 4 + 32000]  # -1 is allowed in the last chunk only
    path.write_bytes(content[:at] + b"\xff" * 8 + content[at + 8 :])
    np.testing.assert_array_equal(read(path)[0], whole)
    assert read(path)[1] == ""


@pytest.mark.parametrize(("name", "kind", "size"), [("a.wav", "<I", 2**32 - 1), ("a.caf", ">q", -1)])
def test_joined_recordings_of_unknown_length_are_reported(tmp_path, name, kind, size):
    path = write(tmp_path / name, tone(2.0))
    with_size(path, kind, 5, size)
    path.write_bytes(2 * path.read_bytes())
    assert read(path)[1].startswith("another recording was joined to it")


@pytest.mark.parametrize("blocks", [84, 85])
def test_gsm_has_the_length_that_its_header_states(tmp_path, blocks):
    path = write(tmp_path / "a.wav", tone(blocks * 320 / 8000), subtype="GSM610")
    found, note = read(path)
    assert (len(found), note) == (blocks * 320, "")
    assert read_header(path).frames == blocks * 320
    assert len(read_excerpt(path, 0.0, 9.0)[0]) == blocks * 320


@pytest.mark.parametrize("bits", [8, 14, 15, 20, 21, 24])
def test_a_midi_sample_dump_of_any_width_is_read(tmp_path, bits):
    samples = tone(0.5)
    (tmp_path / "a.sds").write_bytes(sample_dump(samples, bits))
    found, note = read(tmp_path / "a.sds")
    np.testing.assert_allclose(found, samples, atol=2.0 ** (2 - bits))
    assert note == ""


def test_a_midi_sample_dump_beyond_its_stated_length_is_reported(tmp_path):
    """The header has 21 bits for the number of samples, so libsndfile writes longer dumps with a wrong one."""
    path = tmp_path / "a.sds"
    path.write_bytes(sample_dump(tone(1.0), 16, stated=4000))
    found, note = read(path)
    assert (len(found), note) == (4000, "only the first 0.5 s: more samples follow than its header states")
    path.write_bytes(path.read_bytes()[:40])
    assert reason(path) == "no samples: truncated before the first"


@pytest.mark.parametrize("more", [2, 8, 44])
@pytest.mark.parametrize(("name", "kind", "extra"), SIZES)
def test_a_size_that_includes_the_header_is_not_reported(tmp_path, name, kind, extra, more):
    path = write(tmp_path / name, tone(2.0))
    more = min(more, 24) if name == "a.au" else more  # its header is shorter
    with_size(path, kind, extra, 32000 + more + (8 if name == "a.aiff" else 4 if name == "a.caf" else 0))
    found, note = read(path)
    assert len(found) == 16000
    assert note == ""


def test_blocks_of_a_voice_file_are_reported(tmp_path):
    path = write(tmp_path / "a.voc", tone(2.0), format="VOC", subtype="PCM_16")
    content = path.read_bytes()
    data = content[42:-1]  # behind the header of the only block, and without the terminator
    half = len(data) // 2
    blocks = b"\x09" + (12 + half).to_bytes(3, "little") + content[30:42] + data[:half]
    path.write_bytes(content[:26] + blocks + b"\x02" + (len(data) - half).to_bytes(3, "little") + data[half:] + b"\0")
    assert read(path)[1].startswith("it consists of several blocks")


def sample_dump(samples, bits, stated=None):
    """A MIDI sample dump of 8000 Hz: 21 bytes, then packets of 127 with 120 bytes of samples, 7 bits in each."""
    width = -(-bits // 7)
    values = np.round((samples.astype(float) + 1) / 2 * (2**bits - 1)).astype(int) << (7 * width - bits)
    body = np.stack([values >> 7 * at & 127 for at in reversed(range(width))], axis=1).astype(np.uint8).tobytes()
    count = stated or len(samples)
    head = bytes([0xF0, 0x7E, 0, 1, 0, 0, bits, 72, 80, 7, *(count >> at & 127 for at in (0, 7, 14))])
    packets = (body[at : at + 120].ljust(120, b"\0") for at in range(0, len(body), 120))
    return head + bytes(6) + b"\x7f\xf7" + b"".join(b"\xf0\x7e\0\2\0" + packet + b"\0\xf7" for packet in packets)


def read_or_refuse(path):
    try:
        read(path)
    except InputError as error:
        assert "\n" not in str(error)


def test_voice_file_with_a_wrong_offset_is_undecodable_or_read(tmp_path):
    path = write(tmp_path / "a.voc", tone(2.0), format="VOC", subtype="PCM_16")
    content = path.read_bytes()
    path.write_bytes(content[:20] + (60000).to_bytes(2, "little") + content[22:])
    read_or_refuse(path)


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\0\0\0\0WAVE",
        b"FORM\0\0\0\0AIFF",
        b"caff\0\1\0\0",
        b"fLaC",
        b"OggS\0\2",
        b".snd",
        b"\xff\xfb\x90\0",
        b"ID3",
    ],
)
def test_zeros_behind_a_header_are_refused_quickly(tmp_path, head):
    path = tmp_path / "a.mp3"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(50_000_000)
    began = time.process_time()
    assert reason(path)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("head", [b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", wav_bytes(NOISE)[:44]])
def test_chunks_without_content_are_not_followed_forever(tmp_path, head):
    path = tmp_path / "a.wav"
    path.write_bytes(head + b"LIST\0\0\0\0" * 1_000_000)
    began = time.process_time()
    read_or_refuse(path)
    assert time.process_time() - began < 2


def test_a_sample_rate_of_a_few_hertz_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(0.1 * NOISE, rate=5))
    assert reason(path, 22050) == "sample rate too low: 5 Hz, wanted at least 45 Hz for a model of 22050 Hz"
    with pytest.raises(InputError, match="sample rate too low"):
        Spectrogram(sample_rate=22050).probe(path)
    good = write(tmp_path / "b.wav", tone(1.0))
    assert common_rate([path, good]) == 8000
    assert common_rate([path]) == 5


def test_blocks_are_bounded_after_resampling(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", tone(2.0))
    whole, _ = read(path, 96000)
    assert max(map(len, read_mono(path, 96000))) > 150_000
    monkeypatch.setattr(audio, "_RESAMPLED_AT_ONCE", 50_000)
    blocks = list(read_mono(path, 96000))
    assert max(map(len, blocks)) < 100_000
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
