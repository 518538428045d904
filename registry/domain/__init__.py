"""What a registry knows: values and rules. Never Twisted, a clock, a file, a thread or a database."""
