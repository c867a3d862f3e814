"""The machinery of mending a repository: saving what is whole, and where lost blobs come back from."""
