"""The catalog, the blobs and the threads that wait for them."""
