"""Reading recordings: every format, one rate, one channel, and a reason for everything that is wrong with a file."""

from __future__ import annotations

import os
import re
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from signals import collect, tone, wav_bytes, write

from audiosae.errors import InputError
from audiosae.recordings import audio
from audiosae.recordings.audio import read_excerpt, read_header, read_mono

BIT_16 = 2.0**-15


def read(path, rate=8000):
    return collect(read_mono(path, rate))


def reason(path, rate=8000):
    with pytest.raises(InputError) as caught:
        read(path, rate)
    assert "\n" not in str(caught.value)
    return str(caught.value)


LOSSLESS = [
    ("a.wav", "WAV", "PCM_U8", 2.0**-7),
    ("a.wav", "WAV", "PCM_16", BIT_16),
    ("a.wav", "WAV", "PCM_24", 2.0**-23),
    ("a.wav", "WAV", "PCM_32", 2.0**-23),
    ("a.wav", "WAV", "FLOAT", 0),
    ("a.wav", "WAV", "DOUBLE", 0),
    ("a.wav", "WAV", "ULAW", 2.0**-5),
    ("a.wav", "WAV", "ALAW", 2.0**-5),
    ("a.wav", "WAVEX", "PCM_16", BIT_16),
    ("a.w64", "W64", "PCM_16", BIT_16),
    ("a.rf64", "RF64", "PCM_24", 2.0**-23),
    ("a.flac", "FLAC", "PCM_16", BIT_16),
    ("a.flac", "FLAC", "PCM_24", 2.0**-23),
    ("a.aiff", "AIFF", "PCM_16", BIT_16),
    ("a.aifc", "AIFF", "ULAW", 2.0**-5),
    ("a.au", "AU", "PCM_16", BIT_16),
    ("a.snd", "AU", "FLOAT", 0),
    ("a.caf", "CAF", "PCM_16", BIT_16),
    ("a.caf", "CAF", "ALAC_16", BIT_16),
    ("a.voc", "VOC", "PCM_16", BIT_16),
    ("a.nist", "NIST", "PCM_16", BIT_16),
]


@pytest.mark.parametrize(("name", "kind", "subtype", "error"), LOSSLESS)
def test_samples_come_back_within_the_formats_step(tmp_path, name, kind, subtype, error):
    wanted = tone(0.3)
    path = write(tmp_path / name, wanted, format=kind, subtype=subtype)
    found, note = read(path)
    assert found.dtype == np.float32
    assert note == ""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1.01 * error)


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [("a.ogg", "OGG", "VORBIS"), ("a.opus", "OGG", "OPUS"), ("a.mp3", "MP3", "MPEG_LAYER_III")],
)
def test_lossy_formats_come_back_in_place_and_alike(tmp_path, name, kind, subtype):
    wanted = tone(0.8, noise=0.0)
    found, note = read(write(tmp_path / name, wanted, format=kind, subtype=subtype))
    assert note == ""
    assert len(found) == len(wanted)
    assert np.corrcoef(found[800:-800], wanted[800:-800])[0, 1] > 0.995


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_the_header_tells_rate_channels_and_length(tmp_path, name):
    path = write(tmp_path / name, np.stack([tone(0.5, 44100)] * 2, axis=1), 44100)
    header = read_header(path)
    assert (header.rate, header.channels, header.frames) == (44100, 2, 22050)
    assert header.seconds == 0.5
    assert header.format.split("/")[0].lower() in name


def test_what_is_written_is_among_the_suffixes_that_are_searched():
    assert {"." + name.split(".")[1] for name, *_ in LOSSLESS} <= set(audio.SUFFIXES)


def test_channels_are_averaged(tmp_path):
    channels = np.stack([tone(0.3, pitch=300), tone(0.3, pitch=500), tone(0.3, pitch=700)], axis=1)
    found, _ = read(write(tmp_path / "a.wav", channels, subtype="FLOAT"))
    np.testing.assert_allclose(found, channels.mean(axis=1), atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")  # what librosa.load imports
@pytest.mark.parametrize(("source", "target"), [(44100, 22050), (48000, 22050), (8000, 22050), (11025, 8000)])
def test_resampling_equals_librosas(tmp_path, source, target):
    path = write(tmp_path / "a.wav", tone(0.7, source, noise=0.2), source, subtype="FLOAT")
    found, _ = read(path, target)
    wanted, _ = librosa.load(path, sr=target)
    assert abs(len(found) - len(wanted)) <= 1  # librosa rounds the length up
    count = min(len(found), len(wanted))
    np.testing.assert_allclose(found[:count], wanted[:count], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 5000])
def test_the_size_of_the_blocks_does_not_change_the_samples(tmp_path, monkeypatch, rate):
    path = write(tmp_path / "a.wav", np.stack([tone(1.0), tone(1.0, pitch=900)], axis=1))
    whole, _ = read(path, rate)
    monkeypatch.setattr(audio, "_SAMPLES_AT_ONCE", 1)  # the least is 1024 frames
    blocks = list(read_mono(path, rate))
    assert len(blocks) >= 8
    np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=0, atol=1e-7)


def test_blocks_are_bounded_whatever_the_length_and_the_channels(tmp_path):
    path = write(tmp_path / "a.wav", np.tile(tone(10.0)[:, None], (1, 8)))
    tracemalloc.start()
    longest = max(len(block) for block in read_mono(path, 8000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest == audio._SAMPLES_AT_ONCE // 8
    assert peak < 2 * 4 * audio._SAMPLES_AT_ONCE


def test_blocks_are_not_overwritten_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_SAMPLES_AT_ONCE", 1)
    samples = tone(0.5)
    blocks = list(read_mono(write(tmp_path / "a.wav", samples, subtype="FLOAT"), 8000))
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_an_excerpt_is_a_piece_at_the_recordings_own_rate(tmp_path, name):
    path = write(tmp_path / name, tone(1.0, 16000), 16000)
    whole, _ = soundfile.read(path, dtype="float32")
    piece, rate = read_excerpt(path, 0.25, 0.5)
    assert rate == 16000
    np.testing.assert_allclose(piece, whole[4000:8000], atol=2e-2 if name.endswith("mp3") else 1e-6)


def test_an_excerpt_ends_where_the_recording_ends(tmp_path):
    path = write(tmp_path / "a.wav", np.stack([tone(0.5)] * 2, axis=1))
    assert [len(read_excerpt(path, *times)[0]) for times in ((-1, 0.1), (0.4, 0.9), (5, 6))] == [800, 800, 0]


def test_an_excerpt_of_a_file_that_has_changed_is_of_the_new_one(tmp_path):
    path = write(tmp_path / "a.wav", np.full(8000, 0.25, np.float32))
    assert read_excerpt(path, 0.1, 0.2)[0].max() == pytest.approx(0.25, abs=1e-3)
    write(path, np.full(8000, 0.5, np.float32))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    assert read_excerpt(path, 0.1, 0.2)[0].max() == pytest.approx(0.5, abs=1e-3)


def test_an_excerpt_of_what_cannot_be_decoded_is_refused(tmp_path):
    path = write(tmp_path / "a.flac", tone(8.0, noise=0.3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(read_excerpt(path, 0.5, 1.0)[0]) == 4000
    with pytest.raises(InputError, match=r"^undecodable at 7\.0 s: "):
        read_excerpt(path, 7.0, 7.5)


def test_a_peak_far_above_one_is_accepted_as_it_is(tmp_path):
    samples = 1e5 * tone(0.3)
    found, note = read(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert note == ""
    np.testing.assert_allclose(found, samples, rtol=1e-6)


NOISE = np.random.default_rng(0).normal(size=4000)


def spoilt(value):
    samples = NOISE.copy()
    samples[2000] = value
    return wav_bytes(samples, floats=True)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "empty: zero bytes"),
        (b"this is no sound\n" * 40, "undecodable: Format not recognised."),
        (wav_bytes(NOISE)[:30], "undecodable: Error in WAV file. No 'data' chunk marker."),
        (wav_bytes(NOISE[:0]), "no samples: zero frames in the file"),
        (wav_bytes(NOISE)[:44], "no samples: truncated before the first"),
        (wav_bytes(0 * NOISE), "silent: every sample is the same"),
        (wav_bytes(0 * NOISE + 0.25), "silent: every sample is the same"),
        (spoilt(np.nan), "NaN or infinite samples: the first at 0.2 s"),
        (spoilt(np.inf), "NaN or infinite samples: the first at 0.2 s"),
        (spoilt(-np.inf), "NaN or infinite samples: the first at 0.2 s"),
        (spoilt(-1e25), "no sound: samples as large as 1e+25, wanted about 1"),
        (wav_bytes(NOISE, rate=0), "undecodable: Internal error : SF_INFO struct incomplete."),
    ],
)
def test_a_file_that_cannot_be_used_has_a_reason_of_its_own(tmp_path, content, wanted):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert reason(path) == wanted


def test_the_header_of_an_unreadable_file_has_the_same_reason(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="^empty: zero bytes$"):
        read_header(path)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")  # opening it would wait for ever
    assert [reason(tmp_path / name) for name in ("folder.wav", "pipe.wav")] == ["not a regular file"] * 2


def test_what_the_system_refuses_is_told_in_its_words(tmp_path):
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    assert reason(tmp_path / "gone.wav") == "unreadable: No such file or directory"
    assert reason(tmp_path / "loop.wav") == "unreadable: Too many levels of symbolic links"


def test_a_file_without_permission_says_so(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", tone())

    def refuse(*_arguments):  # root may read everything, so it is played
        raise PermissionError(13, "Permission denied")

    def refuse_unclearly(_path):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(soundfile, "SoundFile", refuse_unclearly)
    assert reason(path) == "unreadable: Permission denied"


def test_a_name_with_bytes_that_are_no_text_is_read(tmp_path):
    good = write(tmp_path / "a.wav", tone())
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \n.wav")
    good.rename(odd)
    assert read_header(tmp_path / odd).frames == 4000


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.rf64", "a.flac", "a.ogg"])
def test_a_file_cut_in_the_middle_is_used_up_to_there(tmp_path, name):
    samples = tone(8.0, noise=0.3)
    path = write(tmp_path / name, samples)
    whole, _ = read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, note = read(path)
    assert 2.0 < len(found) / 8000 <= 4.0
    np.testing.assert_array_equal(found[:-2000], whole[: len(found) - 2000])
    assert re.match(rf"truncated at {len(found) / 8000:.1f} s", note)


def test_a_flac_damaged_in_the_middle_is_used_up_to_there(tmp_path):
    path = write(tmp_path / "a.flac", tone(8.0, noise=0.3))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    found, note = read(path)
    assert 3.0 < len(found) / 8000 <= 4.0
    assert re.fullmatch(r"truncated at 3\.\d s \(.*flac decoder.*\)", note)


@pytest.mark.parametrize(
    ("claimed", "wanted"), [(5000, "truncated at 0.5 s"), (2**30 - 1, ""), (2**31 - 20, "")], ids=str
)
def test_a_header_that_claims_too_much_gives_what_is_there_and_one_that_claims_no_end_is_whole(
    tmp_path, claimed, wanted
):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(0.1 * NOISE, claimed=claimed))
    found, note = read(path)
    assert len(found) == 4000
    assert note == wanted


@pytest.mark.parametrize("claimed", [0, 2**31 - 1, 2**36 - 1])
def test_a_flac_of_unknown_or_boundless_length_is_read_to_its_end(tmp_path, claimed):
    path = write(tmp_path / "a.flac", tone(2.0))
    whole, _ = read(path)
    content = bytearray(path.read_bytes())
    content[21] = (content[21] & 0xF0) | (claimed >> 32)  # the 36 bits of STREAMINFO's total samples
    content[22:26] = (claimed & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)
    found, note = read(path)
    np.testing.assert_array_equal(found, whole)
    assert note.startswith("truncated at 2.0 s") if claimed else not note
    if not claimed:
        assert read_header(path).frames == 16000
        np.testing.assert_array_equal(read_excerpt(path, 1.5, 9.0)[0], whole[12000:])


def test_a_rate_beyond_all_sound_leaves_no_samples(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(0.1 * NOISE, rate=2**31 - 1))
    found, _ = read(path, 8000)
    assert len(found) <= 1


@pytest.mark.parametrize(("name", "channels"), [("a.wav", 1), ("a.wav", 2), ("a.aiff", 1), ("a.au", 3)])
def test_samples_of_16_bits_are_the_same_numbers_as_libsndfile_makes_of_them(tmp_path, name, channels):
    integers = np.random.default_rng(0).integers(-(2**15), 2**15, (5000, channels), np.int16)
    soundfile.write(tmp_path / name, integers, 8000, subtype="PCM_16")
    wanted = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0].mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(read(tmp_path / name)[0], wanted)


def test_an_error_among_samples_of_16_bits_costs_what_follows_it(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", tone(1.0))
    whole, reading = read(path)[0], soundfile.SoundFile.read

    def failing(self, *arguments, out=None, **options):
        if self.tell() >= 4096:
            if out.dtype == np.float32:
                out[:100] = 0.5
            raise soundfile.LibsndfileError(2)
        return reading(self, *arguments, out=out, **options)

    monkeypatch.setattr(audio, "_SAMPLES_AT_ONCE", 4096)
    monkeypatch.setattr(soundfile.SoundFile, "read", failing)
    found, note = read(path)
    np.testing.assert_array_equal(found[:4096], whole[:4096])
    np.testing.assert_array_equal(found[4096:], np.full(100, 0.5, np.float32))
    assert note.startswith("truncated at 0.5 s")


def test_a_header_is_read_anew_once_its_file_has_changed(tmp_path):
    path = write(tmp_path / "a.wav", tone(1.0))
    assert read_header(path).seconds == 1.0
    write(path, tone(2.5))
    assert read_header(path).seconds == 2.5


JOINED = [
    ("a.wav", "WAV", "PCM_16"), ("a.wav", "WAV", "GSM610"), ("a.rf64", "RF64", "PCM_16"), ("a.aiff", "AIFF", "PCM_16"),
    ("a.au", "AU", "PCM_16"), ("a.caf", "CAF", "PCM_16"), ("a.flac", "FLAC", "PCM_16"), ("a.ogg", "OGG", "VORBIS"),
    ("a.opus", "OGG", "OPUS"), ("a.mp3", "MP3", "MPEG_LAYER_III"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "subtype"), JOINED)
def test_of_files_joined_end_to_end_the_first_is_used_and_the_rest_told(tmp_path, name, kind, subtype):
    path = write(tmp_path / name, tone(2.0), format=kind, subtype=subtype)
    assert read(path)[1] == ""
    path.write_bytes(2 * path.read_bytes())
    found, note = read(path)
    assert len(found) == 16000
    assert note == "only the first 2.0 s: another recording follows"


@pytest.mark.parametrize("kind", ["W64", "VOC", "NIST", "IRCAM", "PAF", "PVF", "MAT5", "SDS"])
def test_of_rarer_containers_it_is_told_that_another_recording_was_joined_to_one(tmp_path, kind):
    path = write(tmp_path / "a.wav", tone(2.0), format=kind, subtype="PCM_16")
    assert read(path)[1] == ""
    path.write_bytes(2 * path.read_bytes())
    assert read(path)[1].startswith("another recording was joined to it")


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [*JOINED, *((f"a.{k.lower()}", k, "PCM_16") for k in ("VOC", "NIST", "MAT4", "MAT5", "W64"))],
)
def test_a_recording_of_any_container_that_was_cut_says_so(tmp_path, name, kind, subtype):
    path = write(tmp_path / name, tone(8.0, noise=0.3), format=kind, subtype=subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 5 // 8])
    found, note = read(path)
    assert 2.0 < len(found) / 8000 < 6.0
    assert note.startswith(f"truncated at {len(found) / 8000:.1f} s")


SIZES = [("a.wav", "<I", 1), ("a.aiff", ">I", 9), ("a.au", ">I", 1), ("a.caf", ">q", 5), ("a.rf64", "<Q", 1)]


def with_size(path, kind, extra, size):
    """Replace the size of the samples (and of what the container counts with them) in a header."""
    content = path.read_bytes()
    for added in range(extra):
        at = content[:8192].find(struct.pack(kind, 32000 + added))
        if at >= 0:
            path.write_bytes(content[:at] + struct.pack(kind, size) + content[at + struct.calcsize(kind) :])
            return
    raise AssertionError(f"no size in the header of {path.name}")


@pytest.mark.parametrize("size", [0, 8000])
@pytest.mark.parametrize(("name", "kind", "extra"), SIZES)
def test_samples_behind_the_end_that_a_header_tells_are_read_too(tmp_path, name, kind, extra, size):
    path = write(tmp_path / name, tone(2.0))
    whole, _ = read(path)
    with_size(path, kind, extra, size)
    found, note = read(path)
    assert read_header(path).frames == 16000
    np.testing.assert_array_equal(found, whole)
    assert note == ""
    np.testing.assert_array_equal(read_excerpt(path, 1.5, 9.0)[0], whole[12000:])


def test_chunks_behind_the_samples_are_no_samples(tmp_path):
    path = tmp_path / "a.wav"
    for tail in (b"LIST\x04\0\0\0INFO", b"guan\x05\0\0\0notes\0", b"id3 \x03\0\0\0abc", b"TAG" + bytes(125)):
        path.write_bytes(wav_bytes(0.1 * NOISE) + tail)
        assert read_header(path).frames == 4000
        assert read(path)[1] == ""


def test_a_flac_whose_header_tells_too_little_says_that_more_follows(tmp_path):
    path = write(tmp_path / "a.flac", tone(2.0))
    content = bytearray(path.read_bytes())
    content[22:26] = (8192).to_bytes(4, "big")
    path.write_bytes(content)
    assert read(path)[1] == "only the first 1.0 s: more samples follow than its header states"


@pytest.mark.parametrize("kind", ["GSM610", "G721_32"])
def test_an_excerpt_of_a_codec_that_cannot_seek_is_decoded_from_the_start(tmp_path, kind):
    path = write(tmp_path / ("a.wav" if kind == "GSM610" else "a.au"), tone(2.0), subtype=kind)
    whole, _ = read(path)
    for start in (1.0, 0.25):
        at = round(8000 * start)
        np.testing.assert_allclose(read_excerpt(path, start, start + 0.5)[0], whole[at : at + 4000], atol=1e-6)


def test_excerpts_read_by_several_threads_are_each_their_own(tmp_path):
    ramp = (np.arange(80000) / 80000).astype(np.float32)
    paths = [write(tmp_path / f"{i}.wav", ramp, subtype="FLOAT") for i in range(2)]

    def right(number):
        at = 37 * number % 70000
        return np.array_equal(read_excerpt(paths[number % 2], at / 8000, (at + 400) / 8000)[0], ramp[at : at + 400])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(2000)))


def test_a_header_that_is_read_while_its_file_grows_is_read_all_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", tone(1.0))
    states = iter(range(100))
    state = audio._file_state
    monkeypatch.setattr(audio, "_file_state", lambda path: (*state(path)[:2], next(states)))
    assert read_header(path).seconds == 1.0
