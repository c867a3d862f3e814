"""The configuration as one file: what ``snapcopy apply`` reads and ``snapcopy export`` writes.

``schema`` says which keys there are, ``reading`` turns YAML into checked entries, ``picture`` turns rows into the same
form, ``difference`` compares two pictures, ``applying`` writes entries through :mod:`policies.services`,
``sealed`` is the picture as it is kept on media.
"""
