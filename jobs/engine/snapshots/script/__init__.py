"""Snapshots by four commands of the administrator's own."""
