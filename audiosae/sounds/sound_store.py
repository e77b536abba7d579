"""Events and codes of recordings that earlier surveys found, in the cache: a survey repeats only what is new.

An entry depends on the content of the recording and on everything else that determines it, so it is never out of date.
A survey that was killed continues, and one of a growing archive does no more than is needed.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from audiosae.autoencoder.tensors import read_tensors, tensor_bytes
from audiosae.corpus.cache import cache_folder, make_room, open_described, source_digest, unwritable
from audiosae.domain import domain_to_json
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus

    Block = dict[str, NDArray[Any]]

FLOOR = "floor"
_NAME = "sounds"
_PACKAGE = "audiosae"
_USED = ("autoencoder", "backends", "features", "sounds")  # packages whose code determines the entries
_DAY = 86400.0  # s


class SoundStore:
    """Blocks of arrays by key, in a folder of the cache; a damaged block is as good as none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, model: Model, corpus: EngineCorpus, say: Callable[[str], None] = lambda _: None) -> SoundStore:
        """Return the store, in the cache of this machine, for recordings that were read for a model.

        Raises
        ------
        InputError
            The cache cannot be written.
        """
        domain = domain_to_json(corpus.domain)
        code = [source_digest(_PACKAGE, f"{_PACKAGE}.{name}.x") for name in _USED]
        options = {
            "domain": hashlib.blake2b(repr(domain).encode(), digest_size=8).hexdigest(),
            "model": model.digest,
            "backend": corpus.engine.arithmetic,
            "code": "".join(code),
        }
        description = {**domain, "name": _NAME, "options": options}
        return cls(open_described(cache_folder(corpus.cache), description, __name__, say))

    def through(
        self, keys: Sequence[Sequence[str]], compute: Callable[[Sequence[int]], Iterator[Block]]
    ) -> Iterator[Block]:
        """Yield the blocks of recordings in order: stored ones, or new ones, which are stored.

        Parameters
        ----------
        keys
            Keys of the blocks of each recording.
        compute
            Function of the numbers of some recordings that yields all their blocks.
        """
        missing = [number for number, own in enumerate(keys) if not all(self._path(key).exists() for key in own)]
        new, is_missing = compute(missing), {*missing}
        for number, own in enumerate(keys):
            stored = [] if number in is_missing else [self.load(key) for key in own]
            whole = [block for block in stored if block is not None]
            if number not in is_missing and len(whole) == len(own):
                yield from whole
                continue
            blocks = new if number in is_missing else compute([number])
            for key in own:
                block = next(blocks)
                self.save(key, block)
                yield block

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def load(self, key: str) -> Block | None:
        """Return the block of a key; None if there is none or it is damaged."""
        path = self._path(key)
        with suppress(InputError, OSError):
            content = read_tensors(path)
            if time.time() - path.stat().st_mtime > _DAY:
                os.utime(path)  # pruning removes the least recently used first
            if content.facts.get("key") == key:
                return content.tensors
        return None

    def save(self, key: str, block: Block) -> None:
        """Write a block, without a flush to disk: a damaged one is computed again. InputError if that fails."""
        temporary = self.folder / f"{key}.{os.getpid()}.tmp"
        make_room(self._path(key))
        try:
            temporary.write_bytes(tensor_bytes(block, {"key": key}))
            temporary.replace(self._path(key))
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise unwritable(self.folder.parent, error) from error


def key_of(*parts: object) -> str:
    """Return the key of a block that depends on some values; arrays are given as their bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()


def floor_key(record: Record) -> str:
    """Return the key of the block with the noise floor of a recording, the median of each band at the knots."""
    return key_of(FLOOR, record.digest)
