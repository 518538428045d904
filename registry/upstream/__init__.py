"""Where misses are fetched and foreign instances asked. Never looks into our catalog or blobs, and never answers a client."""
