"""Whether a distribution file is honest: its framing, members and metadata. Reads an open file; never unpacks one to disk."""
