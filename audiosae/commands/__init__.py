"""The commands: what each does, from input files to output files."""
