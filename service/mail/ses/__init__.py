"""Amazon SES: identities by its API, and what became of messages by its events."""
