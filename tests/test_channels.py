"""Choice of the channel: reading, excerpts, skipped recordings, models, and the loudest channel of an event."""

from __future__ import annotations

import csv
import json
import re
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from conftest import once
from runs import learn
from signals import collect, tone, write

import audiosae
from audiosae.autoencoder.model import load_model
from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.commands.shared_options import Channel, channel_number
from audiosae.domain import Span, domain_from_json, domain_to_json, make_domain
from audiosae.errors import InputError
from audiosae.recordings import channels
from audiosae.recordings.audio import read_excerpt, read_mono
from audiosae.recordings.channels import loudest_channels
from audiosae.recordings.quick_checks import common_rate
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.annotations import write_annotations
from audiosae.sounds.events import Event
from audiosae.system.parameters import Option, command
from audiosae.training.checkpoint import FILE as CHECKPOINT
from audiosae.training.checkpoint import State
from audiosae.views.model_card import model_card_text

RATE = 8000


class Box(NamedTuple):
    """Extent of a sound."""

    start: float
    end: float
    low_hz: float
    high_hz: float


def stereo(path, left, right, rate=RATE, **kind):
    return write(path, np.stack([left, right], axis=1).astype(np.float32), rate, **kind)


@pytest.fixture
def recording(tmp_path):
    """One second of a different tone in each channel, as 16-bit samples."""
    return stereo(tmp_path / "a.wav", tone(1.0, pitch=500), tone(1.0, pitch=1500, level=0.2))


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24")])
def test_a_channel_is_read_without_the_others(tmp_path, name, subtype):
    three = np.stack([tone(0.3, pitch=pitch) for pitch in (300, 500, 700)], axis=1)
    path = write(tmp_path / name, three, subtype=subtype)
    samples, _ = soundfile.read(path, dtype="float32")
    for channel in (1, 2, 3):
        np.testing.assert_array_equal(collect(read_mono(path, RATE, channel))[0], samples[:, channel - 1])
    np.testing.assert_array_equal(collect(read_mono(path, RATE))[0], samples.mean(axis=1, dtype=np.float32))


def test_an_excerpt_has_the_channel(recording):
    samples, _ = soundfile.read(recording, dtype="float32")
    np.testing.assert_array_equal(read_excerpt(recording, 0.25, 0.5, 2)[0], samples[2000:4000, 1])
    played = Spectrogram(sample_rate=RATE, channel=1).resolve([]).excerpt(recording, Span((0.25,), (0.5,), "s"))
    np.testing.assert_array_equal(played.data, samples[2000:4000, 0])
    mean = read_excerpt(recording, 0.25, 0.5)[0]
    np.testing.assert_array_equal(mean, samples[2000:4000].mean(axis=1))


def test_the_field_of_a_channel_is_that_of_the_channel_alone(tmp_path, recording):
    samples, _ = soundfile.read(recording, dtype="float32")
    alone = write(tmp_path / "alone.wav", samples[:, 1])
    fields = [
        collect(Spectrogram(sample_rate=6000, channel=channel).resolve([]).field(path))[0]
        for path, channel in ((recording, 2), (alone, 0), (alone, 1))
    ]
    np.testing.assert_array_equal(fields[0], fields[1])
    np.testing.assert_array_equal(fields[0], fields[2])


def test_a_recording_without_the_channel_is_skipped_with_its_number_of_channels(tmp_path, recording):
    mono, domain = write(tmp_path / "mono.wav", tone()), Spectrogram(sample_rate=RATE, channel=3).resolve([])
    for path, wanted in ((mono, "no channel 3: the recording has 1 channel"), (recording, "2 channels")):
        for act in (domain.probe, lambda path: collect(domain.field(path)), lambda path: read_excerpt(path, 0, 1, 3)):
            with pytest.raises(InputError, match=wanted + "$"):
                act(path)


def test_only_the_channel_that_is_read_must_be_usable(tmp_path):
    good, broken = tone(), np.full(4000, np.nan)
    path = stereo(tmp_path / "a.wav", good, broken, subtype="FLOAT")
    np.testing.assert_array_equal(collect(read_mono(path, RATE, 1))[0], good)
    for channel in (0, 2):
        with pytest.raises(InputError, match="NaN or infinite samples"):
            collect(read_mono(path, RATE, channel))
    opposite = stereo(tmp_path / "b.wav", good, -good, subtype="FLOAT")
    np.testing.assert_array_equal(collect(read_mono(opposite, RATE, 2))[0], -good)
    quiet = stereo(tmp_path / "c.wav", good, 1e-5 * good, subtype="FLOAT")
    np.testing.assert_array_equal(collect(read_mono(quiet, RATE, 2))[0], 1e-5 * good)
    silent = stereo(tmp_path / "d.wav", good, 0 * good)
    with pytest.raises(InputError, match="silent"):
        collect(read_mono(silent, RATE, 2))


@pytest.mark.parametrize(
    ("right", "wanted"),
    [
        (-tone(), "channels cancel: their mean is zero; read one with --channel 1 (survey, find) or --set channel=1"),
        (-0.9999 * tone(), "channels cancel: their mean is 86 dB below the loudest; read one with --channel 1"),
        (0.25 + 0 * tone(), "silent: every sample is the same"),
    ],
)
def test_channels_that_cancel_are_not_called_silent(tmp_path, right, wanted):
    left = 0 * right if wanted.startswith("silent") else tone()
    path = stereo(tmp_path / "a.wav", left, right, subtype="FLOAT")
    with pytest.raises(InputError, match="^" + re.escape(wanted)):
        collect(read_mono(path, RATE))


def test_an_offset_in_another_channel_is_not_reported(tmp_path):
    path = stereo(tmp_path / "a.wav", tone(), tone() + 0.4)
    warnings = [Spectrogram(sample_rate=RATE, channel=n).resolve([]).glance(path) for n in (0, 1, 2)]
    assert [bool(warning) for warning in warnings] == [True, False, True]


def test_recordings_without_the_channel_do_not_affect_the_sample_rate(tmp_path, recording):
    mono = write(tmp_path / "mono.wav", tone(5.0, 16000), 16000)
    assert (common_rate([mono, recording]), common_rate([mono, recording], 2)) == (16000, RATE)
    assert Spectrogram(channel=2).resolve([mono, recording]).sample_rate == RATE


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-1", "--set channel=-1: channel cannot be negative"),
        ("mix", "--set channel=mix: spectrogram's channel must be a whole number"),
    ],
)
def test_an_invalid_channel_is_refused(value, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        make_domain(Spectrogram, {"channel": value})


def test_models_and_checkpoints_of_earlier_versions_average_all_channels(tmp_path):
    stored = domain_to_json(Spectrogram(sample_rate=RATE).resolve([]))
    del stored["options"]["channel"]
    assert domain_from_json(stored).channel == 0
    path, now = tmp_path / CHECKPOINT, {"--set channel": 0}
    State.fresh(np.zeros(4), 2).save(path, {})
    assert State.load(path, now, defaults=now).flat.shape == (4,)
    with pytest.raises(InputError, match="--set channel was 0 and is 2 now"):
        State.load(path, {"--set channel": 2}, defaults=now)


def test_a_run_without_the_option_in_its_checkpoint_is_resumed(sounds, cache, tmp_path):
    first = learn(sounds, tmp_path / "run", cache, hidden=4, epochs=1).model
    saved = tmp_path / "run" / CHECKPOINT
    content = read_tensors(saved)
    assert content.facts["identity"].pop("--set channel") == 0
    write_tensors(saved, content.tensors, content.facts)
    resumed = learn(sounds, tmp_path / "run", cache, hidden=4, epochs=1, resume=True).model
    assert np.array_equal(resumed.params.flat, first.params.flat)


@pytest.mark.parametrize(("text", "number"), [("mix", 0), (" Mix ", 0), ("1", 1), (2, 2), ("02", 2), ("1024", 1024)])
def test_a_channel_is_mix_or_a_number(text, number):
    assert channel_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "left", "1,2", "²", "٣", "1" * 5000, True, 2.0, 0])
def test_another_channel_is_refused(text):
    with pytest.raises(InputError, match=f"^--channel {re.escape(str(text))}: wanted mix, or the number of a channel"):
        channel_number(text)


def test_the_option_channel_is_accepted_by_a_command():
    @command(example="")
    def listen(*, channel: Channel = None) -> int | None:
        """Return the channel."""
        return None if channel is None else channel_number(channel)

    (parameter,) = listen.command.parameters
    assert isinstance(parameter.option, Option)
    assert (listen(), listen(channel="2"), listen(channel=2), listen(channel="mix")) == (None, 2, 2, 0)


def pulses(channels_, *, rate=RATE, every=1.0, pitch=1000.0):
    """Return noise in two channels with a short tone each second in the given channels, and the boxes of the tones."""
    rng, time = np.random.default_rng(0), np.arange(rate // 4) / rate
    samples = 0.01 * rng.normal(size=(round(len(channels_) * every * rate), 2))
    boxes = []
    for number, channel in enumerate(channels_):
        at = round(number * every * rate)
        samples[at : at + len(time), channel - 1] += 0.2 * np.sin(2 * np.pi * pitch * time)
        boxes.append(Box(at / rate, at / rate + 0.25, pitch - 100, pitch + 100))
    return samples.astype(np.float32), boxes


ALTERNATING = [1, 2, 2, 1, 1, 1, 2, 1, 2, 2, 2, 1]


@pytest.mark.parametrize(("name", "rate"), [("a.wav", 8000), ("a.flac", 44100), ("a.ogg", 8000), ("a.mp3", 8000)])
def test_the_loudest_channel_of_each_sound_is_found(tmp_path, name, rate):
    samples, boxes = pulses(ALTERNATING, rate=rate)
    assert loudest_channels(write(tmp_path / name, samples, rate), boxes).tolist() == ALTERNATING


def test_only_the_frequencies_of_the_sound_count(tmp_path):
    samples, boxes = pulses(ALTERNATING)
    samples[:, 0] += 0.4 + 0.3 * np.sin(np.arange(len(samples)) * 2 * np.pi * 60 / RATE)
    samples[:, 1] += 0.3 * np.sin(np.arange(len(samples)) * 2 * np.pi * 3000 / RATE)
    assert loudest_channels(write(tmp_path / "a.wav", samples), boxes).tolist() == ALTERNATING


def test_simultaneous_sounds_have_their_own_channels(tmp_path):
    low, boxes = pulses(ALTERNATING)
    high, others = pulses([3 - channel for channel in ALTERNATING], pitch=3000.0)
    both = sorted(zip([*boxes, *others], [*ALTERNATING, *(3 - channel for channel in ALTERNATING)], strict=True))
    whole = Box(0.0, 12.0, 2900.0, 3100.0)
    found = loudest_channels(write(tmp_path / "a.wav", low + high), [whole, *(box for box, _ in both)]).tolist()
    assert found[1:] == [channel for _, channel in both]
    assert found[0] == 1 + (ALTERNATING.count(1) > 6)


def test_each_part_is_decoded_once_in_order_and_in_blocks(tmp_path, monkeypatch):
    samples, boxes = pulses(ALTERNATING, every=2.5)
    path, read, parts = write(tmp_path / "a.wav", samples), channels.read_channels, []

    def counted(path, start, end):
        parts.append((start, end))
        return read(path, start, end)

    monkeypatch.setattr(channels, "_SAMPLES_AT_ONCE", 4096)
    monkeypatch.setattr(channels, "read_channels", counted)
    boxes = [box for box in boxes for _ in range(20)]
    assert loudest_channels(path, boxes).tolist() == [channel for channel in ALTERNATING for _ in range(20)]
    overlap = 0.016  # s, half of a frame
    assert all(later[0] >= earlier[1] - overlap - 1e-9 for earlier, later in pairwise(parts))
    assert max(end - start for start, end in parts) < 0.3
    assert sum(end - start for start, end in parts) < 0.25 * 2.5 * len(ALTERNATING)  # pauses are not decoded


def test_positions_of_sounds_may_lie_outside_of_the_recording(tmp_path):
    path = stereo(tmp_path / "a.wav", 0.1 * tone(), tone())
    boxes = [Box(0.0, 0.0, 400, 500), Box(0.1, 90.0, 0, 1e9), Box(0.499, 0.5, 440, 440), Box(7.0, 8.0, 400, 500)]
    assert loudest_channels(path, boxes).tolist() == [2, 2, 2, 1]
    assert loudest_channels(path, []).tolist() == []


def test_a_recording_with_one_channel_or_without_samples_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(channels, "read_channels", None)
    mono, boxes = write(tmp_path / "a.wav", tone()), [Box(0.1, 0.2, 400, 500)] * 100_000
    assert loudest_channels(mono, boxes).tolist() == [1] * 100_000
    assert loudest_channels(tmp_path / "gone.wav", boxes[:2]).tolist() == [1, 1]


def test_sounds_after_damage_are_in_the_first_channel(tmp_path, monkeypatch):
    monkeypatch.setattr(channels, "_SAMPLES_AT_ONCE", 4096)  # all sounds of a block are lost
    samples, boxes = pulses([2] * 30)
    path = write(tmp_path / "a.flac", samples)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = loudest_channels(path, boxes).tolist()
    assert found == [2] * found.count(2) + [1] * found.count(1)
    assert 5 < found.count(2) < 25


def event(box, record, file):
    return Event(0, record, file, *box, type=1, name="", score=0.5, peak=20.0, top_unit=0, time=None, bout=0, events=1)


def raven_channels(path):
    with path.open(newline="") as file:
        return [int(row["Channel"]) for row in csv.DictReader(file, delimiter="\t")]


def test_raven_tables_have_the_loudest_channel_of_each_event(tmp_path, monkeypatch):
    samples, boxes = pulses(ALTERNATING)
    paths = [write(tmp_path / "mono.wav", samples[:, 0]), write(tmp_path / "stereo.wav", samples)]
    events = [event(box, record, paths[record].name) for record in (1, 0) for box in boxes[::-1]]
    recordings = [str(path) for path in paths]
    tables = write_annotations(events, tmp_path / "raven", "raven", recordings=recordings)
    assert [raven_channels(table) for table in tables] == [[1] * 12, ALTERNATING]
    monkeypatch.setattr(channels, "read_channels", None)  # nothing is decoded from here on
    tables = write_annotations(events, tmp_path / "second", "raven", recordings=recordings, channel=2)
    assert [raven_channels(table) for table in tables] == [[2] * 12] * 2
    write_annotations(events, tmp_path / "audacity", "audacity", recordings=recordings)
    assert [raven_channels(table) for table in write_annotations(events, tmp_path / "none", "raven")] == [[1] * 12] * 2


@pytest.fixture(scope="module")
def archive(cache, tmp_path_factory):
    """Two stereo recordings with tones in alternating channels, one mono recording, and a model of channel 2."""
    folder = tmp_path_factory.mktemp("stereo")
    for number, pitch in enumerate((700.0, 1600.0)):
        write(folder / "in" / f"{number}.wav", pulses(ALTERNATING, every=2.0, pitch=pitch)[0])
    write(folder / "in" / "mono.wav", tone(2.0))
    options = ["--hidden", 4, "--epochs", 1, "--cache", cache, "-q", "--set", "channel=2"]
    once(["train", folder / "in", "-o", folder / "run", *options], pictures=False)
    return folder


def test_a_model_states_the_channel_and_skips_recordings_without_it(archive, run):
    model = load_model(archive / "run")
    assert model.domain.channel == 2
    assert model.facts["sources"]["skipped"] == 1
    assert "no channel 2: the recording has 1 channel" in (archive / "run" / "journal.csv").read_text()
    assert "| spectrogram: channel | 2 |" in model_card_text(model)
    assert "channel=2" in run("info", archive / "run")[1]
    inspection = audiosae.inspect(archive / "in", settings={"channel": 2})
    assert [file["status"] for file in inspection.files] == ["ok", "ok", "skipped"]
    assert "  skipped: no channel 2 (1)" in inspection.summary


@pytest.mark.parametrize("channel", [0, 2])
def test_survey_writes_the_channel_of_each_event_for_raven(archive, cache, run, trained, tmp_path, channel):
    model = archive / "run" if channel else trained
    code, out, _ = run(
        "survey", model, archive / "in", "-o", tmp_path / "out", "--types", 1, "--cache", cache, "--json"
    )
    assert code == 0
    assert len(json.loads(out)["skipped"]) == bool(channel)
    table = tmp_path / "out" / "events.raven" / "0.selections.txt"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    wanted = {round(float(row["Begin Time (s)"]) / 2): int(row["Channel"]) for row in rows}
    heard = [number for number, tone_channel in enumerate(ALTERNATING) if channel in {0, tone_channel}]
    assert set(wanted) <= set(heard)
    assert len(wanted) >= len(heard) - 1
    assert wanted == {number: ALTERNATING[number] for number in wanted}
