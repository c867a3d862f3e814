"""Snapshot engines: a file or a folder each, none knows another; what several need lies here and in ``arrays``."""
