"""audiosae."""
