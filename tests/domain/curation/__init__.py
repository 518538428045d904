"""What of an upstream's files may come in."""
