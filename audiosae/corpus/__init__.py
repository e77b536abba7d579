"""From the user's files to windows: scan, read into cached fields, journal, labels, and windows cut from the fields.

Nothing here knows a model; what a kind of input does is the business of its domain.
"""
