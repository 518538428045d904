"""Tests of registry.upstream."""
