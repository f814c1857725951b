"""The filter on rows that lie on a cluster; loaded when a dask array comes."""

from sklinfluence.filtering._clustered._judge import HandedOut, check_asked, judge

__all__ = ["HandedOut", "check_asked", "judge"]
