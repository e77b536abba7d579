"""Formats that FFmpeg reads with the extra av: length, position and excerpts, dates, damage, and runs without PyAV.

The files are encoded, and decoded for comparison, by the program of imageio-ffmpeg.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY
from signals import collect

from audiosae.corpus.entries import cached_record
from audiosae.corpus.ingest import decode
from audiosae.corpus.sources import Source, scan
from audiosae.errors import InputError
from audiosae.recordings import av_files, formats
from audiosae.recordings.audio import read_excerpt, read_mono
from audiosae.recordings.date_headers import header_place, header_times
from audiosae.recordings.missing_ends import has_no_end
from audiosae.recordings.opening import read_header
from audiosae.recordings.spectrogram import Spectrogram

RATE, SECONDS = 22050, 3.03
DATE, PLACE = "2024-06-01T05:30:00", "+52.5200+013.4050/"
PICTURE = "-f lavfi -i testsrc=size=64x48:rate=10:duration=3.1".split()  # noqa: SIM905
SECOND_STREAM = "-f lavfi -i sine -map 0:a -map 1:a -t 3 -c:a alac".split()  # noqa: SIM905
NO_NOISE = ["-aac_pns", "0"]  # the decoder makes up the noise of AAC: it differs after a seek
SNDFILE = {
    "WAV": ("wav", "WAV", "PCM_16"),
    "FLAC": ("flac", "FLAC", "PCM_16"),
    "Ogg Vorbis": ("ogg", "OGG", "VORBIS"),
    "Opus": ("opus", "OGG", "OPUS"),
    "MP3": ("mp3", "MP3", "MPEG_LAYER_III"),
    "AIFF": ("aiff", "AIFF", "PCM_16"),
    "AU": ("au", "AU", "PCM_16"),
    "CAF": ("caf", "CAF", "PCM_16"),
}
FFMPEG = {
    "M4A (AAC)": ("aac.m4a", False, ["-c:a", "aac", *NO_NOISE]),
    "M4A (Apple Lossless)": ("alac.m4a", False, ["-c:a", "alac"]),
    "AAC": ("aac", False, ["-c:a", "aac", *NO_NOISE]),
    "WMA": ("wma", False, ["-c:a", "wmav2"]),
    "AMR": ("amr", False, ["-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"]),
    "Ogg FLAC": ("flac.oga", False, ["-c:a", "flac", "-f", "ogg"]),
    "WavPack": ("wv", False, ["-c:a", "wavpack"]),
    "MP4 video (AAC)": ("mp4", True, ["-c:a", "aac", *NO_NOISE]),
    "MOV video (PCM)": ("mov", True, ["-c:a", "pcm_s16le"]),
    "Matroska video (FLAC)": ("mkv", True, ["-c:a", "flac"]),
    "WebM video (Opus)": ("webm", True, ["-c:v", "libvpx", "-c:a", "libopus", "-ar", "24000"]),
    "AVI video (PCM)": ("avi", True, ["-c:v", "mjpeg", "-c:a", "pcm_s16le"]),
}
LOSSLESS = {
    "M4A (Apple Lossless)",
    "Ogg FLAC",
    "WavPack",
    "MOV video (PCM)",
    "Matroska video (FLAC)",
    "AVI video (PCM)",
}


def decoded(path):
    return np.concatenate(list(read_mono(path, read_header(path).rate, 1)))


@pytest.fixture(scope="module")
def ffmpeg():
    pytest.importorskip("av", reason="needs FFmpeg: pip install --group formats")
    found = pytest.importorskip("imageio_ffmpeg", reason="needs imageio-ffmpeg: .ci/run has it").get_ffmpeg_exe()
    return lambda *arguments: subprocess.run([found, "-y", "-loglevel", "error", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def forms(ffmpeg, tmp_path_factory):
    """A folder with the same sound, a rising tone, in all forms, and its samples."""
    folder = tmp_path_factory.mktemp("forms")
    time = np.arange(int(RATE * SECONDS)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * (200 * time + 150 * time**2)) * np.minimum(1, time * 20)
    stereo = np.stack([sound, np.roll(sound, 50)], 1).astype(np.float32)
    for suffix, container, subtype in SNDFILE.values():
        rate = 24000 if subtype == "OPUS" else RATE
        soundfile.write(folder / f"form.{suffix}", stereo, rate, format=container, subtype=subtype)
    for suffix, is_video, options in FFMPEG.values():
        tags = ["-metadata", f"creation_time={DATE}Z", "-metadata", f"location={PLACE}"]
        given = ["-i", folder / "form.wav", *options, *tags, folder / f"form.{suffix}"]
        ffmpeg(*(PICTURE if is_video else []), *given)
    return folder, stereo[:, 0]


def rows_of_the_manual():
    text = (REPOSITORY / "docs" / "reference" / "recordings.md").read_text()
    lines = re.findall(
        r"^\| ([^|]*[^ |]) +\| (yes|no) \| (yes|no) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE
    )
    return {name: rest for name, *rest in lines}


def test_the_manual_has_a_row_for_every_form():
    rows = rows_of_the_manual()
    assert rows.keys() == SNDFILE.keys() | FFMPEG.keys()
    assert len(rows) == 20
    assert Counter(row[0] for row in rows.values()) == {"yes": len(SNDFILE), "no": len(FFMPEG)}


@pytest.mark.slow
def test_length_place_excerpts_and_dates_are_as_the_manual_says(forms, monkeypatch):
    folder, sound = forms
    monkeypatch.setattr(av_files, "_NEAR_SECONDS", 0.5)  # excerpts begin after a seek
    found = {}
    for name, (suffix, *_) in (SNDFILE | FFMPEG).items():
        path = folder / f"form.{suffix}"
        samples, rate = decoded(path), read_header(path).rate
        wanted = round(len(sound) * rate / RATE) if name != "Opus" else len(sound)
        starts = np.linspace(0, len(samples) - 500, 6).astype(int)
        parts = [read_excerpt(path, start / rate, (start + 500) / rate, 1)[0] for start in starts]
        errors = [np.abs(part - samples[start : start + 500]).max() for start, part in zip(starts, parts, strict=True)]
        excess = (len(samples) - wanted) / rate * 1000
        length = "exact" if abs(len(samples) - wanted) <= (rate != RATE) else f"{excess:+.0f} ms"
        times = header_times(path)
        dates = "name, header" if suffix == "wav" else "name, tags" if times.get("container tags") else "name"
        found[name] = [length, "exact" if max(errors) < 1e-5 else "differ", dates]
        if name in LOSSLESS:
            np.testing.assert_allclose(samples, sound, atol=2**-15)
    stated = rows_of_the_manual()
    assert found == {name: [text.split(" (here)")[0] for text in row[2:]] for name, row in stated.items()}


@pytest.mark.slow
def test_samples_equal_those_of_the_ffmpeg_program(forms, ffmpeg, tmp_path):
    folder, _ = forms
    for name, (suffix, *_) in FFMPEG.items():
        path, raw = folder / f"form.{suffix}", tmp_path / "raw"
        ffmpeg("-i", path, "-map", "0:a:0", "-f", "f32le", raw)
        wanted, found = np.fromfile(raw, np.float32)[:: read_header(path).channels], decoded(path)
        assert len(wanted) - 200 < len(found) <= len(wanted), name  # the program does not trim AMR in 3GP
        np.testing.assert_allclose(found, wanted[: len(found)], atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_tags_of_containers_give_date_and_place(forms):
    folder, _ = forms
    for suffix in ("aac.m4a", "mp4", "mov", "mkv", "webm"):
        assert header_times(folder / f"form.{suffix}") == {"container tags": datetime.fromisoformat(f"{DATE}+00:00")}
    assert header_place(folder / "form.mp4") == (52.52, 13.405)
    assert header_place(folder / "form.avi") is None


def half(content):
    return content[: len(content) // 2]


def noisy(content):
    middle = len(content) // 2
    return content[:middle] + np.random.default_rng(0).bytes(2000) + content[middle + 2000 :]


def locked(content):
    at = content.rfind(b"mp4a")
    return content[:at] + b"drms" + content[at + 4 :]


DAMAGED = {
    "cut.m4a": ("aac.m4a", half, "undecodable: it has no index (moov), as a recording that was cut or not ended"),
    "text.mp4": ("aac.m4a", lambda _: b"text" * 99, "undecodable: its content is not that of .mp4"),
    "list.mkv": ("aac.m4a", lambda _: b"ffconcat version 1.0\nfile form.mp4\n", "undecodable: a playlist, or a format"),
    "drm.m4a": ("aac.m4a", locked, "encrypted (drms, copy protection): wanted a file without it"),
    "half.mkv": ("mkv", half, "truncated at 1."),
    "half.wv": ("wv", half, "truncated at 1."),
    "half.oga": ("flac.oga", half, "truncated at 1."),
    "half.aac": ("aac", half, "truncated at 1."),
    "noisy.m4a": ("aac.m4a", noisy, "damaged frames were replaced by silence: "),
    "noisy.wv": ("wv", noisy, "damaged frames were skipped: 1, the first at 1."),
}


@pytest.mark.slow
def test_damage_is_reported_in_one_line(forms, tmp_path):
    folder, _ = forms
    found = {}
    for name, (source, damage, _reason) in DAMAGED.items():
        path = tmp_path / name
        path.write_bytes(damage((folder / f"form.{source}").read_bytes()))
        try:
            found[name] = collect(read_mono(path, RATE))[1]
        except InputError as error:
            found[name] = str(error)
    assert {name: found[name][: len(reason)] for name, (*_, reason) in DAMAGED.items()} == {
        name: reason for name, (*_, reason) in DAMAGED.items()
    }


@pytest.mark.slow
def test_a_missing_end_is_found_where_the_container_tells_it(forms, tmp_path):
    folder, _ = forms
    untold = set()
    for suffix, *_ in (SNDFILE | FFMPEG).values():
        path = tmp_path / f"cut.{suffix}"
        assert not has_no_end(folder / f"form.{suffix}"), suffix
        content = (folder / f"form.{suffix}").read_bytes()
        path.write_bytes(content[: len(content) * 9 // 10])
        if not has_no_end(path):
            untold.add(suffix)
    assert untold == {"aac", "amr"}


@pytest.mark.slow
def test_streams_of_a_container_are_chosen_and_named(forms, ffmpeg, tmp_path):
    folder, sound = forms
    two, silent, mono = tmp_path / "two.mp4", tmp_path / "silent.mp4", tmp_path / "mono.aac"
    ffmpeg(
        "-i",
        folder / "form.wav",
        *["-f", "lavfi", "-i", "sine", "-map", "0:a", "-map", "1:a", "-t", "3", "-c:a", "alac"],
        two,
    )
    assert read_header(two).remark == "2 sound streams, of which the first is read"
    np.testing.assert_allclose(decoded(two), sound[: 3 * RATE], atol=2**-15)
    ffmpeg(*PICTURE, silent)
    with pytest.raises(InputError, match=r"^no sound: the file has only video$"):
        read_header(silent)
    ffmpeg("-i", folder / "form.wav", "-ac", 1, mono)
    mono.write_bytes((folder / "form.aac").read_bytes() + mono.read_bytes())
    note = collect(read_mono(mono, RATE))[1]
    assert note == "only the first 3.1 s: then it has 1 channel at 22050 Hz instead of 2 channels at 22050 Hz"


@pytest.fixture
def without_av(monkeypatch):
    monkeypatch.setattr(av_files, "has_av", lambda: False)
    monkeypatch.setattr(formats, "has_av", lambda: False)


@pytest.mark.usefixtures("without_av")
@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [("a.M4A", b"....ftypM4A ", ".m4a"), ("a.ogg", b"OggS" + bytes(24) + b"\x7fFLAC", "Ogg FLAC or Speex")],
)
def test_without_the_extra_a_lone_file_names_it(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{re.escape(kind)} needs the extra av: pip install 'audiosae\[av\]'$"):
        read_header(tmp_path / name)


def test_without_the_extra_what_it_read_into_the_cache_is_not_used(tmp_path, monkeypatch):
    source = Source("a.wav", tmp_path / "a.wav")
    soundfile.write(source.path, np.sin(np.arange(8000) * 0.3), 8000)
    entry, domain = tmp_path / "a.npy", Spectrogram(sample_rate=8000).resolve([])
    header = replace(read_header(source.path), needs="av")
    monkeypatch.setattr("audiosae.recordings.spectrogram.read_header", lambda _: header)  # as if FFmpeg had read it
    assert decode((domain, source.path, entry)).needs == "av"
    for spec in (object(), None):
        monkeypatch.setattr("audiosae.corpus.entries.find_spec", lambda _, spec=spec: spec)
        assert (cached_record(source, entry) is None) == (spec is None)


def test_without_the_extra_the_files_that_it_would_read_are_counted(tmp_path):
    missing = dict.fromkeys(formats.AV_SUFFIXES, formats.INSTALL)
    for name in ("a.m4a", "b.m4a", "c.MP4", "d.txt"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"3 more files \(\.m4a \(2\), \.mp4 \(1\)\) can be read after pip install"):
        scan([tmp_path], formats.SNDFILE_SUFFIXES, missing=missing)
    (tmp_path / "e.wav").touch()
    said = []
    scan([tmp_path], formats.SNDFILE_SUFFIXES, missing=missing, say=said.append)
    assert said[0] == "3 more files (.m4a (2), .mp4 (1)) can be read after pip install 'audiosae[av]'"
    assert said[1].startswith("skipped by suffix: .txt (1)")
