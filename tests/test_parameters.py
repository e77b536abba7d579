"""Declarations of options: arguments of the Python functions are checked, wrong declarations are refused."""

from __future__ import annotations

import inspect
from typing import Annotated, TypedDict, Unpack

import pytest

import audiosae
from audiosae.errors import InputError
from audiosae.system.parameters import Option, command


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("export", {"code": "x"}, 'code="x": wanted one of sqrt, activation, share'),
        ("export", {"level": None}, "level=None: wanted a value"),
        ("export", {"segments": 1.5}, "segments=1.5: wanted a whole number"),
        ("export", {"segments": None}, "segments=None: wanted"),
        ("export", {"workers": 0}, "workers=0: wanted at least 1"),
        ("export", {"workers": "2"}, "workers='2': wanted a whole number"),
        ("export", {"backend": "gpu"}, 'backend="gpu": wanted one of auto, numpy, cupy'),
        ("survey", {"when": "x"}, 'when="x": wanted one of auto, name, metadata, none'),
        ("survey", {"min_duration": "x"}, 'min_duration="x": wanted auto or a number of seconds'),
        ("survey", {"events": ["csv", "x"]}, "events=\"csv,x\": no format 'x'"),
        ("find", {"like": "a.wav", "count": True}, "count=True: wanted a whole number"),
    ],
)
def test_arguments_of_the_wrong_type_or_value_are_refused(trained, sounds, name, arguments, message):
    with pytest.raises(InputError) as error:
        getattr(audiosae, name)(trained, sounds, **arguments)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": None}, "sources=None: wanted a value"),
        ({"sources": []}, "sources []: wanted a file or folder"),
        ({"sources": 5}, "sources 5: wanted a file or folder"),
        ({"settings": "n_mels=64"}, "settings 'n_mels=64': wanted a dictionary"),
        ({"domain": None}, "domain=None: wanted a value"),
        ({"resume": True}, "resume: wanted together with out"),
        ({"workers": -3}, "workers=-3: wanted at least 1"),
    ],
)
def test_train_says_what_it_wanted(sounds, arguments, message):
    with pytest.raises(InputError) as error:
        audiosae.train(**({"sources": sounds} | arguments))
    assert str(error.value).startswith(message)


def test_an_unknown_keyword_names_the_function(sounds):
    with pytest.raises(TypeError, match=r"train\(\) got an unexpected keyword argument 'hiden'"):
        audiosae.train(sounds, hiden=3)


def test_a_run_is_not_a_model(trained, sounds):
    with pytest.raises(InputError, match="wanted a Model"):
        audiosae.export(audiosae.train(sounds, hidden=2, epochs=1), sounds)


def test_none_is_not_given(sounds):
    run = audiosae.train(sounds, hidden=4, epochs=1, rho=None, workers=None)
    assert run.model.params.hidden == 4


def test_the_signature_shows_types_without_declarations():
    shown = str(inspect.signature(audiosae.train))
    assert "Option(" not in shown
    assert "hidden: int = 256" in shown
    assert "rho: float = 0.02" in shown, "the default for recordings"


class Keywords(TypedDict, total=False):
    depth: int


def test_wrong_declarations_are_refused():
    def without_option(sources: str) -> None: ...

    def without_annotation(sources) -> None: ...

    def with_keywords(**more) -> None: ...

    def undeclared(**more: Unpack[Keywords]) -> None: ...

    def outside(count: Annotated[int, Option("Count.", least=1)] = 0) -> None: ...

    for function in (without_option, without_annotation, with_keywords, undeclared):
        with pytest.raises(TypeError, match=function.__name__):
            command(example="")(function)
    with pytest.raises(InputError, match="--count 0: wanted at least 1"):
        command(example="")(outside)
