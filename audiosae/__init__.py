"""audiosae: sparse features of unlabelled recordings.

`train`, `survey`, `find`, `export`, `evaluate`, `report`, `diff` and `inspect` are the commands of the same names for
scripts and notebooks. `load_model` reads a model that ``audiosae train`` wrote. `SparseAutoencoder` is a scikit-learn
transformer that learns from an array. The names are listed in ``__init__.pyi`` and imported at their first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
