"""``python -m audiosae``."""

from audiosae.cli import main

if __name__ == "__main__":
    main()
