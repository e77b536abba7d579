"""The built-in domain: recordings read as spectrogram frames.

It stands on the same floor as a plugin and comes through the same entry point.
"""
