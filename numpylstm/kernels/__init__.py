"""Compiled functions: they take arrays, fill arrays and check nothing.

A file here computes one layer or one kind of update. `machine` holds the tools they are built from.
`threads` and `memory` also work without Numba.
"""
