"""The method of a survey in words, for the methods section of a paper."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.sounds.events import REJECTED
from audiosae.sounds.labeller import RIDGE_FROM
from audiosae.system.files import write_file
from audiosae.system.progress import counted
from audiosae.system.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from audiosae.autoencoder.model import Model
    from audiosae.sounds.locate import Detector
    from audiosae.sounds.results import Survey

FILE = "methods.md"
_MINUTE, _HOUR = 60.0, 3600.0
_FEW = 2  # below this many minutes or hours, the smaller unit is used
_HOP, _GAP_FRAMES, _EVENT_FRAMES = 0.25, 2, 7  # defaults of the detector, see docs/explanation/events.md
_CLASSIFIER = "kernel ridge regression"
_FEW_LABELS = "labels that spread over a graph of shared nearest neighbours (Zhou et al. 2004)"
_PACKAGES = ("numpy", "scipy", "scikit-learn", "librosa")

# by citation; only those that a text cites are listed
_REFERENCES = {
    "Campello et al. 2013": "R. J. G. B. Campello, D. Moulavi and J. Sander (2013). Density-based clustering based on "
    "hierarchical density estimates. PAKDD 2013, LNCS 7819, 160-172. doi:10.1007/978-3-642-37456-2_14",
    "Hubert and Arabie 1985": "L. Hubert and P. Arabie (1985). Comparing partitions. Journal of Classification 2, "
    "193-218. doi:10.1007/BF01908075",
    "Jarvis and Patrick 1973": "R. A. Jarvis and E. A. Patrick (1973). Clustering using a similarity measure based on "
    "shared near neighbors. IEEE Transactions on Computers C-22, 1025-1034. doi:10.1109/T-C.1973.223640",
    "Newman and Girvan 2004": "M. E. J. Newman and M. Girvan (2004). Finding and evaluating community structure in "
    "networks. Physical Review E 69, 026113. doi:10.1103/PhysRevE.69.026113",
    "Ng 2011": "A. Ng (2011). Sparse autoencoder. CS294A lecture notes, Stanford University",
    "Rousseeuw 1987": "P. J. Rousseeuw (1987). Silhouettes: a graphical aid to the interpretation and validation of "
    "cluster analysis. Journal of Computational and Applied Mathematics 20, 53-65. doi:10.1016/0377-0427(87)90125-7",
    "Zhou et al. 2004": "D. Zhou, O. Bousquet, T. N. Lal, J. Weston and B. Schölkopf (2004). Learning with local and "
    "global consistency. Advances in Neural Information Processing Systems 16, 321-328",
    "Ward 1963": "J. H. Ward (1963). Hierarchical grouping to optimize an objective function. Journal of the American "
    "Statistical Association 58, 236-244. doi:10.1080/01621459.1963.10500845",
}


def write_methods(survey: Survey, model: Model, detector: Detector | None, path: Path) -> None:
    """Write methods.md: one paragraph, and the references that it cites."""
    write_file(path, methods_text(survey, model, detector).encode())


def methods_text(survey: Survey, model: Model, detector: Detector | None) -> str:
    """Return the methods of a survey: what was surveyed, how, with which settings, and the numbers of its tables."""
    sentences = [
        *_recordings(survey),
        *_features(model),
        *_detection(detector),
        *_types(survey),
        *_results(survey),
    ]
    paragraph = " ".join(sentences)
    cited = "\n".join(f"- {text}" for key, text in _REFERENCES.items() if key in paragraph)
    return f"{paragraph}\n\nReferences\n\n{cited}\n"


def _recordings(survey: Survey) -> Iterator[str]:
    dates = sorted(time.date().isoformat() for time in survey.times if time is not None)
    when = f", made on {dates[0]}" if dates and dates[0] == dates[-1] else ""
    when = f", made from {dates[0]} to {dates[-1]}" if dates and not when else when
    if 0 < len(dates) < len(survey.records):
        when += f" (dates are known for {len(dates)} of them)"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    yield (
        f"We surveyed {counted(len(survey.records), 'recording')} with a total duration of "
        f"{_duration(survey.seconds)}{when}, with audiosae {version('audiosae')} (Python "
        f"{platform.python_version()}, {packages})."
    )
    if survey.skipped:
        further = "A further recording" if len(survey.skipped) == 1 else f"{len(survey.skipped)} further recordings"
        yield f"{further} could not be read."


def _features(model: Model) -> Iterator[str]:
    facts, options = model.facts, model.facts["options"]
    domain: Any = model.domain
    sources: Mapping[str, Any] = facts.get("sources", {})
    seconds = domain.window[0] * domain.hop_length / domain.sample_rate
    bands = f"{domain.window[1]} {'mel ' if domain.scale == 'mel' else ''}bands"
    short = (
        f"(for half of the units the middle {1000 * domain.short * domain.hop_length / domain.sample_rate:.0f} ms) "
        if domain.short
        else ""
    )
    trained = f"{sources['windows']:,} windows of {counted(sources['used'], 'recording')}" if sources else "recordings"
    whitening = options["whiten"]
    whitened = "" if whitening == "none" else f", after {whitening.upper()} whitening"
    length = f"{options['epochs']} epochs of Adam" if options["solver"] == "adam" else "L-BFGS"
    yield (
        f"Sounds were described by a sparse autoencoder (Ng 2011) with {options['hidden']} {options['activation']} "
        f"hidden units, which was trained without labels on {trained}{whitened} (target activity rho "
        f"{options['rho']:g}, sparsity weight beta {options['beta']:g}, weight decay {options['weight_decay']:g}, "
        f"{length}, seed {options['seed']})."
    )
    yield (
        f"A window is {1000 * seconds:.0f} ms {short}of a log spectrogram with {bands} at a sample rate of "
        f"{domain.sample_rate:,} Hz; the digest of the model is {model.digest}."
    )
    made = facts.get("versions", {}).get("audiosae")
    if made and made != version("audiosae"):
        yield f"The model was trained with audiosae {made}."


def _detection(detector: Detector | None) -> Iterator[str]:
    if detector is None:
        return
    options, transform, joining = detector.options, detector.transform_seconds, detector.joining
    gap = options.min_gap if options.min_gap is not None else _GAP_FRAMES * _HOP * transform
    shortest = options.min_duration if options.min_duration is not None else _EVENT_FRAMES * _HOP * transform
    band = f"between {options.low_hz:g} and {options.high_hz:g} Hz" if options.high_hz else "at all frequencies"
    channel = f"channel {detector.channel}" if detector.channel else "the mean of all channels"
    weak = " (80 ms for sounds that only the level of a band shows)" if options.min_duration is None else ""
    level = f", and with a peak of at least {options.min_level:g} dB" if options.min_level else ""
    yield (
        "Events, which are continuous sounds, were found where the broadband level or the level of a frequency band "
        f"rose above its running noise floor, {band}, in {channel}, with Fourier transforms of {1000 * transform:g} ms "
        f"(derived from the recordings), pauses of at least {1000 * gap:g} ms and a duration of at least "
        f"{1000 * shortest:g} ms{weak}{level}."
    )
    similar = " and whose spectra were similar" if joining.slope else ""
    yield (
        f"Consecutive events with a pause of up to about {1000 * joining.pause:.0f} ms{similar} were joined to bouts "
        "(the limits were derived from the recordings)."
    )


def _types(survey: Survey) -> Iterator[str]:
    sounds, choice = f"{survey.group}s", one_line(survey.choice)
    yield (
        f"The codes of the windows in each of the {sounds}, with the noise floor subtracted, were pooled by mean, "
        "maximum and standard deviation, standardised and projected onto principal components."
    )
    if "earlier survey" in choice:
        yield f"The {sounds} were assigned to the nearest of the types of an earlier survey."
    elif len(survey.types) == 1:
        yield f"All {sounds} were regarded as of one type ({choice})."
    elif "HDBSCAN" in choice:
        yield f"Similar {sounds} were grouped into types by HDBSCAN (Campello et al. 2013)."
    elif "modularity" in choice:
        yield (
            f"Similar {sounds} were grouped into types by spectral clustering of the graph of their shared nearest "
            "neighbours (Jarvis and Patrick 1973), with the number of types that had the largest modularity (Newman "
            "and Girvan 2004)."
        )
    else:
        how = (
            "chosen by us" if choice == "as requested" else f"chosen by the mean silhouette (Rousseeuw 1987): {choice}"
        )
        yield f"Similar {sounds} were grouped into types by Ward's clustering (Ward 1963); their number was {how}."


def _results(survey: Survey) -> Iterator[str]:
    without, named = len(survey.sounds.of_type(0)), sum(bool(kind.name) for kind in survey.types)
    typed = sum(kind.events for kind in survey.types)
    other = f"; {without:,} resembled none of them" if without else ""
    events, bouts = (table.only(table.type != REJECTED) for table in (survey.events, survey.bouts))
    total = _duration(float(events.seconds.sum()))
    yield (
        f"We found {counted(len(events), 'event')} ({total} in total) in "
        f"{counted(len(bouts), 'bout')}, and assigned {typed:,} of the {survey.group}s to "
        f"{counted(len(survey.types), 'type')}{other}."
    )
    if survey.stability:
        stable = survey.stability
        yield (
            f"The adjusted Rand index (Hubert and Arabie 1985) between the types and those of a random part of the "
            f"{survey.group}s was {stable.seed:.2f}, and between the types of two halves {stable.halves:.2f}."
        )
    yield "Types are groups of similar sounds that were formed without labels."
    scores = survey.labels.scores if survey.labels else ()
    if given := sum(score.answers for score in scores):
        yield f"We then labelled {counted(given, 'sound')} with {counted(len(scores), 'label')}."
        if survey.labels and not np.isnan(survey.labels.confidence).all():
            classifier = _CLASSIFIER if given >= RIDGE_FROM else _FEW_LABELS
            yield f"The other {survey.group}s were classified by these labels, with {classifier}."
    if named:
        yield f"We named {named} of the types."


def _duration(seconds: float) -> str:
    if seconds < _FEW * _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _FEW * _HOUR:
        return f"{seconds / _MINUTE:.1f} min"
    return f"{seconds / _HOUR:,.1f} h"
