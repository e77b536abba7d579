"""Domains: listed without import, refused with reasons, built from options, checked for conformance."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pytest

from audiosae.domain import (
    Domain,
    Excerpt,
    Probe,
    Span,
    check_domain,
    domain_from_json,
    domain_to_json,
    find_domain,
    list_domains,
    load_domain,
    make_domain,
    option_defaults,
    options_of,
    parse_settings,
)
from audiosae.domain.registry import fault_of
from audiosae.errors import InputError, PluginError
from audiosae.evaluation.baselines import choose_baselines
from audiosae.recordings.spectrogram import Spectrogram


@dataclass(frozen=True)
class Bytes(Domain):
    """A valid domain: files of bytes, in rows of `width`."""

    name: ClassVar[str] = "bytes"
    suffixes: ClassVar[tuple[str, ...]] = (".bin",)
    unit: ClassVar[str] = "row"

    width: int = 4
    rows: int = 2
    gain: float = 1.0
    flip: bool = False
    order: Literal["up", "down"] = "up"
    tag: str = ""

    @property
    def window(self):
        return self.rows, self.width

    @property
    def stride(self):
        return 1, self.width

    def read(self, path):
        content = path.read_bytes()
        if not content.startswith(b"BIN"):
            raise InputError("no BIN at its beginning")
        return np.frombuffer(content, np.uint8)[3:].reshape(-1, self.width)

    def probe(self, path):
        rows = self.read(path)
        return Probe(len(rows), len(rows), {"width": self.width})

    def field(self, path):
        rows = self.read(path).astype(np.float32)
        yield rows[:5]
        yield rows[5:]

    def span(self, path, start):
        return Span((start[0],), (start[0] + self.rows,), "row")

    def tile(self, atom):
        return atom

    def draw(self, atom, ax, *, limit):
        ax.imshow(atom, vmin=-limit, vmax=limit)

    def excerpt(self, path, span):
        return Excerpt(self.read(path)[int(span.start[0]) : int(span.end[0])].astype(np.float32), "rows")


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"BIN" + np.random.default_rng(0).bytes(40))
    return [path]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution that declares a domain, as pip does."""

    def install(package, name, target, source=""):
        folder = tmp_path / "site" / package
        info = folder / f"{package.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[audiosae.domains]\n{name} = {target}\n")
        (folder / f"{target.partition(':')[0]}.py").write_text(source)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()

    return install


def test_the_built_in_domain_is_listed_without_import():
    code = """
        import sys
        from audiosae.domain import list_domains
        found = [listing for listing in list_domains() if listing.name == "spectrogram"]
        target = "audiosae.recordings.spectrogram:Spectrogram"
        assert (found[0].package, found[0].target) == ("audiosae", target), found
        heavy = {"audiosae.recordings.spectrogram", "soundfile", "librosa", "matplotlib", "scipy"} & set(sys.modules)
        assert not heavy, heavy
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_built_in_domain_is_loaded_like_a_plugin():
    assert load_domain("spectrogram") is Spectrogram


def test_a_plugin_is_listed_with_package_and_version_and_loaded(install):
    install("strange-sounds", "bytes", "strange_good:Bytes", "from test_domain import Bytes\n")
    (listing,) = [listing for listing in list_domains() if listing.name == "bytes"]
    assert (listing.package, listing.version, listing.target) == ("strange-sounds", "1.2", "strange_good:Bytes")
    assert load_domain("bytes").window is not None
    again = domain_from_json(domain_to_json(Bytes(width=8)))
    assert (again.name, again.width) == ("bytes", 8)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_at_all\n", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("raise RuntimeError('no driver\\nand more')\n", "RuntimeError: no driver"),
        ("def broken(:\n", "SyntaxError: invalid syntax (strange_broken.py, line 1)"),
        ("", "AttributeError: module 'strange_broken' has no attribute 'Domain'"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_reported_and_affects_no_other(install, source, reason):
    install("strange", "broken", "strange_broken:Domain", source)
    sys.modules.pop("strange_broken", None)
    assert "broken" in {listing.name for listing in list_domains()}
    assert load_domain("spectrogram") is Spectrogram
    with pytest.raises(PluginError) as caught:
        load_domain("broken")
    assert str(caught.value) == f"domain broken of strange 1.2 cannot be imported: {reason}"


def test_a_name_declared_by_two_packages_is_refused_with_both(install):
    install("first", "twice", "strange_first:Domain")
    install("second", "twice", "strange_second:Domain")
    with pytest.raises(PluginError, match="^domain twice is declared by first and second; uninstall one of them$"):
        find_domain("twice")
    assert sum(listing.name == "twice" for listing in list_domains()) == 2


def test_a_plugin_with_the_built_in_name_is_refused(install):
    install("impostor", "spectrogram", "strange_impostor:Domain")
    with pytest.raises(PluginError, match="audiosae and impostor"):
        load_domain("spectrogram")


def test_a_package_that_is_twice_on_the_path_counts_once(install, tmp_path, monkeypatch):
    install("strange", "bytes", "strange_double:Bytes", "from test_domain import Bytes\n")
    (tmp_path / "other").symlink_to(tmp_path / "site" / "strange", target_is_directory=True)
    monkeypatch.syspath_prepend(tmp_path / "other")
    assert find_domain("bytes").package == "strange"


def test_a_missing_domain_error_lists_installed_domains_and_a_hint():
    with pytest.raises(PluginError) as caught:
        load_domain("birds")
    assert str(caught.value).startswith("no domain birds is installed (installed: ")
    assert "spectrogram" in str(caught.value)
    assert "audiosae-birds" not in str(caught.value)  # no such package is known
    assert "; try: pip install plugins/audiosae-images (images and vectors are in" in str(caught.value)


def test_a_model_with_a_missing_plugin_names_its_package():
    description = {"name": "birds", "package": "the-birds", "version": "3", "options": {}}
    with pytest.raises(PluginError, match="; try: pip install the-birds$"):
        domain_from_json(description)


@pytest.mark.parametrize(
    "description", [{}, {"name": "spectrogram"}, {"name": 3, "options": {}}, {"name": "x", "options": []}]
)
def test_an_invalid_description_is_refused(description):
    with pytest.raises(PluginError, match="lacks the name or the options of its domain"):
        domain_from_json(description)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("class Domain:\n    name = 'odd'\n", "odd_plugin:Domain lacks suffixes, window, field"),
        ("def Domain(): pass\n", "odd_plugin:Domain lacks name, suffixes"),
        (
            "import test_domain\nclass Domain(test_domain.Bytes):\n    name = 'other'\n",
            "odd_plugin:Domain is not a frozen dataclass with name = 'odd'",
        ),
    ],
)
def test_objects_that_are_not_domains_are_refused(install, source, fault):
    install("oddities", "odd", "odd_plugin:Domain", source)
    sys.modules.pop("odd_plugin", None)
    with pytest.raises(PluginError) as caught:
        load_domain("odd")
    assert str(caught.value).startswith(f"domain odd of oddities 1.2 is not a domain: {fault}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"width": "8"}, 8),
        ({"width": 8.0}, 8),
        ({"gain": "1e-3"}, 1e-3),
        ({"gain": "2"}, 2.0),
        ({"gain": 2}, 2.0),
        ({"flip": "yes"}, True),
        ({"flip": "OFF"}, False),
        ({"flip": True}, True),
        ({"order": "down"}, "down"),
        ({"tag": "a=b"}, "a=b"),
    ],
)
def test_options_are_built_from_texts_and_from_json(text, value):
    (key,) = text
    found = getattr(make_domain(Bytes, text), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("width", "eight", "a whole number"),
        ("width", 8.5, "a whole number"),
        ("width", float("inf"), "a whole number"),
        ("width", True, "a whole number"),
        ("width", None, "a whole number"),
        ("gain", "loud", "a number"),
        ("gain", [1], "a number"),
        ("gain", False, "a number"),
        ("flip", "perhaps", "true or false"),
        ("flip", 2, "true or false"),
        ("order", "sideways", "one of up, down"),
        ("tag", 5, "a text"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_the_expected_type(key, value, wanted):
    with pytest.raises(InputError) as caught:
        make_domain(Bytes, {key: value})
    assert str(caught.value) == f"--set {key}={value}: bytes's {key} must be {wanted}"


def test_an_unknown_option_is_refused_with_a_list_of_all():
    with pytest.raises(InputError) as caught:
        make_domain(Bytes, {"widht": "8"})
    assert str(caught.value) == "--set widht=8: bytes has no option widht; it has width, rows, gain, flip, order, tag"


def test_options_and_defaults_are_the_dataclass_fields():
    defaults = {"width": 4, "rows": 2, "gain": 1.0, "flip": False, "order": "up", "tag": ""}
    assert option_defaults(Bytes) == defaults
    assert options_of(Bytes(width=8)) == defaults | {"width": 8}


def test_settings_are_split_at_the_first_equals_sign_and_the_last_value_is_used():
    assert parse_settings(["a=1", "b = x=y ", "a=2"]) == {"a": "2", "b": "x=y"}
    for wrong in ("a", "=1"):
        with pytest.raises(InputError, match="wanted KEY=VALUE"):
            parse_settings([wrong])


def test_a_good_domain_passes_the_conformance_check(files):
    check_domain(Bytes(), files)
    check_domain(Bytes(width=8, rows=3, gain=0.5, flip=True, order="down", tag="x"), files)


def bad(**changed):
    """Return `Bytes` with some attributes replaced."""
    return dataclass(frozen=True)(type("Bad", (Bytes,), changed | {"__module__": __name__}))()


def blocks(change):
    """Return a `field` method whose blocks are changed."""
    return lambda self, path: (change(block) for block in Bytes.field(self, path))


RANDOM = np.random.default_rng(0)
VIOLATIONS = {
    "must be float32, not float64": {"field": blocks(lambda block: block.astype(np.float64))},
    "the field must be finite": {
        "field": blocks(lambda block: np.where(block > block.min(), block, np.nan).astype("f4"))
    },
    "a second reading gave another field": {"field": blocks(lambda block: block + np.float32(RANDOM.random()))},
    r"block \(20,\) for windows": {"field": blocks(lambda block: block.ravel())},
    r"field \(10, 3\) is smaller than a window \(2, 4\)": {"field": blocks(lambda block: block[:, :3])},
    r"a broken file \(empty\) must raise InputError": {
        "field": lambda self, path: iter([np.resize(np.arange(5, dtype="f4"), (9, 4))])
    },
    "probe must estimate the number of rows": {"probe": lambda self, path: Probe(1.0, 0)},
    "blank must return None or one truth value per row": {"blank": lambda self, field: np.zeros(3)},
    "stands_out must return None or one truth value per row": {"stands_out": lambda self, field: np.zeros(3, bool)},
    "the field must be finite after finish": {"finish": lambda self, field: field.fill(np.inf) or [(0, len(field))]},
    "must return ascending row ranges within 10": {"finish": lambda self, field: [(0, 11)]},
    r"that share no window, found \[\(0, 6\), \(4, 10\)\]": {"finish": lambda self, field: [(0, 6), (4, 10)]},
    "a span must end after it starts": {"span": lambda self, path, start: Span((1.0,), (1.0,), "row")},
    "is empty or not finite": {"excerpt": lambda self, path, span: Excerpt(np.empty(0, np.float32), "rows")},
    "a sound must have a rate": {"excerpt": lambda self, path, span: Excerpt(np.ones(3, np.float32), "sound")},
    "measures must be finite numbers": {"measures": lambda self, atom: {"size": float("nan")}},
    "synthesize must return a sound": {"synthesize": lambda self, atom: Excerpt(np.ones(3, np.float32), "sound")},
    "a scene must be": {"scene": lambda self, piece: np.ones(3)},
    "unit 's' needs a span": {"unit": "s", "span": Domain.span},
    r"must yield blocks, found an array": {"field": lambda self, path: Bytes.read(self, path).astype(np.float32)},
    r"slide along 2 axes of \(10, 4\); a span must have as many numbers": {
        "window": property(lambda self: (2, 2)),
        "stride": property(lambda self: (1, 1)),
    },
    r"a tile must be \(rows, columns": {"tile": lambda self, atom: atom.ravel()},
    "draw must add something to the axes": {"draw": lambda self, atom, ax, *, limit: None},
    "suffixes must be lower-case with a dot": {"suffixes": (".BIN",)},
    "one whole number above 0 per axis": {"stride": property(lambda self: (0, self.width))},
    r"found \(1,\) for a window of \(2, 4\)": {"stride": property(lambda self: (1,))},
    "wanted window as a tuple .* found 2; please report this to": {"window": property(lambda self: 2)},
    "defaults must be numbers, texts and truth values, found": {"defaults": {"rho": [1]}},
    "centre must be a finite number or None, found nan": {"centre": lambda self, atom: float("nan")},
    r"domain bytes: centre\(\) raised ZeroDivisionError": {"centre": lambda self, atom: 1 / 0},
    r"domain bytes: resolve\(\) raised KeyError": {"resolve": lambda self, paths: {}["rate"]},
    "change when they are saved as JSON": {"__eq__": lambda self, other: self is other, "__hash__": object.__hash__},
    "resolve must not change a resolved domain": {
        "resolve": lambda self, paths: make_domain(type(self), {"width": self.width + 1})
    },
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_the_conformance_check_detects_a_violation(files, violation):
    with pytest.raises(AssertionError, match=violation):
        check_domain(bad(**VIOLATIONS[violation]), files)


def test_the_conformance_check_detects_a_violation_on_one_of_several_files(files, tmp_path):
    (tmp_path / "short.bin").write_bytes(b"BIN1234")
    with pytest.raises(AssertionError, match=r"short\.bin: field \(1, 4\) is smaller than a window \(2, 4\)"):
        check_domain(Bytes(), [*files, tmp_path / "short.bin"])


def test_the_conformance_check_needs_a_file():
    with pytest.raises(AssertionError, match="at least one good file"):
        check_domain(Bytes(), [])


def test_the_conformance_check_detects_an_error_of_several_lines(files):
    def field(self, path):
        if path.name.startswith("noise"):
            raise InputError("not\nso")
        return Bytes.field(self, path)

    with pytest.raises(AssertionError, match="an error must be one line"):
        check_domain(bad(field=field), files)


def test_defaults_of_methods_are_inherited(files):
    domain = Bytes()
    assert domain.resolve(files) is domain
    assert domain.finish(np.zeros((7, 4), np.float32)) == [(0, 7)]
    assert domain.synthesize(np.zeros((2, 4))) is None
    assert domain.centre(np.zeros((2, 4))) is None


def test_the_kind_of_a_domain_is_independent_of_its_unit():
    seconds = type("Seconds", (Bytes,), {"unit": "s"})
    sound = type("Sound", (Bytes,), {"unit": "row", "kind": "sound"})
    assert seconds.kind == "rows"
    assert "mfcc" not in choose_baselines("all", seconds())
    assert "mfcc" in choose_baselines("all", sound())
    wrong = type("Wrong", (Bytes,), {"kind": "smell"})
    assert fault_of(wrong, "bytes") == "has kind = 'smell', wanted one of sound, picture, rows"
    kinds = {name: load_domain(name).kind for name in ("spectrogram", "images", "vectors")}
    assert kinds == {"spectrogram": "sound", "images": "picture", "vectors": "rows"}
