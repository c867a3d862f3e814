"""Template tags of the whole product: ``units`` writes figures, ``ui`` writes the components of the design system."""
