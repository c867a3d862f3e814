"""Configuration: file servers, subclients, media, storage policies, access nodes, users.

Knows nothing of jobs: what runs is in the ``jobs`` package, which reads what is configured here.
"""
