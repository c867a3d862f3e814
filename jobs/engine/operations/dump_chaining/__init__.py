"""How the file lists of a chain of dumps are put over each other on disk: see ``dump_chain``."""
