"""Bytes at rest, named by their SHA-256. Knows no file names, projects or users."""
