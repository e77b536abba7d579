"""The house keeps its rules: imports go down, start-up is light, only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "audiosae"
FLOORS = ["__main__", "cli", "estimator", "commands", "views", "sounds evaluation", "training features", "engine",
          "autoencoder", "backends", "recordings corpus samples", "domain system", "errors"]  # fmt: skip


def imports(path):
    """Every audiosae module that a file imports at any place."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "audiosae":
            parts = node.module.split(".")[1:]
            for alias in node.names:
                inner = PACKAGE.joinpath(*parts, alias.name)
                found = inner.with_suffix(".py").exists() or inner.is_dir()
                yield ".".join([*parts, alias.name] if found else parts or [alias.name])
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".", 1)[1] for a in node.names if a.name.startswith("audiosae."))


def floor(name):
    return next(number for number, names in enumerate(FLOORS) if name in names.split())


def rooms():
    names = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return names - {"__init__"}


def arrows():
    """Which room imports which, (importer, imported), type-checking blocks included."""
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield from ((own, module.partition(".")[0]) for module in imports(path) if own != "__init__")


def test_every_room_has_a_floor():
    assert rooms() <= {name for floor in FLOORS for name in floor.split()}


def test_imports_go_down():
    assert [(own, other) for own, other in arrows() if own != other and floor(other) <= floor(own)] == []


def test_the_check_sees_an_import_upwards(tmp_path):
    (tmp_path / "errors.py").write_text("def f():\n    from audiosae.training.fit import train\n")
    assert list(imports(tmp_path / "errors.py")) == ["training.train"]


@pytest.mark.parametrize("module", ["audiosae", "audiosae.cli", "audiosae.recordings.spectrogram"])
def test_importing_loads_nothing_heavy(module):
    heavy = (
        "librosa scipy sklearn matplotlib cupy pyarrow soundfile rich numba jinja2 PIL psutil distributed dask".split()  # noqa: SIM905
    )
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_only_the_command_line_prints_or_exits():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        if "cli" in path.parts:
            continue
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        wrong += [path.name for call in calls if getattr(call, "id", getattr(call, "attr", "")) in {"print", "exit"}]
    assert wrong == []


def test_files_stay_small():
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def code_lines(function):
    """Lines of a function without its docstring."""
    told = function.body[0] if ast.get_docstring(function) else None
    return function.end_lineno - function.lineno + 1 - (told.end_lineno - told.lineno + 1 if told else 0)


def test_functions_stay_short_but_for_the_command_lines_own_option_lists():
    long = {}
    for path in PACKAGE.rglob("*.py"):
        functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
        long |= {f"{path.name} {f.name}": n for f in functions if "cli" not in path.parts and (n := code_lines(f)) > 45}
    assert long == {}


def test_no_room_is_a_maze_of_the_others():
    assert len([path for path in PACKAGE.glob("*.py") if path.stem != "__init__"]) <= 4
    assert len(list(PACKAGE.glob("*/__init__.py"))) <= 14
    assert len({(own, other) for own, other in arrows() if own != other}) <= 90


def test_nothing_is_pickled():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text
