"""``snapcopy repo``: the engine at a prompt, without database, queue or web.

It parses, calls an operation and prints. What an operation does is not here.
"""
