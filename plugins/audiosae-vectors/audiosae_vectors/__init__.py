"""Domain `vectors` of audiosae: rows of arrays and tables, such as embeddings of another model."""

from audiosae_vectors.vectors import Vectors

__all__ = ["Vectors"]
