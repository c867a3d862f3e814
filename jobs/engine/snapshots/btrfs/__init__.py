"""Snapshots of btrfs subvolumes, and what btrfs adds to them: differences, streams, reverts by exchange."""
