"""What the operating system is asked for: processes, threads, locks, whole-file writes, interrupts, memory, progress.

Nothing here knows of windows or models.
"""

from __future__ import annotations
