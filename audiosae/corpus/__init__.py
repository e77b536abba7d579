"""From the user's files to windows: scan, decoding to cached fields, journal, labels, and windows of the fields.

This package does not depend on models; a domain defines how its kind of input is read.
"""
