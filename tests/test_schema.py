"""What is read from disk fits its schema, or is refused in one line that names the file."""

from __future__ import annotations

import io
import json
import math
import random
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_origin

import numpy as np
import pytest
from mutations import GONE, ODD, mutated, mutated_tensors
from runs import learn

from audiosae.autoencoder import model_schema
from audiosae.autoencoder.model import load_model
from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.commands import find, survey_sources
from audiosae.commands.cache import cache as show_cache
from audiosae.commands.evaluation_folder import EVALUATION_FOLDER
from audiosae.commands.survey_folder import FACTS, Given, check_folder
from audiosae.corpus import entries
from audiosae.corpus.ingest import ingest
from audiosae.corpus.journal import Record, changed_since, write_journal
from audiosae.corpus.sources import scan
from audiosae.errors import AudiosaeError, InputError
from audiosae.features import stability
from audiosae.features.summary import activity_of, summarise
from audiosae.features.table import check_output
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.bouts import Joining
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.locate import Detector
from audiosae.sounds.sound_types import learn_types, load_types
from audiosae.sounds.type_names import read_names
from audiosae.system.files import report_replaced, sum_digest
from audiosae.system.parameters import declarations
from audiosae.system.progress import Progress
from audiosae.system.schema import Choice, Flag, Number, Whole
from audiosae.training import checkpoint
from audiosae.training.checkpoint import State
from audiosae.training.options import TrainOptions
from audiosae.views.model_card import model_card_text

DOMAIN = Spectrogram(sample_rate=8000, n_fft=256, hop_length=80, n_mels=10)
DIGEST = "0" * 32
LONGEST = 600  # characters of a message


@dataclass
class Form:
    """A kind of file: its path, facts and tensors, and a function that reads it as the package does.

    `free` are the beginnings of places where another value is no fault, `optional` of those that may be missing, and
    `nullable` are the places where null is no fault.
    """

    path: Path
    facts: object
    read: object
    tensors: dict | None = None
    free: tuple = ()
    optional: tuple = ()
    nullable: tuple = ()

    def write(self, facts, tensors):
        if tensors is None:
            self.path.write_text(json.dumps(facts))
        else:
            write_tensors(self.path, tensors, facts)

    def variant(self, rng):
        """Write a variant; return whether it must be refused, and what was changed."""
        if self.tensors and rng.random() < 0.4:
            tensors, name = mutated_tensors(self.tensors, rng)
            self.write(self.facts, tensors)
            return not (_begins((name,), self.free) or (name not in tensors and (name,) in self.optional)), name
        facts, where, value = mutated(self.facts, rng)
        self.write(facts, self.tensors)
        unknown = where[-1] == "fvu" and (value is None if where[0] == "history" else _is_nan(value))
        allowed = _begins(where, self.free) or (value is GONE and _begins(where, self.optional)) or unknown
        allowed = allowed or (value is None and where in self.nullable)
        return not allowed, (where, value)


def _begins(where, beginnings):
    return any(where[: len(each)] == each for each in beginnings)


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)


class Entry(Form):
    """A cache entry whose checksum fits its record."""

    def write(self, facts, tensors):
        whole = Path(self.facts["field"]).read_bytes()
        size = entries.HEADER_BYTES + 4 * math.prod(self.facts["shape"])
        header, field, text = whole[: entries.HEADER_BYTES], whole[entries.HEADER_BYTES : size], json.dumps(facts)
        digest = sum_digest(io.BytesIO(field), len(field), header, text.encode())
        self.path.write_bytes(whole[:size] + entries._end(text.encode(), digest))


class Table(Form):
    """A CSV; `facts` are its rows."""

    CELLS = (
        "",
        "0",
        "-1",
        "1.5",
        "9" * 5000,
        "x" * 200_000,
        ODD,
        '"',
        "\0",
        "a,b,c,d,e,f",
        "\r",
        "\n",
        "\u00b2",
        "\u0661",
    )
    BYTES = (b"\xff\xfe\x00", b"\x81\x8d", b"")

    def variant(self, rng):
        rows = [list(row) for row in self.facts]
        row = rng.choice(rows)
        column, old, new = rng.randrange(len(row)), "", rng.choice(self.CELLS)
        old, row[column] = row[column], new
        content = "\n".join(map(",".join, rows)).encode() + rng.choice([b"\n", *self.BYTES])
        self.path.write_bytes(content)
        number = (old.isdecimal(), new in ("0", "-1", "1.5", "\u00b2") or len(new) > 9)
        return column == 0 and all(number), (old, new[:20])


def _model(model, folder):
    path = folder / "model.safetensors"
    model.save(path)
    content = read_tensors(path)

    def read():
        again = load_model(path)
        summarise(again, activity_of(again))
        model_card_text(again)
        again.encode(np.zeros((2, *again.domain.window), np.float32))

    optional = [("options", name) for name in content.facts["options"] if name != "rho"]
    optional += [(key,) for key in model_schema.FACTS.optional if key not in {"sources", "history"}]
    optional += [("sources",), ("history",), ("domain", "options"), ("domain", "package"), ("domain", "version")]
    optional = (*optional, ("whitening", "notes"), ("whiten.spread",))
    return Form(path, content.facts, read, content.tensors, optional=optional)


def _checkpoint(path):
    content = read_tensors(path)

    def read():
        State.load(path, content.facts["identity"])

    optional = tuple(("identity", name) for name in TrainOptions().to_json())
    return Form(path, content.facts, read, content.tensors, free=(("activity",),), optional=optional)


def _types(path):
    codes = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    detector = Detector(DetectorOptions(min_gap=0.1, min_duration=0.05), 0.004, Joining(0.5, -1.0, 2.0, 0.1, "bout"))
    replace(learn_types(codes, 3)[0], names={2: "a", 3: ODD}, detector=detector).save(path, "abc")
    content = read_tensors(path)

    def read():
        again = load_types(path, "abc")
        again.assign(codes)
        assert len(again.novelty) == 3
        assert again.detector is None or again.detector.joining.pause > 0

    nullable = ("detector",), *(("detector", "options", name) for name in ("min_gap", "min_duration"))
    optional = ("names", "2"), ("names", "3")
    return Form(path, content.facts, read, content.tensors, optional=optional, nullable=nullable)


def _entry(sounds, cache):
    (source, *_) = scan([sounds], DOMAIN.suffixes)
    (record,) = ingest(DOMAIN, [source], cache=cache, workers=1)
    path = cache / "entry"

    def read():
        assert np.isfinite(entries.mapped_field(entries.cached_record(source, path))).all()

    return Entry(path, json.loads(json.dumps(asdict(record))), read, optional=(("file",), ("path",), ("field",)))


def _stability(model):
    stability.write(model, stability.UnitStability([1, 2], np.full((2, 3), 0.5)))
    path = stability.path_of(model)

    def read():
        if found := stability.read(model, 3):
            assert all([found.summary(), found.description(2), found.to_json()])

    free = ((key,) for key in ("alike_from", "alike", "cosine_median", "comes_back"))
    return Form(path, json.loads(path.read_text()), read, free=tuple(free), optional=(("model_digest",),))


def _described(path, facts, check):
    path.parent.mkdir()

    def read():
        check(path.parent, [])
        report_replaced(path, "1", path, Progress())

    free = (("types", 0, "number"), ("results", 0, "name"), ("notes",))
    nullable = tuple(("options", name) for name in facts.get("options", ()))
    optional = (("files", "a.csv"), ("tables",), ("options",))
    return Form(path, facts, read, free=free, optional=optional, nullable=nullable)


@pytest.fixture(scope="module")
def forms(sounds, tmp_path_factory):
    """Every kind of file that is read, by name."""
    home = tmp_path_factory.mktemp("forms")
    model = learn(sounds, home / "run", home / "cache", hidden=3, epochs=2, whiten_power=0.5).model
    (home / "copy").mkdir()
    files, cache = {"files": {"a.csv": DIGEST}, "notes": [ODD, {"a": 1.5}]}, home / "fields"
    made = {
        "model": _model(model, home / "copy"),
        "checkpoint": _checkpoint(home / "run" / checkpoint.FILE),
        "types": _types(home / "types.safetensors"),
        "cache entry": _entry(sounds, cache),
        "stability": _stability(home / "run"),
        "survey": _described(
            home / "survey" / FACTS,
            {
                "model_digest": "0",
                "types": [{"number": 1}],
                "options": asdict(Given.of("folder", (1.5, 2), "name", "UTC", "DMY", ["csv", "aoef"], 3, "wren")),
                **files,
            },
            check_folder,
        ),
        "sources": Form(
            home / "copy" / survey_sources.FILE,
            {
                "model": "run",
                "recordings": [{"file": "a.wav", "path": "/a.wav", "bytes": 4, "time": "2024-06-01T05:00:00"}],
            },
            lambda: survey_sources.read_sources(home / "copy"),
            nullable=(("model",), *(("recordings", 0, key) for key in ("path", "bytes", "time"))),
        ),
        "evaluation": _described(
            home / "evaluation" / "results.json",
            {"results": [{"name": "pca"}], "chance": 0.5, "model": "run", **files},
            EVALUATION_FOLDER.check,
        ),
        "table": _described(
            home / "tables" / "a.json",
            {"model_digest": "0", "level": "file", "tables": {"a.csv": DIGEST}},
            lambda folder, inputs: check_output(folder / "a.csv", inputs),
        ),
        "matches": _described(
            home / "matches" / "a.json",
            {"model_digest": "0", "like": "a.wav", "tables": {"a.csv": DIGEST}},
            lambda folder, inputs: find.TABLE.check(folder / "a.csv", inputs),
        ),
    }
    about = next(cache.glob("*/domain.json"))
    made["cache"] = Form(about, json.loads(about.read_text()), lambda: show_cache(cache=cache), free=((),))
    rows = [["type", "name"], ["1", "a"], ["2", ""], ["13", "b c"]]
    made["names"] = Table(home / "names.csv", rows, lambda: read_names(home / "names.csv"))
    records = [(Record(name, "used"), 3) for name in ("a.wav", "b.wav")]
    write_journal(home / "journal.csv", records)
    rows = [line.split(",") for line in (home / "journal.csv").read_text().splitlines()]
    made["journal"] = Table(
        home / "journal.csv", rows, lambda: changed_since(home / "journal.csv", [record for record, _ in records])
    )
    return made


@pytest.mark.parametrize(("count", "seed"), [(100, 0), pytest.param(3000, 1, marks=pytest.mark.slow)])
def test_mutated_files_are_refused_in_one_line_or_equally_valid(forms, count, seed):
    for form in forms.values():
        form.variant(random.Random(0))
    rng, found, wrong, names = random.Random(seed), Counter(), [], sorted(forms)
    for number in range(count):
        name = names[number % len(names)]
        form = forms[name]
        is_fault, change = form.variant(rng)
        try:
            form.read()
        except (AudiosaeError, entries.DamagedEntryError) as error:
            found["refused"] += 1
            named = str(form.path.parent), "--resume: ", "the model file says that", "no domain"
            is_named = any(part in str(error) for part in named) or name == "cache entry"
            if not (is_named and str(error).isprintable() and len(str(error)) < LONGEST):
                wrong.append(("unclear message", name, change, str(error)))
        except Exception as error:  # noqa: BLE001
            wrong.append(("traceback", name, change, repr(error)))
        else:
            found["accepted"] += 1
            if is_fault:
                wrong.append(("accepted", name, change))
    print(dict(found))
    assert wrong == []
    assert found["refused"] > count / 2


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"model_digest": ' * 60_000, b'{"model_digest": "', b"\xff\xfe", b""]
)
@pytest.mark.parametrize("name", ["stability", "survey", "evaluation", "table", "cache"])
def test_files_that_are_no_json_are_refused_or_those_of_another_program(forms, name, content):
    forms[name].path.write_bytes(content)
    try:
        forms[name].read()
    except AudiosaeError as error:
        assert str(forms[name].path) in str(error)
        assert "\n" not in str(error)


def test_the_schema_of_a_model_has_the_kinds_of_all_options_of_training():
    kinds = {int: Whole, float: Number, bool: Flag}
    expected = {
        name: Choice if get_origin(kind) is Literal else kinds[kind]
        for name, (kind, _) in declarations(TrainOptions).items()
    }
    assert {name: type(schema) for name, schema in model_schema.OPTIONS.items()} == expected


def test_types_with_another_number_of_features_than_the_events_are_refused(tmp_path):
    codes = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    types = learn_types(codes, 2)[0]
    with pytest.raises(InputError, match="they have 6 features, and an event has 5"):
        types.assign(codes[:, :5])


@pytest.mark.parametrize("tensor", ["activity", "flat"])
def test_a_checkpoint_of_another_size_or_type_is_refused(sounds, cache, tmp_path, tensor):
    learn(sounds, tmp_path / "run", cache, hidden=3, epochs=1)
    path = tmp_path / "run" / checkpoint.FILE
    content = read_tensors(path)
    tensors = dict(content.tensors)
    if tensor == "activity":
        tensors["activity"] = np.zeros(4)
    else:
        tensors |= {name: tensors[name].astype(np.float64) for name in ("flat", "best", "first", "second")}
    write_tensors(path, tensors, content.facts)
    with pytest.raises(
        InputError, match="checkpoint.safetensors is damaged: .* parameters in float.. of . units, wanted"
    ):
        learn(sounds, tmp_path / "run", cache, hidden=3, epochs=1, resume=True)


def test_a_named_pipe_in_the_place_of_a_file_is_not_opened(tmp_path, make_pipe):
    for name in ("model.safetensors", "types.safetensors", FACTS):
        make_pipe(tmp_path / name)
    for read in (lambda: load_model(tmp_path), lambda: load_types(tmp_path, ""), lambda: check_folder(tmp_path, [])):
        with pytest.raises(InputError, match="safetensors: wanted a regular file|is a run folder"):
            read()
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "types.safetensors").unlink()
    with pytest.raises(InputError, match="audiosae did not write it"):
        check_folder(tmp_path, [])
