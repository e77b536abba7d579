"""Codes of windows and files, feature tables, activity of units, matching of atoms.

The memory used is that of a block of windows and does not grow with the length of a recording.
"""
