"""Tags that show the work on pages of other apps."""
