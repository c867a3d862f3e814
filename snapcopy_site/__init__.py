"""Composition root: settings, URLs, the console script and the servers of a single machine."""
