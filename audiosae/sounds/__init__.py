"""What is in a folder of recordings, and when: events, sound types, dates, timeline, tables for other programs."""
