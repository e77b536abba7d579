"""Codes of windows and files, tables of them, activity of the units, matching of atoms.

Memory is bounded by a block of windows, whatever the length of a recording.
"""
