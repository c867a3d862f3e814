"""The NDMP client against a scripted file server and against Amanda's."""
