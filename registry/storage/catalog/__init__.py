"""The database of everything but bytes: SQLAlchemy Core over SQLite, every change one journal row in the same transaction."""
