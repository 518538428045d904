"""Tests of registry.web.rest."""
