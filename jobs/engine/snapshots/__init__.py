"""Snapshot engines: one driver file each; none knows another."""
