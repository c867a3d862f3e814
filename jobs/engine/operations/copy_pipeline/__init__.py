"""The machinery of a backup copy: worker processes that read directories, and the parent that coordinates them.

Reading order: ``pending`` (one directory on its way to a tree), ``visit`` and ``reuse`` (what is read, what is taken
from the parent), ``small_files`` and ``large_files`` (contents into blobs), ``worker`` (the loop), ``messages``,
``channel`` and ``process`` (how workers talk and live), ``coordinator`` (who gets what). The entry is
:func:`jobs.engine.operations.backup_copy.run`.
"""
