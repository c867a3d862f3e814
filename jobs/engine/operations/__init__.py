"""What the engine does as a whole: copy, restore, browse, archive, check. One file or package per operation."""
