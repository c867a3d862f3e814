"""The catalog's Django half: writing it from what the engine finds, and every question asked of it."""
