"""NDMP versions 4 and 3 over the wire: sessions, backups, recoveries, file history. Nothing of jobs or repositories.

Start with :func:`session.connect`; then :func:`backup.back_up` or :func:`recover.recover`. ``draft`` in the docstrings
is draft-skardal-ndmp4-04, the public definition of the protocol.
"""
