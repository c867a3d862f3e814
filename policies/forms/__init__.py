"""Forms of the configuration: they explain each field, hand what was typed to a service, and show what it refuses."""
