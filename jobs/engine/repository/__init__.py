"""The restic repository format v2 (restic's ``doc/design.rst``): files, crypto, blobs, trees, locks.

Nothing here knows a source, a snapshot engine, a queue or a database.
"""
