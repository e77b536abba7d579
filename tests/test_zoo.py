"""A table of unusual and broken inputs with the outcome that every command must give them.

If an input is handled wrongly, add a line to `ZOO` (and a small builder, if none fits) with its correct outcome: all
commands are then tested with it. All files are in one folder, which each command reads once.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from conftest import UNDRAWN
from signals import ogg_with_times, stated_frames, tone, wav_bytes, without_tag, write

from audiosae import cli
from audiosae.corpus.sources import printable
from audiosae.recordings.missing_ends import REMARK
from audiosae.system.files import cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such file names, pipes and permissions")

RATE = 22050
SECONDS = 1.2345
USED, PART, SKIPPED, IGNORED = "used", "partly used", "skipped", "ignored"
JOINED = "only the first 1.2 s: another recording follows"
LOWER = "a lower rate than 22050 Hz, so their upper bands are empty"
SAMPLES = tone(SECONDS, RATE, level=0.0, noise=0.05)
SAMPLES[8000:14000] += tone(SECONDS, RATE, pitch=2500, noise=0.0)[8000:14000]  # an event for survey


@dataclass(frozen=True)
class Beast:
    """One input.

    Attributes
    ----------
    file
        Path in the folder; bytes if it is not valid UTF-8.
    make
        Function that writes the file to a path.
    outcome
        `USED`, `PART`, `SKIPPED` or `IGNORED`.
    reason
        Start of the reason.
    seconds
        Length of the used part, exact to a millisecond (to 40 ms for `PART`).
    inspected
        Start of the reason that inspect gives, which reads headers only; "" if headers do not show the fault.
    remark
        Remark on a used input.
    encoded
        Outcome in export, evaluate and survey, if it differs: there each file has a row.
    """

    file: str | bytes
    make: Callable[[Path], object]
    outcome: str = USED
    reason: str = ""
    seconds: float = SECONDS
    inspected: str | None = None
    remark: str = ""
    encoded: str = ""

    @property
    def name(self) -> str:
        return printable(os.fsdecode(self.file))


# Builders: each returns a function that writes an input to a path.


def sound(samples=SAMPLES, rate=RATE, **kind):
    return lambda path: write(path, samples, rate, **kind)


def content(data):
    return lambda path: path.write_bytes(data)


def changed(change, samples=SAMPLES, rate=RATE, **kind):
    """Return a function that writes a good recording and then changes its bytes."""
    return lambda path: path.write_bytes(change(write(path, samples, rate, **kind).read_bytes()))


def wav(samples=SAMPLES, **options):
    return content(wav_bytes(samples, RATE, **options))


def twice(data):
    return data + data


def cut(data):
    return data[: len(data) * 5 // 8]


def cut_to(share):
    return lambda data: data[: int(len(data) * share)]


def at(offset, new):
    return lambda data: data[:offset] + new + data[offset + len(new) :]


def flac_of_unknown_length(data):
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]


def streamed(data):
    return at(40, b"\xff" * 4)(at(4, b"\xff" * 4)(data))


def with_value(value):
    samples = SAMPLES.copy()
    samples[RATE // 2] = value
    return wav(samples, floats=True)


def channels(*signs):
    return np.stack([sign * SAMPLES for sign in signs], axis=1)


def link(target):
    return lambda path: path.symlink_to(target)


def unreadable(path):
    write(path, SAMPLES, RATE).chmod(0)


def pipe(path):
    os.mkfifo(path)  # looked up here, because Windows has no such function


OPUS, AS_OPUS = (tone(1.25, 24000), 24000), {"format": "OGG", "subtype": "OPUS"}
LONG = tone(8.0, RATE, noise=0.1)  # more than a page of Ogg
GSM_SECONDS = 320 * 85 / RATE  # as the chunk "fact" states; libsndfile adds a block of noise
POINTER = "a pointer of Git LFS"
BACKWARDS = b"caff\0\1\0\0free" + (-12).to_bytes(8, "big", signed=True) + bytes(99)  # a chunk of negative size


def mp3_without_tag(path):
    path.write_bytes(without_tag(write(path, SAMPLES, RATE, bitrate_mode="VARIABLE").read_bytes()))


def mp3_seconds():
    """Return the length of whole frames, which is known only from the tag that `mp3_without_tag` removes."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, format="MP3", bitrate_mode="VARIABLE") as sounds:
        sounds.write(SAMPLES)
    return 576 * stated_frames(file.getvalue()) / RATE


def earlier(data):
    return ogg_with_times(data, lambda time: max(1000, time - 30000))


def padded(data):
    return data + bytes(5000)


def of_unknown_length(data):
    at = data.index(b"data") + 4
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


# Per line: the file, how it is made, its outcome, the reason and its length.
ZOO = [
    # ordinary, in every container
    Beast("plain.wav", sound()),
    Beast("plain.flac", sound()),
    Beast("plain.ogg", sound()),
    Beast("plain.opus", sound(*OPUS, **AS_OPUS), seconds=1.25),
    Beast("plain.mp3", sound()),
    Beast("plain.aiff", sound()),
    Beast("plain.au", sound()),
    Beast("plain.caf", sound()),
    Beast("plain.w64", sound()),
    Beast("plain.rf64", sound(format="RF64")),
    Beast("plain.voc", sound()),
    Beast("UPPER.WAV", sound()),
    Beast("loud.wav", sound(1e5 * SAMPLES, subtype="FLOAT")),
    Beast("gsm.wav", sound(tone(320 * 85 / RATE, RATE), subtype="GSM610"), seconds=GSM_SECONDS),
    Beast("six-channels.wav", sound(channels(1, 0.5, 0.2, 0.1, 1, 0.3))),
    Beast("sixty-channels.wav", sound(channels(*[1, 0.5] * 30))),
    Beast("higher-rate.wav", sound(tone(1.5, 48000), 48000), seconds=1.5),
    Beast("eight-kilohertz.wav", sound(tone(1.5, 8000), 8000), seconds=1.5, remark=LOWER),
    Beast("offset.wav", sound(0.2 * SAMPLES + 0.5)),
    # wrong headers
    Beast("unknown-length.flac", changed(flac_of_unknown_length)),
    Beast("size-zero.wav", wav(claimed=0)),
    Beast("size-wrapped.wav", wav(claimed=4000)),
    Beast("size-too-large.wav", wav(claimed=50_000), PART, "truncated at 1.2 s"),
    Beast("streamed.wav", changed(streamed)),
    Beast("trailing-chunks.wav", changed(lambda data: data + b"LIST\x04\0\0\0INFO" + b"id3 \x03\0\0\0abc\0")),
    Beast("trailing-tag.wav", changed(lambda data: data + b"TAG" + bytes(125))),
    Beast("streamed.caf", changed(of_unknown_length)),
    Beast("streamed.mp3", mp3_without_tag, seconds=mp3_seconds()),
    Beast("header-counted.wav", wav(claimed=len(SAMPLES) + 22)),
    Beast("riff-counted.wav", wav(claimed=len(SAMPLES) + 4)),
    Beast("times.ogg", changed(earlier, LONG), PART, "only the first 6.6 s: the times of its pages", 8 - 30000 / RATE),
    Beast("few-hertz.wav", content(wav_bytes(SAMPLES, 5)), SKIPPED, "sample rate too low", inspected="sample rate too"),
    Beast(
        "endless.caf",
        content(b"caff\0\1\0\0free" + b"\xff" * 7 + b"\xf4" + bytes(99)),
        SKIPPED,
        "undecodable: ",
        inspected="undecodable: ",
    ),
    # filled up with zeros
    *(
        Beast(f"padded.{suffix}", changed(padded))
        for suffix in ("wav", "aiff", "au", "caf", "w64", "voc", "ogg", "mp3")
    ),
    # joined end to end
    *(
        Beast(f"joined.{suffix}", changed(twice), PART, JOINED)
        for suffix in ("wav", "aiff", "au", "caf", "rf64", "flac", "ogg", "mp3")
    ),
    Beast("joined.opus", changed(twice, *OPUS, **AS_OPUS), PART, JOINED, 1.25),
    # cut
    *(
        Beast(f"cut.{suffix}", changed(cut), PART, "truncated at 0.", seconds)
        for suffix, seconds in (
            ("wav", 0.77),
            ("aiff", 0.77),
            ("au", 0.77),
            ("caf", 0.77),
            ("w64", 0.77),
            ("rf64", 0.77),
            ("voc", 0.77),
            ("flac", 0.743),
            ("mp3", 0.738),
        )
    ),
    Beast("cut.ogg", changed(cut, LONG), PART, "truncated at 4.", 4.139),
    Beast("cut.opus", changed(cut, LONG[::2], 12000, **AS_OPUS), PART, "truncated at ", 3.974, remark=LOWER),
    Beast("cut-early.ogg", changed(cut), SKIPPED, "no samples: truncated before the first", inspected="empty: no rows"),
    Beast("cut-in-header.wav", changed(cut_to(0.0006)), SKIPPED, "undecodable: ", inspected="undecodable: "),
    # no usable samples
    Beast("zero-bytes.wav", content(b""), SKIPPED, "empty: zero bytes", inspected="empty: zero bytes"),
    Beast("zero-frames.wav", sound(SAMPLES[:0]), SKIPPED, "no samples: zero frames", inspected="empty: no rows"),
    Beast(
        "too-short.wav",
        sound(SAMPLES[:1000]),
        SKIPPED,
        "shorter than a window",
        1000 / RATE,
        "shorter than a window",
        "",
        USED,
    ),
    Beast("not-a-number.wav", with_value(np.nan), SKIPPED, "NaN or infinite samples: the first at 0.5 s", inspected=""),
    Beast("infinite.wav", with_value(np.inf), SKIPPED, "NaN or infinite samples: the first at 0.5 s", inspected=""),
    Beast("silent.wav", sound(0 * SAMPLES), SKIPPED, "silent: every sample is the same", inspected=""),
    Beast("cancelling.wav", sound(channels(1, -1)), SKIPPED, "channels cancel: ", inspected=""),
    Beast("text.wav", content(b"no sound\n" * 40), SKIPPED, "undecodable: ", inspected="undecodable: "),
    Beast("picture.wav", content(b"\x89PNG\r\n\x1a\n" + bytes(900)), SKIPPED, "undecodable: ", inspected="undecodable"),
    Beast("unreadable.wav", unreadable, SKIPPED, "unreadable: Permission", inspected="unreadable: Permission"),
    Beast("dangling.wav", link("gone.wav"), SKIPPED, "unreadable: No such file", inspected="unreadable: No such file"),
    Beast("pipe.wav", pipe, SKIPPED, "not a regular file", inspected="not a regular file"),
    Beast(
        "lfs.wav",
        content(b"version https://git-lfs.github.com/spec/v1\n"),
        SKIPPED,
        "a pointer of Git LFS",
        inspected="a pointer of Git LFS",
    ),
    # not sources
    Beast("._plain.wav", content(b"\0\x05\x16\x07" + bytes(100)), IGNORED),
    Beast(".hidden/a.wav", sound(), IGNORED),
    Beast(".Trash-1000/files/a.wav", sound(), IGNORED),
    Beast("$RECYCLE.BIN/a.wav", sound(), IGNORED),
    Beast("REC001", wav(), IGNORED),
    Beast("notes.txt", content(b"no sound"), IGNORED),
    # paths and names
    Beast("folder.wav/inside.wav", wav()),
    Beast("link.wav", link("plain.wav")),  # a second name has its own row in a table of labels
    Beast("again", link("."), IGNORED),  # its target is listed already
    Beast("録音\u3000一.wav", wav()),
    Beast("thin\u202fspace\u200d.wav", wav()),
    Beast(unicodedata.normalize("NFD", "Grünspecht.wav"), wav()),
    Beast("line\nbreak.wav", wav()),
    Beast(b"caf\xe9.wav", wav()),
    Beast("'single' \"double\".wav", wav()),
    Beast("=1+1.wav", wav()),
    Beast("comma, semicolon;.wav", wav()),
    Beast(" blanks .wav", wav()),
    Beast("percent%20<b>&amp;.wav", wav()),
]
SOURCES = [beast for beast in ZOO if beast.outcome != IGNORED]


def command(*arguments):
    """Run the command line in this process; return its JSON and its messages on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["audiosae", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0, err.getvalue()
    return json.loads(out.getvalue()), err.getvalue()


@dataclass(frozen=True)
class Result:
    """A command's JSON, its messages, and (status, reason, seconds) of each file by name."""

    facts: dict
    messages: str
    files: dict


def rows_of(path):
    """Return the rows of a table, with names of files that were escaped for spreadsheets as they are."""
    names = {cell(beast.name): beast.name for beast in SOURCES}
    with path.open(encoding="utf-8", newline="") as file:
        return [row | {"file": names.get(row["file"], row["file"])} for row in csv.DictReader(file)]


def from_table(facts, messages, lengths):
    """Return the result of a command from (file, length) in its table of used files and the reasons in its JSON."""
    parts = {row["file"]: row["reason"] for row in facts["in_part"]}
    files = {file: (USED, parts.get(file, ""), length) for file, length in lengths}
    skipped = {row["file"]: (SKIPPED, row["reason"], 0.0) for row in facts["skipped"]}
    assert not files.keys() & skipped.keys()
    return Result(facts, messages, files | skipped)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    for beast in ZOO:
        path = folder / os.fsdecode(beast.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        beast.make(path)
    return folder


@pytest.fixture(scope="module")
def results(zoo, cache, tmp_path_factory):
    """Return the result of each command; one model is trained."""
    out, options = tmp_path_factory.mktemp("out"), ("--cache", cache, "--workers", 1)
    labels = out / "labels.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        names = [(cell(beast.name), "ab"[number % 2]) for number, beast in enumerate(SOURCES)]
        csv.writer(file).writerows([("filename", "label"), *names])
    facts, messages = command("inspect", zoo)
    files = {
        file["file"]: (file["status"].replace("ok", USED), file["reason"], file["extent"]) for file in facts["files"]
    }
    results = {"inspect": Result(facts, messages, files)}
    run = out / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*UNDRAWN)
        facts, messages = command("train", zoo, "-o", run, "--hidden", 4, "--epochs", 1, *options)
    files = {row["file"]: (row["status"], row["reason"], float(row["seconds"])) for row in rows_of(run / "journal.csv")}
    results["train"] = Result(facts, messages, files)
    facts, messages = command("export", run, zoo, "-o", out / "files.csv", *options)
    lengths = [(row["file"], float(row["duration"])) for row in rows_of(out / "files.csv")]
    results["export files"] = from_table(facts, messages, lengths)
    facts, messages = command("export", run, zoo, "-o", out / "windows.csv", "--level", "window", *options)
    results["export windows"] = from_table(
        facts, messages, {row["file"]: None for row in rows_of(out / "windows.csv")}.items()
    )
    facts, messages = command(
        "evaluate", run, zoo, "--labels", labels, "--baselines", "none", "-o", out / "scores", *options
    )
    lengths = [(row["file"], None) for row in rows_of(out / "scores/predictions.csv")]
    results["evaluate"] = from_table(facts, messages, lengths)
    facts, messages = command("report", run, zoo, "-o", out / "page.html", "--labels", labels, "--top", 2, *options)
    results["report"] = Result(facts, messages, {})
    facts, messages = command("survey", run, zoo, "-o", out / "survey", "--types", 2, *options)
    results["survey"] = Result(facts, messages, {row["file"]: () for row in rows_of(out / "survey/events.csv")})
    return results


@pytest.fixture(params=ZOO, ids=lambda beast: beast.name.encode("unicode_escape").decode())
def beast(request):
    if request.param.make is unreadable and os.geteuid() == 0:
        pytest.skip("root may read everything")
    return request.param


def expected(beast, name):
    """Return the line of the table as it is for one command."""
    encoded = beast.encoded if name.startswith(("export", "evaluate", "survey")) else ""
    return replace(beast, outcome=encoded, reason="") if encoded else beast


def check(beast, files, *, reason):
    """Compare a file's status, reason and length with the table; `reason` is the start of the reason."""
    if beast.outcome == IGNORED:
        assert beast.name not in files
        return
    status, why, seconds = files[beast.name]
    assert status == (SKIPPED if beast.outcome == SKIPPED else USED)
    assert why.startswith(reason)
    assert bool(why) == bool(reason)
    if seconds is not None and beast.outcome != SKIPPED:
        lossy = beast.name.endswith((".ogg", ".opus", ".mp3"))  # the encoder decides where the last whole page is
        bound = 0.001 if beast.outcome == USED else 0.5 if lossy else 0.04
        assert seconds == pytest.approx(beast.seconds, abs=bound)


def test_inspect_reports_faults_of_headers(results, beast):
    files = results["inspect"].files
    if beast.outcome == PART or beast.inspected == "":  # a header does not show it
        assert files[beast.name][:2] == (USED, "")
    else:
        check(beast, files, reason=beast.inspected or "")


@pytest.mark.parametrize("name", ["train", "export files", "export windows", "evaluate"])
def test_every_command_gives_the_same_outcome(results, beast, name):
    beast = expected(beast, name)
    check(beast, results[name].files, reason=beast.reason)


@pytest.mark.parametrize("name", ["train", "export files", "export windows", "evaluate", "report", "survey"])
def test_json_lists_skipped_and_partly_used_files(results, beast, name):
    facts, beast = results[name].facts, expected(beast, name)
    for key, outcome in (("skipped", SKIPPED), ("in_part", PART)):
        reasons = {row["file"]: row["reason"] for row in facts[key]}
        assert (beast.name in reasons) == (beast.outcome == outcome)
        assert reasons.get(beast.name, "").startswith(beast.reason if beast.outcome == outcome else "")
    remarks = {row["file"]: row["remark"] for row in facts["remarks"]}
    assert remarks.get(beast.name, "") == beast.remark


@pytest.mark.parametrize("name", ["train", "export files", "export windows", "evaluate", "report", "survey"])
def test_json_counts_used_and_skipped_files(results, name):
    facts, outcomes = results[name].facts, [expected(beast, name).outcome for beast in SOURCES]
    root = os.geteuid() == 0  # it can read the unreadable file
    assert facts["sources_used"] == outcomes.count(USED) + outcomes.count(PART) + root
    assert facts["sources_skipped"] == outcomes.count(SKIPPED) - root


def test_no_command_lists_other_files(results):
    for result in results.values():
        assert result.files.keys() <= {beast.name for beast in SOURCES}


def test_the_sample_rate_is_that_of_most_sound(results):
    lower = {file["file"] for file in results["inspect"].facts["files"] if LOWER in file["remark"]}
    assert lower == {beast.name for beast in ZOO if beast.remark}


def test_inspect_names_the_files_whose_end_is_missing(results):
    cut = {file["file"] for file in results["inspect"].facts["files"] if REMARK in file["remark"]}
    assert cut == {beast.name for beast in ZOO if "truncated" in beast.reason}


@pytest.mark.parametrize("name", ["train", "export files", "evaluate", "report", "survey"])
def test_lower_rates_and_partly_used_files_have_one_line_each(results, name):
    assert re.search(
        rf"^2 of \d+ sources have {LOWER}: cut.opus, eight-kilohertz.wav$", results[name].messages, re.MULTILINE
    )
    parts = sum(beast.outcome == PART for beast in ZOO)
    assert re.search(rf"^{parts} of \d+ sources have faults but are used: ", results[name].messages, re.MULTILINE)
