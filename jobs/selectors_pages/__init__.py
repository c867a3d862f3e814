"""Reads that belong to one page each, in few queries whatever the number of rows. The rest is ``jobs.selectors``."""
