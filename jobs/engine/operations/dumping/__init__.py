"""Dumps as streams: ``stream_store`` takes bytes as they come and stores them as one file, ``layout`` names the files
of a dump and makes their tree, ``history_keeping`` counts what the file server tells of them.

The entry is :func:`jobs.engine.operations.dump.run`.
"""
