"""Plugin interface: domains define how a kind of input is read, drawn and played; built-in or from a plugin."""

from audiosae.domain.conformance import check_domain
from audiosae.domain.drawing import default_settings
from audiosae.domain.guard import plugin_call
from audiosae.domain.options import check_window, make_domain, option_defaults, options_of, parse_settings, resolved
from audiosae.domain.protocol import BLANK, SECONDS, Blocks, Domain, Excerpt, Json, Kind, Probe, Span, between
from audiosae.domain.registry import (
    BUILT_IN,
    Listing,
    domain_from_json,
    domain_to_json,
    find_domain,
    list_domains,
    load_domain,
)

__all__ = [
    "BLANK",
    "BUILT_IN",
    "SECONDS",
    "Blocks",
    "Domain",
    "Excerpt",
    "Json",
    "Kind",
    "Listing",
    "Probe",
    "Span",
    "between",
    "check_domain",
    "check_window",
    "default_settings",
    "domain_from_json",
    "domain_to_json",
    "find_domain",
    "list_domains",
    "load_domain",
    "make_domain",
    "option_defaults",
    "options_of",
    "parse_settings",
    "plugin_call",
    "resolved",
]
