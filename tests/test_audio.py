"""Reading of recordings: formats, sample rates, channels, and the reasons given for broken files."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from signals import collect, tone, wav_bytes, write

from audiosae.errors import InputError
from audiosae.recordings import audio, opening
from audiosae.recordings.audio import read_excerpt, read_mono
from audiosae.recordings.formats import SNDFILE_SUFFIXES
from audiosae.recordings.opening import read_header

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
def test_samples_are_exact_to_the_resolution_of_the_format(tmp_path, name, kind, subtype, error):
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
def test_lossy_formats_preserve_length_and_waveform(tmp_path, name, kind, subtype):
    wanted = tone(0.8, noise=0.0)
    found, note = read(write(tmp_path / name, wanted, format=kind, subtype=subtype))
    assert note == ""
    assert len(found) == len(wanted)
    assert np.corrcoef(found[800:-800], wanted[800:-800])[0, 1] > 0.995


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_header_states_rate_channels_and_length(tmp_path, name):
    path = write(tmp_path / name, np.stack([tone(0.5, 44100)] * 2, axis=1), 44100)
    header = read_header(path)
    assert (header.rate, header.channels, header.frames) == (44100, 2, 22050)
    assert header.seconds == 0.5
    assert header.format.split("/")[0].lower() in name


def test_suffixes_include_all_lossless_formats():
    assert {"." + name.split(".")[1] for name, *_ in LOSSLESS} <= set(SNDFILE_SUFFIXES)


def test_channels_are_averaged(tmp_path):
    channels = np.stack([tone(0.3, pitch=300), tone(0.3, pitch=500), tone(0.3, pitch=700)], axis=1)
    found, _ = read(write(tmp_path / "a.wav", channels, subtype="FLOAT"))
    np.testing.assert_allclose(found, channels.mean(axis=1), atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")  # what librosa.load imports
@pytest.mark.parametrize(("source", "target"), [(44100, 22050), (48000, 22050), (8000, 22050), (11025, 8000)])
def test_resampling_equals_librosa(tmp_path, source, target):
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


def test_block_size_is_bounded_for_any_length_and_number_of_channels(tmp_path):
    path = write(tmp_path / "a.wav", np.tile(tone(10.0)[:, None], (1, 8)))
    tracemalloc.start()
    longest = max(len(block) for block in read_mono(path, 8000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest == audio._SAMPLES_AT_ONCE // 8
    assert peak < 2 * 4 * audio._SAMPLES_AT_ONCE


def test_blocks_are_not_overwritten_by_later_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_SAMPLES_AT_ONCE", 1)
    samples = tone(0.5)
    blocks = list(read_mono(write(tmp_path / "a.wav", samples, subtype="FLOAT"), 8000))
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_excerpt_has_the_sample_rate_of_the_recording(tmp_path, name):
    path = write(tmp_path / name, tone(1.0, 16000), 16000)
    whole, _ = soundfile.read(path, dtype="float32")
    piece, rate = read_excerpt(path, 0.25, 0.5)
    assert rate == 16000
    np.testing.assert_allclose(piece, whole[4000:8000], atol=2e-2 if name.endswith("mp3") else 1e-6)


def test_excerpt_ends_where_the_recording_ends(tmp_path):
    path = write(tmp_path / "a.wav", np.stack([tone(0.5)] * 2, axis=1))
    assert [len(read_excerpt(path, *times)[0]) for times in ((-1, 0.1), (0.4, 0.9), (5, 6))] == [800, 800, 0]


def test_excerpt_of_a_changed_file_is_read_from_the_new_file(tmp_path):
    path = write(tmp_path / "a.wav", np.full(8000, 0.25, np.float32))
    assert read_excerpt(path, 0.1, 0.2)[0].max() == pytest.approx(0.25, abs=1e-3)
    write(path, np.full(8000, 0.5, np.float32))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    assert read_excerpt(path, 0.1, 0.2)[0].max() == pytest.approx(0.5, abs=1e-3)


def test_excerpt_that_cannot_be_decoded_raises_an_error(tmp_path):
    path = write(tmp_path / "a.flac", tone(8.0, noise=0.3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(read_excerpt(path, 0.5, 1.0)[0]) == 4000
    with pytest.raises(InputError, match=r"^undecodable at 7\.0 s: "):
        read_excerpt(path, 7.0, 7.5)


def test_peak_far_above_one_is_accepted_unchanged(tmp_path):
    samples = 1e5 * tone(0.3)
    found, note = read(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert note == ""
    np.testing.assert_allclose(found, samples, rtol=1e-6)


NOISE = np.random.default_rng(0).normal(size=4000)


def with_sample(value):
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
        (with_sample(np.nan), "NaN or infinite samples: the first at 0.2 s"),
        (with_sample(np.inf), "NaN or infinite samples: the first at 0.2 s"),
        (with_sample(-np.inf), "NaN or infinite samples: the first at 0.2 s"),
        (with_sample(-1e25), "samples too large: up to 1e+25, wanted about 1"),
        (wav_bytes(NOISE, rate=0), "undecodable: Internal error : SF_INFO struct incomplete."),
    ],
)
def test_unusable_file_gives_a_specific_reason(tmp_path, content, wanted):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert reason(path) == wanted


def test_the_header_of_an_unreadable_file_has_the_same_reason(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="^empty: zero bytes$"):
        read_header(path)


def test_a_folder_is_not_a_regular_file(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    assert reason(tmp_path / "folder.wav") == "not a regular file"


def test_a_pipe_is_not_opened(tmp_path, make_pipe):
    make_pipe(tmp_path / "pipe.wav")  # opening it would block
    assert reason(tmp_path / "pipe.wav") == "not a regular file"


def test_errors_of_the_operating_system_are_quoted(tmp_path):
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    assert reason(tmp_path / "gone.wav") == "unreadable: No such file or directory"
    assert reason(tmp_path / "loop.wav") == "unreadable: Too many levels of symbolic links"


def test_missing_permission_is_the_reason(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", tone())

    def refuse(*_arguments):  # simulated, because root may read everything
        raise PermissionError(13, "Permission denied")

    def refuse_unclearly(_path):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(soundfile, "SoundFile", refuse_unclearly)
    assert reason(path) == "unreadable: Permission denied"


def test_file_with_a_name_that_is_not_utf8_is_read(tmp_path):
    good = write(tmp_path / "a.wav", tone())
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \n.wav")
    good.rename(odd)
    assert read_header(tmp_path / odd).frames == 4000


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.rf64", "a.flac", "a.ogg"])
def test_cut_file_is_used_up_to_the_cut(tmp_path, name):
    samples = tone(8.0, noise=0.3)
    path = write(tmp_path / name, samples)
    whole, _ = read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, note = read(path)
    assert 2.0 < len(found) / 8000 <= 4.0
    np.testing.assert_array_equal(found[:-2000], whole[: len(found) - 2000])
    assert re.match(rf"truncated at {len(found) / 8000:.1f} s", note)


def test_damaged_flac_is_used_up_to_the_damage(tmp_path):
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
def test_file_shorter_than_its_header_states_is_read_to_its_end(tmp_path, claimed, wanted):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(0.1 * NOISE, claimed=claimed))
    found, note = read(path)
    assert len(found) == 4000
    assert note == wanted


@pytest.mark.parametrize("claimed", [0, 2**31 - 1, 2**36 - 1])
def test_flac_of_unknown_or_wrong_length_is_read_to_its_end(tmp_path, claimed):
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


def test_absurd_sample_rate_leaves_no_samples(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(0.1 * NOISE, rate=2**31 - 1))
    found, _ = read(path, 8000)
    assert len(found) <= 1


@pytest.mark.parametrize(("name", "channels"), [("a.wav", 1), ("a.wav", 2), ("a.aiff", 1), ("a.au", 3)])
def test_16_bit_samples_are_converted_as_by_libsndfile(tmp_path, name, channels):
    integers = np.random.default_rng(0).integers(-(2**15), 2**15, (5000, channels), np.int16)
    soundfile.write(tmp_path / name, integers, 8000, subtype="PCM_16")
    wanted = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0].mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(read(tmp_path / name)[0], wanted)


def test_samples_before_a_read_error_are_used(tmp_path, monkeypatch):
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


def test_headers_are_read_once_and_again_when_a_file_changes(tmp_path, monkeypatch):
    monkeypatch.setattr("audiosae.recordings.opening._MOST_HEADERS", 2)
    monkeypatch.setattr(opening, "recent", opening._Recent())
    opened, real = [], opening.open_recording
    monkeypatch.setattr(opening, "open_recording", lambda path: opened.append(path.stem) or real(path))
    a, b, c = (write(tmp_path / f"{name}.wav", tone(1.0)) for name in "abc")
    for path in (a, b, a, b, a, c, b):  # c takes the place of b, which was used before a
        assert read_header(path).seconds == 1.0
    assert opened == ["a", "b", "c", "b"]
    assert read_header(write(b, tone(2.0))).seconds == 2.0


JOINED = [
    ("a.wav", "WAV", "PCM_16"),
    ("a.wav", "WAV", "GSM610"),
    ("a.rf64", "RF64", "PCM_16"),
    ("a.aiff", "AIFF", "PCM_16"),
    ("a.au", "AU", "PCM_16"),
    ("a.caf", "CAF", "PCM_16"),
    ("a.flac", "FLAC", "PCM_16"),
    ("a.ogg", "OGG", "VORBIS"),
    ("a.opus", "OGG", "OPUS"),
    ("a.mp3", "MP3", "MPEG_LAYER_III"),
    ("a.sds", "SDS", "PCM_16"),
]


@pytest.mark.parametrize(("name", "kind", "subtype"), [*JOINED, ("a.caf", "CAF", "ALAC_16")])
def test_first_of_joined_files_is_used_and_the_rest_is_reported(tmp_path, name, kind, subtype):
    path = write(tmp_path / name, tone(2.0), format=kind, subtype=subtype)
    assert read(path)[1] == ""
    path.write_bytes(2 * path.read_bytes())
    found, note = read(path)
    assert len(found) == 16000
    assert note == "only the first 2.0 s: another recording follows"


@pytest.mark.parametrize("kind", ["W64", "VOC", "NIST", "IRCAM", "PAF", "PVF", "MAT5"])
def test_joined_files_of_rarer_formats_are_reported(tmp_path, kind):
    path = write(tmp_path / "a.wav", tone(2.0), format=kind, subtype="PCM_16")
    assert read(path)[1] == ""
    path.write_bytes(2 * path.read_bytes())
    assert read(path)[1].startswith("another recording was joined to it")


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [*JOINED, *((f"a.{k.lower()}", k, "PCM_16") for k in ("VOC", "NIST", "MAT4", "MAT5", "W64"))],
)
def test_cut_file_of_any_format_is_reported(tmp_path, name, kind, subtype):
    path = write(tmp_path / name, tone(8.0, noise=0.3), format=kind, subtype=subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 5 // 8])
    found, note = read(path)
    assert 2.0 < len(found) / 8000 < 6.0
    assert note.startswith(f"truncated at {len(found) / 8000:.1f} s")


SIZES = [("a.wav", "<I", 1), ("a.aiff", ">I", 9), ("a.au", ">I", 1), ("a.caf", ">q", 5), ("a.rf64", "<Q", 1)]


def with_size(path, kind, extra, size):
    """Replace the size of the samples in a header; `extra` is what the format adds to it."""
    content = path.read_bytes()
    for added in range(extra):
        at = content[:8192].find(struct.pack(kind, 32000 + added))
        if at >= 0:
            path.write_bytes(content[:at] + struct.pack(kind, size) + content[at + struct.calcsize(kind) :])
            return
    raise AssertionError(f"no size in the header of {path.name}")


@pytest.mark.parametrize("size", [0, 8000])
@pytest.mark.parametrize(("name", "kind", "extra"), SIZES)
def test_samples_behind_the_stated_end_are_read(tmp_path, name, kind, extra, size):
    path = write(tmp_path / name, tone(2.0))
    whole, _ = read(path)
    with_size(path, kind, extra, size)
    found, note = read(path)
    assert read_header(path).frames == 16000
    np.testing.assert_array_equal(found, whole)
    assert note == ""
    np.testing.assert_array_equal(read_excerpt(path, 1.5, 9.0)[0], whole[12000:])


def test_chunks_behind_the_samples_are_not_read_as_samples(tmp_path):
    path = tmp_path / "a.wav"
    for tail in (b"LIST\x04\0\0\0INFO", b"guan\x05\0\0\0notes\0", b"id3 \x03\0\0\0abc", b"TAG" + bytes(125)):
        path.write_bytes(wav_bytes(0.1 * NOISE) + tail)
        assert read_header(path).frames == 4000
        assert read(path)[1] == ""


def test_flac_longer_than_its_header_states_is_reported(tmp_path):
    path = write(tmp_path / "a.flac", tone(2.0))
    content = bytearray(path.read_bytes())
    content[22:26] = (8192).to_bytes(4, "big")
    path.write_bytes(content)
    assert read(path)[1] == "only the first 1.0 s: more samples follow than its header states"


@pytest.mark.parametrize("kind", ["GSM610", "G721_32"])
def test_excerpt_of_a_codec_without_seeking_is_decoded_from_the_start(tmp_path, kind):
    path = write(tmp_path / ("a.wav" if kind == "GSM610" else "a.au"), tone(2.0), subtype=kind)
    whole, _ = read(path)
    for start in (1.0, 0.25):
        at = round(8000 * start)
        np.testing.assert_allclose(read_excerpt(path, start, start + 0.5)[0], whole[at : at + 4000], atol=1e-6)


def test_excerpts_can_be_read_by_several_threads(tmp_path):
    ramp = (np.arange(80000) / 80000).astype(np.float32)
    paths = [write(tmp_path / f"{i}.wav", ramp, subtype="FLOAT") for i in range(2)]

    def right(number):
        at = 37 * number % 70000
        return np.array_equal(read_excerpt(paths[number % 2], at / 8000, (at + 400) / 8000)[0], ramp[at : at + 400])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(2000)))


def test_header_of_a_growing_file_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", tone(1.0))
    states = iter(range(100))
    state = opening.file_state
    monkeypatch.setattr(opening, "file_state", lambda path: (*state(path)[:2], next(states)))
    assert read_header(path).seconds == 1.0


@pytest.mark.parametrize("size", [-12, -40, 2**62, 2**63 - 1])
def test_caf_with_a_chunk_of_impossible_size_is_undecodable(tmp_path, size):
    path = tmp_path / "a.caf"
    path.write_bytes(b"caff\0\1\0\0" + b"free" + struct.pack(">q", size) + bytes(100))
    assert reason(path).startswith("undecodable: ")


def test_open_files_are_closed_at_exit(tmp_path):
    path = write(tmp_path / "a.wav", tone(1.0))
    script = (
        "import atexit, pathlib, sys\n"
        "atexit.register(lambda: print(audio.recent.file[1].closed))\n"  # it runs after the handlers added later
        "from audiosae.recordings import audio\n"
        "audio.read_excerpt(pathlib.Path(sys.argv[1]), 0.0, 0.1)\n"
    )
    result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == ("True", "")


def test_inspect_leaves_no_exception_at_exit(tmp_path):
    write(tmp_path / "a.wav", tone(1.0))
    write(tmp_path / "b.mp3", tone(1.0))
    result = subprocess.run(
        [sys.executable, "-m", "audiosae", "inspect", tmp_path], capture_output=True, text=True, check=True
    )
    assert "Exception ignored" not in result.stderr
