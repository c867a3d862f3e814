"""Snapshots of ZFS datasets by the zfs command."""
