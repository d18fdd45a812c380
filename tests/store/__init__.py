"""One conformance suite for every store, on every database."""
