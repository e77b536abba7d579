"""The house keeps its rules: imports go down, start-up is light, only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "audiosae"
FLOORS = [
    ["__main__"],
    ["cli"],
    ["estimator"],
    ["inspection", "export", "learner", "evaluate", "report"],
    ["quality", "curves", "summary"],
    ["train", "baselines", "scores", "classifier"],
    ["budget"],
    ["solvers", "runfolder", "render", "features", "matching"],
    ["steps"],
    ["checkpoint", "gradcheck"],
    ["model", "fold"],
    ["history", "options"],
    ["engine"],
    ["corpus"],
    ["ingest", "sae"],
    ["params"],
    ["cache", "journal"],
    ["labels", "spectrogram", "usage", "whiten", "backends", "pool", "progress"],
    ["sources", "store", "tables", "tensors"],
    ["audio", "bands", "domain", "inversion", "ticks"],
    ["threads"],
    ["errors", "locks"],
]
PRIVATE_ORDER = {"domain": ["__init__", "conformance", "settling", "registry", "options", "guard", "protocol"],
                 "backends": ["__init__", "gpu", "graphs", "stream", "card", "launch", "cpu",
                              "place"],
                 "report": ["__init__", "comparison", "listening", "gather", "tops", "excerpts", "page", "units",
                            "pictures", "sounds"],
                 "engine": ["__init__", "connection", "cluster", "calls", "worker", "here", "moments", "portion",
                            "shards", "tree"],
                 "cli": ["__init__", "train", "evaluate", "export", "report", "look", "check", "stored", "reading",
                         "parameters", "console"]}  # fmt: skip


def imports(path):
    """Every audiosae module that a file imports at any place, type-checking blocks left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "audiosae":
            parts = node.module.split(".")[1:]
            for alias in node.names:
                inner = PACKAGE.joinpath(*parts, f"{alias.name}.py").exists()
                yield ".".join([*parts, alias.name] if inner else parts or [alias.name])
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".", 1)[1] for a in node.names if a.name.startswith("audiosae."))


def floor(name):
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


def test_every_file_has_a_floor():
    names = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert names - {"__init__"} == {name for floor in FLOORS for name in floor}


def test_imports_go_down():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module in imports(path):
            first, _, rest = module.partition(".")
            if first == own:
                order = PRIVATE_ORDER[own]
                inner = rest or "__init__"
                if inner in order and order.index(inner) <= order.index(path.stem):
                    wrong.append(f"{path.name} imports {module}")
            elif floor(first) <= floor(own):
                wrong.append(f"{own} imports {module}")
    assert wrong == []


def test_the_check_sees_an_import_upwards(tmp_path):
    (tmp_path / "errors.py").write_text("def f():\n    from audiosae.train import train\n")
    assert list(imports(tmp_path / "errors.py")) == ["train"]


@pytest.mark.parametrize("module", ["audiosae", "audiosae.cli", "audiosae.spectrogram"])
def test_importing_loads_nothing_heavy(module):
    heavy = (
        "librosa scipy sklearn matplotlib cupy pyarrow soundfile rich numba jinja2 PIL distributed dask".split()  # noqa: SIM905
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
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 300}
    assert long == {}


def test_nothing_is_pickled():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text
