"""Real clients and real processes against a live port: what a user does, and what he sees."""
