"""A script without a guard that decodes in other processes: run by a test, it must run once."""

import sys
import tempfile
from pathlib import Path

from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import scan
from audiosae.recordings.spectrogram import Spectrogram

print("started")
sources = scan([Path(sys.argv[1])], Spectrogram.suffixes)
domain = Spectrogram().resolve([source.path for source in sources])
with tempfile.TemporaryDirectory() as folder:
    records = ingest(domain, sources, cache=Path(folder), workers=2)
    print(len(records), {record.status for record in records})
