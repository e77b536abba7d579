"""``audiosae domains``: the kinds of input that are installed."""

from __future__ import annotations

from typing import Any

from audiosae.commands.answer import Answer
from audiosae.domain import list_domains, load_domain, option_defaults
from audiosae.system.parameters import command, flag
from audiosae.training.options import TrainOptions


@command(example="audiosae domains")
def domains() -> Answer:
    """List the kinds of input and their options.

    A broken plugin is listed with the reason.

    Returns
    -------
    Answer
    """
    listed, lines = [], []
    for listing in list_domains():
        facts: dict[str, Any] = {"name": listing.name, "package": listing.package, "version": listing.version}
        lines.append(f"{listing.name}  ({listing.package} {listing.version})")
        try:
            cls = load_domain(listing.name)
            options = TrainOptions.resolve(cls.defaults, {}, domain=listing.name).to_json()
        except Exception as error:  # noqa: BLE001 (whatever a plugin does, the others are listed)
            facts["broken"] = str(error)
            lines.append(f"  broken: {error}")
        else:
            facts |= {"options": option_defaults(cls), "training": options, "suffixes": list(cls.suffixes)}
            own = "  ".join(f"{key}={value}" for key, value in option_defaults(cls).items())
            lines.append(f"  --set {own}" if own else "  no options of its own")
            chosen = [
                flag(key) if value is True else f"{flag(key)} {value}"
                for key, value in cls.defaults.items()
                if value is not False
            ]
            chosen_text = "  ".join(chosen)  # as it is typed: a switch has no value
            lines.append(f"  trains with: {chosen_text or 'the defaults of train'}")
        listed.append(facts)
    return Answer("\n".join(lines), {"domains": listed})
