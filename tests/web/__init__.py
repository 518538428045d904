"""The registry over HTTP, in memory: no port, no thread, no clock but the test's."""
