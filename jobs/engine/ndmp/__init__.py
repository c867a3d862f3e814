"""NDMP version 4 over the wire: sessions, backups, recoveries and file history. Nothing of jobs, rows or repositories.

Start with :func:`session.connect`; then :func:`backup.back_up` or :func:`recover.recover`. ``draft`` in the docstrings
is draft-skardal-ndmp4-04, the public definition of the protocol.
"""
