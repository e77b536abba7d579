"""Mutations of data that are read from disk: each makes one value missing, of another kind, not finite or too deep."""

from __future__ import annotations

import copy
import json

import numpy as np

DEEP = json.loads("[" * 200 + "]" * 200)
ODD = "\x1b[2J\n=1+1|<b>\u202e"
BROKEN = "half of a character: \ud800"
GONE = object()
ALWAYS = [None, [], {}, [None], {"a": 1}, DEEP, BROKEN, float("nan"), float("inf"), -float("inf")]


def wrong_values(value):
    """Values of other kinds than a value of JSON, or values that no file may have."""
    values = [each for each in ALWAYS if type(each) is not type(value) or each in ([None], DEEP, BROKEN)]
    if isinstance(value, bool):
        return [*values, 0, 1, 1.5, "true", "yes"]
    if isinstance(value, int):
        return [*values, True, "1", "9" * 5000, 1.5, 10**400]
    if isinstance(value, float):
        return [*ALWAYS, True, "0.5", 10**400]
    if isinstance(value, str):
        return [*values, True, 0, 1.5]
    if isinstance(value, list):
        return [each for each in values if each] + [True, 0, "x"]
    return [each for each in values if each != {"a": 1}] + [True, 0, "x"]


def places(value, where=()):
    """Every place in a value of JSON, as a tuple of keys and indices."""
    if where:
        yield where
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*where, key))


def at(value, where):
    for key in where:
        value = value[key]
    return value


def mutated(facts, rng):
    """A changed copy of facts, with the place and the new value; `GONE` for a key that was removed."""
    where = rng.choice(list(places(facts)))
    changed = copy.deepcopy(facts)
    parent = at(changed, where[:-1])
    if isinstance(parent, dict) and rng.random() < 0.2:
        del parent[where[-1]]
        return changed, where, GONE
    value = rng.choice(wrong_values(parent[where[-1]]))
    parent[where[-1]] = value
    return changed, where, value


def mutated_tensors(tensors, rng):
    """A changed copy of tensors, and the name of the one that is missing or has another kind, shape or values."""
    name = rng.choice(sorted(tensors))
    tensor, changed = tensors[name], dict(tensors)
    spoilt = tensor.copy()
    spoilt.reshape(-1)[rng.randrange(tensor.size)] = rng.choice([np.nan, np.inf])
    options = [
        None,
        tensor[None],
        tensor.astype(np.int64),
        tensor.astype(np.float16),
        tensor.astype(np.complex64),
        tensor > 0,
        tensor[:0],
        np.float32(1).reshape(()),
        np.concatenate([tensor, tensor]),
        spoilt,
    ]
    new = rng.choice(options)
    if new is None:
        del changed[name]
    else:
        changed[name] = new
    return changed, name
