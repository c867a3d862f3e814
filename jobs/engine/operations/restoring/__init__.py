"""The machinery of a restore: worker processes that write files, and the parent that coordinates them.

Reading order: ``selection`` (what is wanted), ``decision`` (what happens to a file that exists), ``items`` (pieces of
work), ``source`` (the seam to what is read: ``from_media`` or ``from_snapshot``), ``directories``, ``temporary``,
``sparse``, ``metadata`` and ``hard_links`` (how the target is written), ``fetching`` (blobs in pack order, verified),
``files`` and ``visiting`` (a worker's two halves), ``worker`` (its loop), ``coordinator`` (who gets what), ``preview``
with ``spaces`` (the dry run). The entry is :func:`jobs.engine.operations.restore.run`.
"""
