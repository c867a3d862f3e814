"""The parts of a prune: which rows are needed, which packs go, writing packs and index files anew."""
