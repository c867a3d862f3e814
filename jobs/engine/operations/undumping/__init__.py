"""How dumps are given back to a file server: what lies in the repository, which names are asked for, how far it is."""
