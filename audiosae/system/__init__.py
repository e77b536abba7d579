"""Operating-system services: processes, threads, locks, atomic file writes, interrupts, memory, progress.

This package does not depend on windows or models.
"""
