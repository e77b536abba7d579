"""The structure of the package: imports go downwards, start-up is light, only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter

import pytest
from conftest import REPOSITORY

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
NOTEBOOK = ("autoencoder", "views")  # the one import upwards: a notebook asks a Model for its picture


def imports(path):
    """Every audiosae module that a file imports at any place."""
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
    """Which package imports which, (importer, imported), late and type-checking imports included."""
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield from ((own, module.partition(".")[0]) for module in imports(path) if own != "__init__")


def test_every_package_has_a_layer():
    assert packages() == {name for names in LAYERS for name in names.split()}


def test_imports_go_downwards():
    upwards = [(own, other) for own, other in dependencies() if own != other and layer(other) <= layer(own)]
    assert upwards == [NOTEBOOK]


def test_the_check_sees_an_import_upwards(tmp_path):
    (tmp_path / "errors.py").write_text("def f():\n    from audiosae.training.fit import fit\n")
    assert list(imports(tmp_path / "errors.py")) == ["training.fit"]


def test_no_file_imports_itself_through_others():
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


def test_the_command_line_knows_the_commands_alone():
    assert {other for own, other in dependencies() if own == "cli"} <= {
        "cli",
        "commands",
        "system",
        "errors",
        "samples",
    }


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
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 500}
    assert long == {}


def body_lines(function):
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_stay_short():
    long = {}
    for path in PACKAGE.rglob("*.py"):
        functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
        long |= {f"{path.name} {f.name}": n for f in functions if (n := body_lines(f)) > 45}
    assert long == {}


def test_packages_and_dependencies_stay_few():
    assert len([path for path in PACKAGE.glob("*.py") if path.stem != "__init__"]) <= 4
    assert len(list(PACKAGE.glob("*/__init__.py"))) <= 14
    assert len({(own, other) for own, other in dependencies() if own != other}) <= 86


def test_file_names_occur_once_but_for_four():
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    assert len([name for name, count in names.items() if count > 1]) <= 4


def test_nothing_is_pickled():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text
