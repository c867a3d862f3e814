"""Archives as streams: ``contents`` reads files in order with bounded memory, ``zip_stream`` and ``tar_stream`` write.

The entry is :func:`jobs.engine.operations.archive.stream`.
"""
