"""Solvers of H X = B, one a file."""
