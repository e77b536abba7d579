from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from example_accelerometer import Accelerometer

from audiosae.domain import check_domain
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def test_the_domain_passes_the_conformance_check(write: Write, tmp_path: Path) -> None:
    check_domain(Accelerometer(), [write(tmp_path / f"{seed}.csv", seed=seed) for seed in range(2)])


def test_the_rate_is_resolved_from_the_recordings_and_another_is_refused(write: Write, tmp_path: Path) -> None:
    slow, fast = write(tmp_path / "a.csv", rate=50), write(tmp_path / "b.csv", rate=100)
    domain = Accelerometer().resolve([slow, slow, fast])
    assert domain.rate == 50
    assert domain.span(slow, (100, 0)).start == (2.0,)
    assert domain.probe(slow).rows == pytest.approx(1500, rel=0.1)
    with pytest.raises(InputError, match="100 samples per second, wanted 50"):
        list(domain.field(fast))


def test_a_long_recording_is_read_in_blocks_without_gravity(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", seconds=200)
    domain = Accelerometer().resolve([path])
    blocks = list(domain.field(path))
    assert [len(block) for block in blocks] == [4096, 4096, 1808]
    field = np.concatenate(blocks)
    assert field[:, 2].mean() > 9
    assert domain.finish(field) == [(0, 10000)]
    np.testing.assert_allclose(field.mean(axis=0), 0, atol=1e-4)


def test_an_excerpt_has_the_values_of_the_file(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    domain = Accelerometer().resolve([path])
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    np.testing.assert_allclose(domain.excerpt(path, domain.span(path, (128, 0))).data, table[128:192, 1:], rtol=1e-6)


def test_the_centre_of_an_atom_is_its_frequency() -> None:
    domain = Accelerometer(rate=64)
    atom = np.sin(2 * np.pi * 5 * np.arange(64) / 64)[:, None] * [1, 0, 2]
    assert domain.centre(atom) == pytest.approx(5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "other columns: wanted time,x,y,z"),
        ("t,x,y,z\n0,0,0,0\n", "other columns: wanted time,x,y,z"),
        ("time,x,y,z\n", "uneven times: they do not increase"),
        ("time,x,y,z\n0,0,0,0\n0,1,0,0\n", "uneven times: they do not increase"),
        ("time,x,y,z\n0,0,0,0\n0.1,dog,0,0\n", "not a number: could not convert string to float: 'dog' in line 3"),
        ("time,x,y,z\n0,0,0,0\n0.1,0,0\n", "not four finite numbers: '0.1,0,0' in line 3"),
        ("time,x,y,z\n0,0,0,nan\n", "not four finite numbers: .* in line 2"),
        (
            "time,x,y,z\n0,0,0,0\n0.1,0,0,0\n0.2,0,0,0\n0.5,0,0,0\n",
            "uneven times: from 0.2 to 0.5 s, wanted steps of 0.1 s",
        ),
    ],
)
def test_unusable_files_are_refused_with_the_reason(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        list(Accelerometer().field(path))
    assert Accelerometer().resolve([path]).rate in {0, 10}  # skips the broken file


def test_a_gap_between_two_blocks_is_detected(write: Write, tmp_path: Path) -> None:
    lines = write(tmp_path / "a.csv", seconds=200).read_text().splitlines(keepends=True)
    del lines[1 + 4096 : 1 + 4150]
    (tmp_path / "a.csv").write_text("".join(lines))
    with pytest.raises(InputError, match=r"uneven times: from 81\.9 to 83 s"):
        list(Accelerometer().field(tmp_path / "a.csv"))


def test_a_file_without_rows_cannot_be_probed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,x,y,z\n")
    with pytest.raises(InputError, match="uneven times: they do not increase"):
        Accelerometer().probe(tmp_path / "a.csv")
