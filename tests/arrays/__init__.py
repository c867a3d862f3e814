"""Storage arrays: emulators of what their makers document, driven over TLS by the makers' own clients."""
