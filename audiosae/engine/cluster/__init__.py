"""Engine that works on the workers of a Dask cluster.

Only `audiosae.engine.start_engine` imports this package.
"""
