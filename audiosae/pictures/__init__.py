"""Atoms and training curves as picture files.

Figures are drawn without pyplot and without the user's settings.
"""
