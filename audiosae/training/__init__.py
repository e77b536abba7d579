"""Training of a model: options, memory estimate, fit, solvers, steps, checkpoint, history.

The result depends on the options and the fields only, and an interrupted run can resume from its checkpoint.
"""
