"""Stores that hold a repository's files. One driver file per medium; none knows another."""
