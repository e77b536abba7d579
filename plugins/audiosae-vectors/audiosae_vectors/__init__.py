"""A domain of audiosae: rows of array and table files as vectors, such as embeddings of another model."""

from audiosae_vectors.vectors import Vectors

__all__ = ["Vectors"]
