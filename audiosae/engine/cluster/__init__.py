"""The engine's work on the workers of a Dask cluster.

Removing this folder removes the cluster; nothing but `audiosae.engine.start_engine` names it.
"""
