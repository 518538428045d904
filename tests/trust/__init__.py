"""Tests of registry.trust."""
