"""Rows on a dask cluster: the source of blocks, and nothing else."""

from sklinfluence._distributed._source import DaskSource

__all__ = ["DaskSource"]
