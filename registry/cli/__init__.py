"""How the registry is spoken to from a shell: data on stdout, messages on stderr, exit status 0, 1 (it failed) or 2 (wrong usage)."""
