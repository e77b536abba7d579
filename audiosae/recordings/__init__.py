"""The built-in domain `spectrogram`: recordings read as spectrogram frames, and the dates of recordings.

It implements the plugin interface of `audiosae.domain` and is found through the same entry-point group as plugins.
"""
