"""Inspection of sources: headers, counts, quick checks, summary."""

from __future__ import annotations

import json

import numpy as np
import pytest
from signals import tone, write

import audiosae
from audiosae.commands.inspect import extent_text, inspect_sources
from audiosae.corpus.sources import scan
from audiosae.errors import InputError
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.progress import Progress
from audiosae.system.spelling import with_arguments


class Recorder(Progress):
    def __init__(self):
        self.heard = []

    def stage(self, title, total, unit):
        self.heard.append((title, total, unit))

    def advance(self, amount, **_facts):
        self.heard.append(amount)


def inspect(*arguments, domain=None, progress=None):
    domain = domain or Spectrogram()
    return inspect_sources(domain, scan(arguments, domain.suffixes), progress=progress or Progress())


@pytest.fixture
def folder(tmp_path):
    """Three recordings that can be used, one too short, two broken."""
    write(tmp_path / "a.wav", tone(1.0))
    write(tmp_path / "b.wav", tone(2.0))
    write(tmp_path / "c.flac", np.stack([tone(1.0, 16000)] * 2, axis=1), 16000)
    write(tmp_path / "short.wav", tone(0.1))
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    return tmp_path


def test_every_source_has_a_status_and_a_reason(folder):
    found = inspect(folder)
    assert (found["sources_ok"], found["sources_skipped"]) == (3, 3)
    assert {file["file"]: (file["status"], file["reason"]) for file in found["files"]} == {
        "a.wav": ("ok", ""),
        "b.wav": ("ok", ""),
        "c.flac": ("ok", ""),
        "empty.wav": ("skipped", "empty: zero bytes"),
        "short.wav": ("skipped", "shorter than a window: 11 rows, wanted 16"),
        "text.wav": ("skipped", "undecodable: Format not recognised."),
    }
    assert found["files"][2]["facts"] == {"rate": 16000, "channels": 2, "format": "FLAC/PCM_16"}


def test_lengths_and_windows_of_usable_sources_add_up(folder):
    found = inspect(folder)
    assert (found["domain"], found["unit"]) == ("spectrogram", "s")
    assert found["extent"] == pytest.approx(4.0)
    assert found["windows"] == (101 - 15) + (201 - 15) + (101 - 15)
    assert found["estimate"]["field_bytes"] == (101 + 201 + 101) * 40
    assert found["estimate"]["seconds"] > 0


def test_windows_follow_the_step(folder):
    assert inspect(folder / "a.wav", domain=Spectrogram(step=10, frames=20))["windows"] == 1 + (101 - 20) // 10


def test_the_summary_lists_kinds_and_reasons(folder):
    summary = inspect(folder)["summary"]
    assert summary[0] == "3 of 6 sources can be read: 4.0 s, about 358 windows"
    assert summary[1:3] == [
        "  2 x rate 8000, channels 1, format WAV/PCM_16",
        "  1 x rate 16000, channels 2, format FLAC/PCM_16",
    ]
    assert sorted(summary[3:6]) == [
        "  skipped: empty (1)",
        "  skipped: shorter than a window (1)",
        "  skipped: undecodable (1)",
    ]
    assert summary[6].startswith("training with the defaults takes about ")
    assert summary[7].startswith("1 of 6 recordings are shorter than a window")
    assert len(summary) == 8


def test_long_lengths_are_in_hours(tmp_path):
    write(tmp_path / "a.wav", np.zeros(5400 * 100, np.float32), 100)  # a header is all that is read
    assert inspect(tmp_path)["summary"][0].startswith("1 of 1 sources can be read: 1.50 h, about ")


def test_the_estimate_says_which_share_of_a_long_archive_is_read(tmp_path):
    write(tmp_path / "a.wav", np.zeros(2 * 10**6, np.float32), 100)
    found = inspect(tmp_path, domain=Spectrogram(hop_length=1))
    assert found["estimate"]["share"] == pytest.approx(0.75e6 / 2e6, rel=0.01)
    assert found["summary"][2].startswith("training with the defaults reads about 38 % of this and takes about ")


def test_the_result_is_json(folder):
    found = inspect(folder)
    assert json.loads(json.dumps(found, default=list)) == found


def test_progress_advances_file_by_file(folder):
    progress = Recorder()
    inspect(folder, progress=progress)
    assert progress.heard == [("inspecting", 6, "files"), *[1] * 6]


def test_nothing_to_inspect_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"^no \.wav, .* under "):
        inspect(tmp_path)


def test_broken_files_are_not_counted_as_readable(tmp_path):
    (tmp_path / "a.wav").touch()
    found = inspect(tmp_path)
    assert (found["sources_ok"], found["windows"], found["extent"]) == (0, 0, 0)
    assert found["summary"][:2] == ["0 of 1 sources can be read: 0.0 s, about 0 windows", "  skipped: empty (1)"]


def test_recordings_of_a_lower_rate_are_reported(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.wav", tone(2.0, 16000), 16000)
    write(tmp_path / "low.wav", tone(1.0))
    found = inspect(tmp_path)
    remark = "a lower rate than 16000 Hz, so their upper bands are empty"
    assert [file["remark"] for file in found["files"]] == ["", "", remark]
    assert f"1 of 3 sources have {remark}: low.wav" in found["summary"]
    assert not any(remark in line for line in inspect(tmp_path, domain=Spectrogram(fmax=4000.0))["summary"])


def with_offset(folder, offset, count=4):
    for number in range(count):
        write(folder / f"{number}.wav", 0.1 * tone(1.0, 22050, noise=0.2, seed=number) + offset, 22050, subtype="FLOAT")
    return folder


def test_a_dc_offset_in_many_recordings_is_reported_with_a_remedy(tmp_path):
    folder = with_offset(tmp_path, 0.05)
    found = inspect(folder)
    words = "a constant offset, which fills the lowest bands (--set fmin=100 leaves them out)"
    assert found["glances"] == {"sources": 4, "found": [{"file": f"{i}.wav", "remark": words} for i in range(4)]}
    assert f"4 of 4 checked sources have {words}: 0.wav, 1.wav, 2.wav and 1 more" in found["summary"]
    for good in (inspect(folder, domain=Spectrogram(fmin=100.0)), inspect(with_offset(folder, 0.005))):
        assert good["glances"]["found"] == []
        assert not any("offset" in line for line in good["summary"])


def test_without_the_lowest_bands_an_offset_changes_nothing(tmp_path):
    plain, shifted = (with_offset(tmp_path / name, offset, 1) / "0.wav" for name, offset in (("a", 0), ("b", 0.1)))
    for fmin, least, most in ((0.0, 2.0, np.inf), (100.0, 0.0, 0.1)):
        domain = Spectrogram(sample_rate=22050, fmin=fmin).resolve([])
        fields = [np.concatenate([block.copy() for block in domain.field(path)]) for path in (plain, shifted)]
        for field in fields:
            domain.finish(field)
        assert least < np.sqrt(np.mean((fields[0] - fields[1])[2:-3] ** 2)) < most  # in dB; the ends are a step


def test_only_some_of_many_sources_are_checked(tmp_path):
    with_offset(tmp_path, 0.0, 130)
    assert inspect(tmp_path)["glances"]["sources"] == 33


def events_lines(folder, **options):
    """Lines of the summary that say what the recordings mean for events."""
    lines = inspect(folder, domain=Spectrogram(**options))["summary"]
    return [line for line in lines if " recordings are " in line or " recordings have ultrasound" in line]


def test_recordings_shorter_than_a_window_are_reported_with_the_window_that_fits(folder):
    (line,) = events_lines(folder)
    assert line.startswith("1 of 6 recordings are shorter than a window (0.16 s): train skips them, and survey")
    assert line.endswith("--set frames=11 uses shorter windows")
    assert events_lines(folder, frames=11) == []


def test_short_recordings_among_long_ones_are_reported(tmp_path):
    write(tmp_path / "a.wav", tone(3.0))
    assert events_lines(tmp_path) == []
    write(tmp_path / "b.wav", tone(11.0))
    (line,) = events_lines(tmp_path)
    assert line.startswith("1 of 2 recordings are under 10 s, the others are longer: steady noise gives no event")
    assert line.endswith("survey --min-level 20 leaves out weak events")


def test_ultrasound_is_reported_with_windows_that_suit_its_calls(tmp_path):
    write(tmp_path / "bat.wav", tone(0.5, 192000), 192000)
    (line,) = events_lines(tmp_path)
    assert "windows of 0.16 s compare them together with their neighbours" in line
    options = "--set n_fft=512 --set hop_length=192 --set frames=8 --set fmin=15000"
    assert f"train {options} compares single calls" in line
    assert events_lines(tmp_path, n_fft=512, hop_length=192, frames=8, fmin=15000.0) == []


def test_ultrasound_among_more_ordinary_recordings_is_reported(tmp_path):
    write(tmp_path / "bat.wav", tone(0.5, 192000), 192000)
    write(tmp_path / "bird.wav", tone(3.0, 22050), 22050)
    (line,) = events_lines(tmp_path)
    assert line.startswith("1 of 2 recordings have ultrasound, but sounds above 11.025 kHz are not read")
    assert "train --set sample_rate=192000" in line


def test_lengths_have_units_and_plurals():
    summary = [extent_text(*each) for each in ((1.25, "s"), (4000.0, "row"), (1.0, "row"), (640.0, "px"), (2.5, "m"))]
    assert summary == ["1.25 s", "4,000 rows", "1 row", "640 px", "2.50 m"]


def test_every_command_reports_an_empty_folder_in_the_same_words(run, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    commands = (["inspect"], ["export", trained], ["report", trained], ["survey", trained])
    for name, *model in commands:
        out = [] if name == "inspect" else ["-o", tmp_path / "o.html" if name == "report" else tmp_path / "o.csv"]
        code, _, err = run(name, *model, tmp_path / "empty", *out)
        words = f"no .wav, .flac, .ogg, .mp3 or ... under {tmp_path / 'empty'}/ (looked in 1 folder)"
        assert (code, words in err, "the model has the domain spectrogram" in err) == (1, True, bool(model))


@pytest.fixture
def mixed(tmp_path):
    """Two recordings at 22050 Hz and one at 44100 Hz."""
    for number, rate in enumerate((22050, 22050, 44100)):
        write(tmp_path / f"{number}.wav", tone(0.5, rate, noise=0.2, seed=number), rate)
    return tmp_path


WORDS = (
    "recordings have different rates: 22050 Hz (2), 44100 Hz (1); with scale=linear the bins above 10143 Hz show the "
    "rate of a recording instead of its sound (--set fmax=10143 leaves them out)"
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": "linear"}, True),
        ({"scale": "linear", "fmax": 10143.0}, False),
        ({"scale": "linear", "sample_rate": 16000}, False),
        ({}, False),
    ],
)
def test_different_rates_are_reported_where_a_scale_shows_them(mixed, options, expected):
    summary = inspect(mixed, domain=Spectrogram(**options))["summary"]
    assert any("recordings have different rates" in line for line in summary) == expected
    if options == {"scale": "linear"}:
        assert WORDS in summary
        (mixed / "2.wav").unlink()
        assert not any("different rates" in line for line in inspect(mixed, domain=Spectrogram(**options))["summary"])


def test_the_bins_that_are_left_out_are_those_that_show_the_rate(mixed):
    for fmax, shown in ((0.0, True), (10143.0, False)):
        domain = Spectrogram(sample_rate=22050, scale="linear", fmax=fmax).resolve([])
        levels = [np.concatenate(list(domain.field(mixed / f"{n}.wav")))[2:-3].mean(axis=0)[-4:] for n in (1, 2)]
        assert (levels[0].mean() - levels[1].mean() > 20) == shown


def test_training_and_export_report_different_rates(mixed):
    narrow = {"scale": "linear", "n_fft": 64, "frames": 2}
    trained = audiosae.train(mixed, settings=narrow, hidden=2, epochs=1)
    assert with_arguments(WORDS) in trained.notes
    assert with_arguments(WORDS) in audiosae.export(trained.model, mixed).notes
