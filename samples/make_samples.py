"""Make the recordings and pictures of this folder: as `audiosae samples FOLDER` does."""

import sys
from pathlib import Path

from audiosae.cli import main
from audiosae.samples import *  # noqa: F403 (the synthesisers, for those who load this file)

if __name__ == "__main__":
    sys.argv = [sys.argv[0], "samples", *(sys.argv[1:] or [str(Path(__file__).resolve().parent)])]
    main()
