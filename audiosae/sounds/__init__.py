"""Sounds in recordings: noise floor, events, event codes, sound types, search, tables, timeline."""
