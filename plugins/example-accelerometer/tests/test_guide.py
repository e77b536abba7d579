from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1]
GUIDE = EXAMPLE.parent / "README.md"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide that quotes this example was not copied along")


def quoted(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "language"), [("example_accelerometer/__init__.py", "python"), ("pyproject.toml", "toml")]
)
def test_the_guide_quotes_the_example_whole_and_as_it_is(name: str, language: str) -> None:
    assert (EXAMPLE / name).read_text(encoding="utf-8") in quoted(language)


def test_all_code_of_the_guide_is_the_example_s() -> None:
    files = [EXAMPLE / "pyproject.toml", EXAMPLE / "example_accelerometer/__init__.py", *EXAMPLE.glob("tests/*.py")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert all(block in code for language in ("python", "toml") for block in quoted(language))
