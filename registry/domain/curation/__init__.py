"""What of an upstream's files may come in: the rules and the one decision. Never fetches, reads a file, or asks what time it is."""
