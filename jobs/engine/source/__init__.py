"""Reading what is to be copied: directories, metadata, file contents. Knows nothing of repositories or media."""
