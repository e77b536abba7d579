"""Structure of the package: layers, import cycles, light start-up, printing, sizes, call depth, and option types."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_type_hints

import pytest
from conftest import REPOSITORY

from audiosae.commands.shared_options import Machine, MachineKeywords
from audiosae.system.parameters import declarations
from audiosae.training.options import TrainKeywords, TrainOptions

PACKAGE = REPOSITORY / "audiosae"
LAYERS = [
    "__main__",
    "cli",
    "estimator commands",
    "views",
    "sounds evaluation",
    "training features",
    "engine",
    "autoencoder",
    "backends",
    "recordings corpus samples",
    "domain system",
    "errors",
]
NOTEBOOK = ("autoencoder", "views")  # the only import upwards: the notebook representation of a Model is a picture
HEAVY = (
    "librosa scipy sklearn matplotlib cupy pyarrow soundfile rich numba jinja2 PIL psutil distributed dask".split()  # noqa: SIM905
)


def imports(path):
    """Every audiosae module that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "audiosae":
            parts = node.module.split(".")[1:]
            for alias in node.names:
                inner = PACKAGE.joinpath(*parts, alias.name)
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                yield ".".join([*parts, alias.name] if is_module else parts or [alias.name])
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".", 1)[1] for a in node.names if a.name.startswith("audiosae."))


def layer(name):
    return next(number for number, names in enumerate(LAYERS) if name in names.split())


def packages():
    names = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return names - {"__init__"}


def dependencies():
    """Pairs of packages (importer, imported), including late and type-checking imports."""
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield from ((own, module.partition(".")[0]) for module in imports(path) if own != "__init__")


def test_every_package_has_a_layer():
    assert packages() == {name for names in LAYERS for name in names.split()}


def test_packages_import_only_from_lower_layers():
    upwards = [(own, other) for own, other in dependencies() if own != other and layer(other) <= layer(own)]
    assert upwards == [NOTEBOOK]


def test_an_import_inside_of_a_function_is_found(tmp_path):
    (tmp_path / "errors.py").write_text("def f():\n    from audiosae.training.fit import fit\n")
    assert list(imports(tmp_path / "errors.py")) == ["training.fit"]


def test_modules_have_no_import_cycle():
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        parts = [*path.relative_to(PACKAGE).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        graph[name] = {other for other in imports(path) if other != name}
    graph["autoencoder.model"] -= {"views.atoms"}
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}


def test_the_command_line_imports_only_commands_and_basic_packages():
    allowed = {"cli", "commands", "system", "errors", "samples"}
    assert {other for own, other in dependencies() if own == "cli"} <= allowed


@pytest.mark.parametrize("module", ["audiosae", "audiosae.cli", "audiosae.recordings.spectrogram"])
def test_importing_loads_no_heavy_library(module):
    code = f"import sys, {module}; print([name for name in {[*HEAVY, 'werkzeug', 'waitress']} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"


def test_only_the_constant_q_scale_imports_librosa():
    """Its import compiles functions for half a minute the first time."""
    found = {
        function.name
        for text in map(Path.read_text, PACKAGE.rglob("*.py"))
        for function in (ast.walk(ast.parse(text)) if "import librosa" in text else [])
        if isinstance(function, ast.FunctionDef) and "import librosa" in {ast.unparse(line) for line in function.body}
    }
    assert found == {"constant_q_frames", "from_constant_q"}


@pytest.mark.slow
def test_commands_run_without_librosa(sounds, cache, tmp_path):
    like = sounds / "tone_00.wav"
    code = f"""
import sys
sys.modules |= dict.fromkeys(("librosa", "numba", "llvmlite"))
from audiosae import cli
for command in (
    "train {sounds} -o run --hidden 4 --epochs 1 --workers 1",
    "survey run {sounds} -o found --workers 1",
    "find run {like} --like {like} -o found.html --workers 1",
    "export run {like} -o table.csv --workers 1",
    "report run {like} -o page.html --workers 1",
):
    try:
        sys.argv = ["audiosae", *command.split(), "-q", "--cache", "{cache}"]
        status = cli.main()
    except SystemExit as error:
        status = error.code
    assert not status, command
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "page.html").stat().st_size > 0


def test_only_the_command_line_prints_or_exits():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        if "cli" in path.parts:
            continue
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        wrong += [path.name for call in calls if getattr(call, "id", getattr(call, "attr", "")) in {"print", "exit"}]
    assert wrong == []


def test_files_have_at_most_500_lines():
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 500}
    assert long == {}


def body_lines(function):
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_have_at_most_45_lines():
    long = {}
    for path in PACKAGE.rglob("*.py"):
        functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
        long |= {f"{path.name} {f.name}": n for f in functions if (n := body_lines(f)) > 45}
    assert long == {}


def test_the_numbers_of_packages_and_dependencies_are_bounded():
    assert len([path for path in PACKAGE.glob("*.py") if path.stem != "__init__"]) <= 4
    assert len(list(PACKAGE.glob("*/__init__.py"))) <= 14
    assert len({(own, other) for own, other in dependencies() if own != other}) <= 86


def test_at_most_four_file_names_occur_twice():
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    assert len([name for name, count in names.items() if count > 1]) <= 4


def test_nothing_is_pickled():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text


def package_frames(frame):
    """Names of the package's functions on the stack, the outermost first."""
    names = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(str(PACKAGE)):
            names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return names[::-1]


def test_the_call_depth_of_train_is_bounded(run, sounds, tmp_path):
    """Count the package's frames from `cli.main` to the gradient, and to the sums for whitening, both ends included."""
    deepest = {"accumulate": 9, "WindowMoments.of": 14}
    stacks = {}

    def record(frame, event, _):
        name = frame.f_code.co_qualname
        if event == "call" and name in deepest.keys() - stacks.keys():
            stacks[name] = package_frames(frame)

    (tmp_path / "few").mkdir()  # so few windows are summed in this thread, not in those of a pool
    for name in ("tone_00.wav", "tone_01.wav", "tone_02.wav"):
        (tmp_path / "few" / name).symlink_to(sounds / name)
    previous = sys.getprofile()
    sys.setprofile(record)
    try:
        options = ["--hidden", 2, "--epochs", 1, "--solver", "adam", "--workers", 1, "-q"]
        code, _, _ = run("train", tmp_path / "few", "-o", tmp_path / "run", *options)
    finally:
        sys.setprofile(previous)
    assert code == 0
    assert [stack[0] for stack in stacks.values()] == ["main", "main"]
    assert {name: len(stacks[name]) <= most for name, most in deepest.items()} == dict.fromkeys(deepest, True), stacks


def test_keywords_have_the_names_and_types_of_their_options():
    declared = {name: kind | None for name, (kind, _) in declarations(TrainOptions).items()}
    assert get_type_hints(TrainKeywords) == declared
    machine = get_type_hints(Machine)
    assert get_type_hints(MachineKeywords) == {name: machine[name] for name in get_type_hints(MachineKeywords)}
