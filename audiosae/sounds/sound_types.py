"""Sound types: groups of similar events, learned from their pooled codes without labels.

Codes are standardised and projected onto their principal components; components with a large variance are scaled down a
little. Points are compared by direction, because the distance from the mean says little about the kind of a sound.
An evenly spaced sample of the events is grouped (`grouping`). Every event has the type of the nearest centre, or none
if it is further away than the type's reach. Types can be saved and used for other recordings.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.errors import InputError
from audiosae.sounds.events import NOWHERE
from audiosae.sounds.grouping import grouped
from audiosae.sounds.landmarks import TENSORS as LANDMARKS
from audiosae.sounds.landmarks import Landmarks
from audiosae.sounds.locate import DETECTOR, Detector
from audiosae.sounds.taught import TAUGHT, SameTypes, Taught
from audiosae.system.schema import DIGEST, Items, Object, Optional, Tensor, Text, Whole, check_tensors, reading_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.domain import Json

    Array = NDArray[np.float32]
    Labels = NDArray[np.int32]

FILE = "types.safetensors"
SAMPLE = 3000  # events from which the types are learned
_COMPONENTS, _WIDE_COMPONENTS = 50, 100  # of the space; in which the parts of events are compared
_RAISED, _PARTS_POWER = 0.1, 0.25  # of the mean variance of parts, added to each; power of their covariance
_FORMAT = 6
_ADVICE = "copy the folder again, or run audiosae survey again"
_NUMBER = Text("[1-9][0-9]{0,8}", "the number of a type")
_FACTS = Object(
    {
        "model_digest": Text(DIGEST, "a digest"),
        "names": Object(rest=Text(), keys=_NUMBER),
        "coarse": Items(Whole(1)),
        "detector": Optional(DETECTOR),
        "taught": Optional(TAUGHT),
    }
)
_TENSORS = {
    "mean": Tensor(("features",)),
    "spread": Tensor(("features",), least=0),
    "components": Tensor(("features", "components")),
    "variance": Tensor(("components",), least=0),
    "centres": Tensor(("types", "components")),
    "reach": Tensor(("types",), above=0),
    "taught.points": Tensor(("answers", "components"), optional=True),
    "taught.centres": Tensor(("added", "components"), optional=True),
    "taught.reach": Tensor(("added",), above=0, optional=True),
    **LANDMARKS,
}
_SPREADS = 4.0  # reach of a type in robust standard deviations above the median distance
_WIDE = 1.5  # least reach of a type in median distances
_DIFFUSE, _NO_NEARER = 1.3, 0.95  # greatest reach: in median distances, or the distance of the mean of all sounds, ~1
_LEAST_REACH = 0.7  # nearer events are similar by any measure; sounds of new kinds were at least 0.87 away
_FEW = 8  # a type with fewer events has at least the usual reach
_HELD_BACK = 0.25  # power of its standard deviation by which a component is divided
_FLAT = 1e-6  # features that vary less than this share of the most varied one are ignored


@dataclass(frozen=True)
class Space:
    """Space in which the codes of events are compared.

    Attributes
    ----------
    mean, spread
        Mean and standard deviation of each feature, (features,); features with a spread of 0 are ignored.
    components
        Principal components of standardised codes, (features, components).
    variance
        Variance of the events along each component, (components,).
    """

    mean: Array
    spread: Array
    components: Array
    variance: Array

    @classmethod
    def of(cls, codes: Array, parts: Array | None = None) -> Space:
        """Learn the space from codes; it has at most 50 components.

        Parameters
        ----------
        codes
            Codes of events, (events, features).
        parts
            Differences between the codes of the parts of events and their mean, (parts, features). The parts of an
            event are of one kind by definition, so directions in which they differ count less: the codes are multiplied
            by the covariance of these differences to the power -1/4 (within-class covariance normalisation, Hatch et
            al. 2006, Interspeech, has -1/2).
        """
        mean, spread = codes.mean(axis=0), codes.std(axis=0)
        spread = np.where(spread > _FLAT * spread.max(initial=0), spread, 0).astype(np.float32)
        space = cls(mean, spread, np.empty((len(mean), 0), np.float32), np.empty(0, np.float32))
        points = space.standardised(codes).astype(np.float64)
        if parts is None:
            vectors, variance = _principal(points, _COMPONENTS)
        else:
            wide, _ = _principal(points, _WIDE_COMPONENTS)
            weights = wide @ _inverse_root(parts * space._factor @ wide)
            vectors, variance = _principal(points @ weights, _COMPONENTS)
            vectors = weights @ vectors
        return replace(space, components=vectors.astype(np.float32), variance=variance.astype(np.float32))

    @property
    def _factor(self) -> Array:
        return np.where(self.spread > 0, 1 / np.where(self.spread > 0, self.spread, 1), 0).astype(np.float32)

    def standardised(self, codes: Array) -> Array:
        """Return codes minus the mean, in standard deviations."""
        standardised = np.asarray(codes - self.mean, np.float32)
        standardised *= self._factor
        return standardised

    def points(self, codes: Array) -> Array:
        """Return the points of codes on the unit sphere, (events, components)."""
        return self.points_of(self.standardised(codes))

    def points_of(self, standardised: Array) -> Array:
        """Return the points of standardised codes on the unit sphere, (events, components)."""
        scale = np.sqrt(np.maximum(self.variance, 1e-12)) ** np.float32(_HELD_BACK)
        x = standardised @ self.components / scale
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


@dataclass(frozen=True)
class Types:
    """Sound types, which classify events.

    Attributes
    ----------
    centres
        Centres of the types 1, 2, ... in the space, (types, components).
    reach
        Distance from its centre within which an event belongs to a type, (types,).
    names
        The user's names for types, by number.
    detector
        Settings with which the events were found.
    coarse
        Number of the coarse group of each type, from 1, if no number of types is clearly best; otherwise empty.
    taught
        What a person said about sounds, which types can be added to and joined by.
    landmarks
        Sounds with their positions on the map.
    """

    space: Space
    centres: Array
    reach: Array
    names: Mapping[int, str] = field(default_factory=dict)
    detector: Detector | None = None
    coarse: Sequence[int] = ()
    taught: Taught | None = None
    landmarks: Landmarks | None = None

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def count(self) -> int:
        """Number of the types, with those that a person added."""
        return len(self) + (len(self.taught.centres) if self.taught else 0)

    @property
    def listed(self) -> list[int]:
        """Numbers of the types; of types with the same name, or that a person joined, only the first."""
        return SameTypes(self.names, self.taught.joined if self.taught else {}).listed(self.count)

    def nearest(self, points: Array) -> tuple[Labels, Array]:
        """Return the number of the type nearest to each point, from 1, and its distance divided by the type's reach."""
        distance = _distances(points, self.centres)
        index = distance.argmin(axis=1)
        score = distance[np.arange(len(points)), index] / self.reach[index]
        return (index + 1).astype(np.int32), score.astype(np.float32)

    def assign(self, codes: Array) -> tuple[Labels, Array]:
        """Return type and score of codes (events, features); an event that is out of reach of all types has type 0.

        Raises
        ------
        InputError
            The types were learned from codes with another number of features.
        """
        return self.assign_points(self.space.points_of(self.standardised(codes)))

    def standardised(self, codes: Array) -> Array:
        """Return the standardised codes of events, (events, features); InputError as `assign`."""
        if codes.shape[1] != len(self.space.mean):
            raise InputError(
                f"the sound types are damaged: they have {len(self.space.mean)} features, and an event has "
                f"{codes.shape[1]}; run audiosae survey again without --types-from"
            )
        return self.space.standardised(codes)

    def assign_points(self, points: Array) -> tuple[Labels, Array]:
        """Return type and score of points (events, components) as `assign` does."""
        numbers, score = self.nearest(points)
        return np.where(score > 1, NOWHERE, numbers).astype(np.int32), score

    @property
    def novelty(self) -> Array:
        """Distance of each centre from the nearest other one, divided by the median of these distances, (types,)."""
        if self.count <= 1:
            return np.ones(self.count, np.float32)
        centres = np.concatenate([self.centres, self.taught.centres]) if self.taught else self.centres
        distances = _distances(centres, centres)
        np.fill_diagonal(distances, np.inf)
        nearest = distances.min(axis=1)
        return np.asarray(nearest / max(float(np.median(nearest)), 1e-12))

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the types as they were learned, without names and what a person said."""
        parts = (self.space.mean, self.space.spread, self.space.components, self.centres, self.reach)
        content = b"".join(np.ascontiguousarray(part, np.float32).tobytes() for part in parts)
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def save(self, path: Path, digest: str) -> None:
        """Write the types to a file, with the digest of their model."""
        tensors = {**vars(self.space), "centres": self.centres, "reach": self.reach}
        names = {str(number): name for number, name in self.names.items()}
        facts: dict[str, Json] = {"format": _FORMAT, "kind": "sound types", "model_digest": digest, "names": names}
        tensors |= self.taught.tensors if self.taught else {}
        tensors |= self.landmarks.tensors if self.landmarks else {}
        facts |= {"coarse": list(self.coarse), "detector": self.detector.to_json() if self.detector else None}
        write_tensors(path, tensors, facts | {"taught": self.taught.to_json() if self.taught else None})


def _principal(points: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the principal components of points, (features, components), and the variance along each."""
    tall = len(points) >= 2 * points.shape[1]  # then LAPACK decomposes R, too, but it also returns the other vectors
    _, values, vectors = np.linalg.svd(np.linalg.qr(points, mode="r") if tall else points, full_matrices=False)
    keep = max(1, min(most, len(points) - 1, int((values > _FLAT * values.max(initial=0)).sum())))
    return vectors[:keep].T, np.square(values[:keep]) / max(1, len(points))


def _inverse_root(residuals: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the covariance of residuals (rows, features) to the power -0.25; its diagonal is raised."""
    covariance = residuals.T.astype(np.float64) @ residuals / max(1, len(residuals))
    raised = max(_RAISED * float(np.trace(covariance)) / len(covariance), 1e-12)
    values, vectors = np.linalg.eigh(covariance + raised * np.eye(len(covariance)))
    return np.asarray(vectors * values**-_PARTS_POWER @ vectors.T)


def load_types(path: Path, digest: str) -> Types:
    """Read sound types from a file or the folder of a survey.

    Parameters
    ----------
    digest
        Digest of the model that is used with the types.

    Raises
    ------
    InputError
        There are no types, or they belong to another model or version.
    """
    if not path.exists():
        raise InputError(f"--types-from {path}: no such file or folder; wanted the folder that audiosae survey wrote")
    path = path / FILE if path.is_dir() else path
    if not path.exists():
        raise InputError(f"--types-from: no {FILE} in {path.parent}; wanted the folder that audiosae survey wrote")
    content = read_tensors(path)
    if content.facts.get("kind") != "sound types" or content.facts.get("format") != _FORMAT:
        raise InputError(
            f"{path} contains no sound types that this version of audiosae can read; run audiosae survey again"
        )
    with reading_file(path, _ADVICE):
        _FACTS.check(content.facts)
        check_tensors(content.tensors, _TENSORS)
    if content.facts["model_digest"] != digest:
        raise InputError(
            f"--types-from {path.parent}: its types belong to another model; wanted the model of that survey, or a "
            f"survey without --types-from"
        )
    space = Space(*(content.tensors[name] for name in ("mean", "spread", "components", "variance")))
    names = {int(number): name for number, name in content.facts["names"].items()}
    detector, taught = content.facts["detector"], content.facts["taught"]
    return Types(
        space,
        content.tensors["centres"],
        content.tensors["reach"],
        names,
        detector=Detector.from_json(detector) if detector else None,
        coarse=content.facts["coarse"] if len(content.facts["coarse"]) == len(content.tensors["centres"]) else (),
        taught=Taught.of(taught, content.tensors, space.components.shape[1]) if taught else None,
        landmarks=Landmarks.of(content.tensors),
    )


def learn_types(codes: Array, count: int | None = None, parts: Array | None = None) -> tuple[Types, str]:
    """Learn sound types from events.

    Parameters
    ----------
    codes
        Codes of events, (events, features). If there are more than 3000, an evenly spaced sample is used.
    count
        Number of types; None chooses it, see `grouping.grouped`.
    parts
        See `Space.of`.

    Returns
    -------
    Types, str
        The types, and how their number was chosen.
    """
    sample = sampled(codes)
    space = Space.of(sample, parts)
    points = space.points(sample)
    groups = grouped(points, count)
    labels = groups.labels
    centres = np.stack([points[labels == number].mean(axis=0) for number in range(labels.max() + 1)])
    types = Types(space, centres, _reach(points, labels, centres))
    if len(np.unique(groups.coarse)) < len(centres):
        types = replace(types, coarse=tuple((groups.coarse + 1).tolist()))
    return types, groups.choice


def sampled(codes: Array) -> Array:
    """Return the codes from which types are learned: an evenly spaced sample, or all of few."""
    return codes if len(codes) <= SAMPLE else np.asarray(codes[evenly(len(codes), SAMPLE)])


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` evenly spaced indices into `count` elements."""
    return np.arange(min(count, most), dtype=np.int64) * count // max(1, min(count, most))


def _reach(points: Array, labels: Labels, centres: Array) -> Array:
    """Return the distance from the centre within which an event belongs to a type, for each type.

    A small type has at least the usual reach. Only a diffuse type reaches as far as the mean of all sounds, which is
    equally far from all types: a sound at that distance is not more similar to this type than to others.
    """
    distance = np.linalg.norm(points - centres[labels], axis=1)
    usual, reach = _robust_most(distance), []
    for number in range(len(centres)):
        own = distance[labels == number]
        middle = float(np.median(own))
        most = max(_robust_most(own), _WIDE * middle, usual if len(own) < _FEW else 0)
        reach.append(max(_LEAST_REACH, min(most, max(_NO_NEARER, _DIFFUSE * middle))))
    return np.asarray(reach, np.float32)


def _robust_most(values: NDArray[np.floating]) -> float:
    middle = np.median(values)
    return float(middle + _SPREADS * 1.4826 * np.median(np.abs(values - middle)))


def _distances(a: Array, b: Array) -> Array:
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
