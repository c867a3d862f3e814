"""Pages of the configuration: parse, ask a selector or a service, show. No rule is decided here."""
