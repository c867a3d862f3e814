"""The machinery of copying from repository to repository: what is missing in the target, and moving it there."""
