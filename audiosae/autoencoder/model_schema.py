"""Schema of the file of a model: the kinds and ranges of its facts and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from audiosae.autoencoder.whitening import Kind
from audiosae.backends.cpu import LINEAR, SIGMOID, TANH
from audiosae.system.schema import (
    DIGEST,
    Anything,
    Choice,
    Flag,
    Items,
    Number,
    Object,
    Optional,
    Scalar,
    Tensor,
    Text,
    Whole,
)

if TYPE_CHECKING:
    from audiosae.system.schema import Schema

FORMAT = 1
FLAGS = ("contrast", "remove_mean", "squash")  # of the whitening
_WHITENING = Choice(*get_args(Kind))
_FUNCTIONS: dict[str, Schema] = {"activation": Choice(SIGMOID, TANH), "decoder": Choice(LINEAR, SIGMOID)}
OPTIONS: dict[str, Schema] = {  # of training; a model of another version may have others, or lack some
    "rho": Number(above=0, most=1),
    **_FUNCTIONS,
    "whiten": _WHITENING,
    "solver": Choice("auto", "adam", "lbfgs"),
    "sample": Choice("auto", "even", "events"),
    "dtype": Choice("float32", "float64"),
    **dict.fromkeys(("hidden", "epochs", "batch_size", "max_windows", "memory", "seed"), Whole()),
    **dict.fromkeys(("beta", "weight_decay", "whiten_power", "keep", "learning_rate", "tol"), Number()),
    **dict.fromkeys(("contrast", "remove_mean"), Flag()),
}
FACTS = Object(
    {
        "format": Whole(FORMAT, FORMAT),
        "domain": Object({"name": Text(), "options": Object(rest=Scalar())}, {"package": Text(), "version": Text()}),
        "whitening": Object(
            {
                "kind": _WHITENING,
                "scale": Number(above=0),
                "notes": Object(rest=Number()),
                **dict.fromkeys(FLAGS, Flag()),
            },
            {"parts": Items(Whole(1))},
        ),
        **_FUNCTIONS,
        "options": Object({"rho": OPTIONS["rho"]}, OPTIONS, Scalar()),
    },
    {  # provenance, which the summaries show
        "seed": Whole(),
        "versions": Object(rest=Text()),
        "sources": Object(
            {
                **dict.fromkeys(("used", "skipped", "windows", "windows_held_out"), Whole()),
                "digest": Text(DIGEST, "a digest"),
                "held_out": Text(),
                "extent": Number(least=0),
            },
            {
                **dict.fromkeys(("windows_in_neither", "windows_left_out"), Whole()),
                "digests": Text(),
                "began_with": Anything(),
            },
        ),
        "archive": Object(
            {"sources": Whole(), "windows": Whole(), "extent": Number(above=0)}, {"drawn": Number(least=0)}
        ),
        "background_units": Whole(),
        "fvu": Number(),
        "fvu_train": Number(),
        "held_out": Flag(),
        "history": Object(
            {},
            {
                **dict.fromkeys(("step", "epoch", "windows", "dead"), Whole()),
                **dict.fromkeys(("cost", "reconstruction", "sparsity", "rho_hat_mean"), Number()),
                "fvu": Optional(Number()),
            },
            Scalar(),
        ),
        "best_epoch": Whole(),
    },
)
TENSORS = {
    "encoder.weight": Tensor(("units", "components")),
    "decoder.weight": Tensor(("units", "components")),
    "encoder.bias": Tensor(("units",)),
    "decoder.bias": Tensor(("components",)),
    "rho_hat": Tensor(("units",)),
    "whiten.mean": Tensor(("values",)),
    "whiten.forward": Tensor(("values", "components"), optional=True),
    "whiten.backward": Tensor(("components", "values"), optional=True),
    "whiten.spread": Tensor(("components",), above=0, optional=True),
}
