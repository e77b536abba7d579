"""audiosae: sparse features of unlabelled recordings.

`train`, `survey`, `find`, `export`, `evaluate`, `report`, `diff` and `inspect` are the commands of the same names, for
scripts and notebooks; `load_model` reads what ``audiosae train`` wrote; `SparseAutoencoder` learns from an array, as a
scikit-learn transformer. The names are listed in ``__init__.pyi`` and imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
