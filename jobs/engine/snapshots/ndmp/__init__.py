"""File servers that are read as dumps over NDMP; the protocol itself is :mod:`jobs.engine.ndmp`."""
