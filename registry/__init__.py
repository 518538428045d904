"""A private Python package registry in one Twisted process: `load_config`, `assemble`, and the `Registry` they make."""

from registry.assembly import Registry, StartFailed, assemble
from registry.config import Config, InvalidConfig, load_config

__all__ = ["Config", "InvalidConfig", "Registry", "StartFailed", "assemble", "load_config"]
