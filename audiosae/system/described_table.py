"""A table and the JSON file beside it that describes it, by which audiosae knows its own tables and edited ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audiosae.system.files import (
    InputFiles,
    check_replaceable,
    check_unedited,
    check_writable,
    quick_digest,
    replacing,
    write_errors,
    write_file,
)
from audiosae.system.interrupts import hold_interrupts
from audiosae.system.schema import DIGEST, Object, Text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from audiosae.system.schema import FactsFile

TABLES = "tables"  # key of the digests of the tables that a description describes
DIGESTS = Object(keys=Text(r"[^/\\:]+", "the name of a file"), rest=Text(DIGEST, "a digest"))


def description_of(path: Path) -> Path:
    """Return the path of the .json that describes a table: ``NAME.npz.json`` if it exists, else ``NAME.json``."""
    own = path.with_name(f"{path.name}.json")
    return own if own.exists() else path.with_suffix(".json")


@dataclass(frozen=True)
class DescribedTable:
    """Declaration of the table that a command writes.

    Attributes
    ----------
    command
        Name of the command.
    suffixes
        Suffixes of the formats.
    facts
        Schema of the JSON file; its key `TABLES` has the schema `DIGESTS`.
    """

    command: str
    suffixes: tuple[str, ...]
    facts: FactsFile

    def check(self, path: Path, inputs: Iterable[Path] = ()) -> None:
        """Check that a table can be written, before the work.

        Parameters
        ----------
        inputs
            Files that must not be replaced.

        Raises
        ------
        InputError
            The suffix is unknown, the folder does not exist, or the table would replace an input, a file that the
            command did not write, or a table that was edited since.
        """
        check_writable(path, self.suffixes)
        description, files = description_of(path), InputFiles(inputs)
        facts = self.facts.read(description)
        recorded = facts.get(TABLES, {path.name: ""}) if facts else {}  # an earlier version wrote no digests
        check_replaceable(path, files, own=path.name in recorded)
        check_replaceable(description, files, own=facts is not None)
        if digest := recorded.get(path.name):
            check_unedited(path.parent, {path.name: digest}, f"the {self.command} that wrote it")

    def describe(self, path: Path, facts: dict[str, Any], complete: Path) -> None:
        """Write the .json that describes a table, before the `complete` file gets the name of the table.

        If a table with the same name and another suffix has a different description, that is not replaced: the
        description of this table is then ``NAME.npz.json``.
        """
        description, digests = description_of(path), {path.name: quick_digest(complete)}
        others = [path.with_suffix(suffix) for suffix in self.suffixes if suffix != path.suffix.lower()]
        shared = {other.name for other in others if other.exists() and description_of(other) == description}
        if shared and (earlier := self.facts.read(description)):
            recorded = earlier.pop(TABLES, {})
            if earlier == json.loads(json.dumps(facts)):
                digests |= {name: digest for name, digest in recorded.items() if name in shared}
            else:
                description = path.with_name(f"{path.name}.json")
        write_file(description, (json.dumps(facts | {TABLES: digests}, indent=1, sort_keys=True) + "\n").encode())

    def write(self, path: Path, content: bytes, facts: dict[str, Any]) -> None:
        """Write a table and its description, or leave both unchanged and raise InputError."""
        with write_errors(path), replacing(path) as temporary:
            temporary.write_bytes(content)
            with hold_interrupts():  # a table without its description would count as a file of the user
                self.describe(path, facts, temporary)
