"""Every read of the configuration that is worth a name."""
