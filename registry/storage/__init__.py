"""Where things are kept: the catalog, the blobs, and the threads that wait for them. Never HTTP, never a rule of the domain."""
