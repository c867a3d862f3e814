"""Work: snapshots, backup copies and restores, from the pure engine up to the pages."""
