"""``audiosae domains``: the installed domains, which are the kinds of input."""

from __future__ import annotations

from typing import Any

from audiosae.commands.answer import Answer
from audiosae.domain import list_domains, load_domain, option_defaults
from audiosae.system.parameters import command, flag
from audiosae.training.options import TrainOptions


@command(example="audiosae domains")
def domains() -> Answer:
    """List the kinds of input and their options.

    A plugin that cannot be loaded is listed with the reason.

    Returns
    -------
    Answer
    """
    listed, lines = [], []
    for listing in list_domains():
        facts: dict[str, Any] = {"name": listing.name, "package": listing.package, "version": listing.version}
        listed.append(facts)
        lines.append(f"{listing.name}  ({listing.package} {listing.version})")
        try:
            cls = load_domain(listing.name)
            options = TrainOptions.resolve(cls.defaults, {}, domain=listing.name).to_json()
        except Exception as error:  # noqa: BLE001 (a plugin may raise anything; the others are listed)
            facts["broken"] = str(error)
            lines.append(f"  cannot be used: {error}")
            continue
        facts |= {"options": option_defaults(cls), "training": options, "suffixes": list(cls.suffixes)}
        own = "  ".join(f"{key}={value}" for key, value in facts["options"].items())
        typed = [  # as on the command line: a switch has no value
            flag(key) if value is True else f"{flag(key)} {value}"
            for key, value in cls.defaults.items()
            if value is not False
        ]
        lines += [
            f"  options (--set): {own or 'none'}",
            f"  defaults of train: {'  '.join(typed) or 'as in audiosae train --help'}",
        ]
    return Answer("\n".join(lines), {"domains": listed})
