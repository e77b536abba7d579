"""From sources to a model: options, memory estimate, solvers, checkpoint, run folder, the training run itself.

What is learned depends on the options and the fields alone; a stopped run goes on from its checkpoint.
"""
