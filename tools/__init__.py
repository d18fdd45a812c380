"""Programs for working on the service: nothing here is part of it."""
