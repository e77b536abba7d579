"""The commands, from input files to output files, one module per command."""
