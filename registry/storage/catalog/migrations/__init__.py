"""Revisions of the catalog's schema, oldest first; the newest is `database.HEAD`."""
