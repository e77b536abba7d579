"""Consistency of a release: versions, licence, versions required by the plugins, citation, scripts of the workflow."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
from conftest import REPOSITORY

PROJECTS = {path.parent.name: tomllib.loads(path.read_text()) for path in REPOSITORY.glob("plugins/*/pyproject.toml")}
CORE = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
VERSION = CORE["project"]["version"]


def numbers(text):
    return tuple(map(int, text.split(".")))


def test_all_files_state_the_same_version(run):
    assert version("audiosae") == VERSION
    assert run("--version")[1] == f"audiosae {VERSION}\n"
    assert re.search(r"^version: (.*)$", (REPOSITORY / "CITATION.cff").read_text(), re.MULTILINE)[1] == VERSION
    assert re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == VERSION


@pytest.mark.parametrize("name", PROJECTS)
def test_a_plugin_requires_a_range_of_versions_that_includes_this_one(name):
    (wanted,) = [d for d in PROJECTS[name]["project"]["dependencies"] if re.match(r"audiosae\b(?!-)", d)]
    low, high = re.fullmatch(r"audiosae>=([\d.]+),<([\d.]+)", wanted).groups()
    assert numbers(low) <= numbers(VERSION) < numbers(high)


@pytest.mark.parametrize("project", [CORE, *PROJECTS.values()], ids=["audiosae", *PROJECTS])
def test_each_package_states_its_licence_and_contains_its_text(project):
    about = project["project"]
    folder = REPOSITORY if about["name"] == "audiosae" else REPOSITORY / "plugins" / about["name"]
    assert about["license"] == "MIT"
    assert [(folder / name).read_text() for name in about["license-files"]] == [(REPOSITORY / "LICENSE").read_text()]
    assert (folder / about["readme"]).exists()
    assert not any(text.startswith("License ::") for text in about.get("classifiers", []))


def test_tests_linters_and_the_manual_have_dependency_groups():
    assert {"test", "lint", "docs", "release"} <= set(CORE["dependency-groups"])
    assert set(CORE["dependency-groups"]["lint"]) <= set(CORE["project"]["optional-dependencies"]["test"])


def test_the_citation_file_has_all_required_keys():
    keys = re.findall(r"^([a-z-]+):", (REPOSITORY / "CITATION.cff").read_text(), re.MULTILINE)
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(keys)
    assert len(keys) == len(set(keys))


def test_the_workflow_calls_existing_scripts_on_three_systems():
    text = (REPOSITORY / ".github/workflows/test.yml").read_text()
    assert {"ubuntu-latest", "macos-latest", "windows-latest"} <= set(re.findall(r"\w+-latest", text))
    for script in re.findall(r"\.ci/\w+", text):
        path = REPOSITORY / script
        assert path.exists()
        assert os.name == "nt" or path.stat().st_mode & stat.S_IXUSR


def test_the_ci_script_prints_a_code_block_of_the_readme():
    told = subprocess.run(
        [sys.executable, REPOSITORY / ".ci/readme", "2"], check=True, capture_output=True, text=True
    ).stdout
    (command,) = told.split("\n\n")[0].splitlines()
    assert command.endswith("python -m pytest -n 2")
    assert command.replace("/Scripts/", "/bin/") in (REPOSITORY / "README.md").read_text()
