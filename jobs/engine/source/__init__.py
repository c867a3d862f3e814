"""Reading what is to be copied: directories, metadata, file contents. Knows no media and opens no repository."""
