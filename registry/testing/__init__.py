"""Fakes that ship: they keep the same promises as the real things, and are held to the same suites."""

from registry.testing.agent import SiteAgent
from registry.testing.blobs import MemoryBlobs, MemoryStagedBlob
from registry.testing.disk import FailingDisk
from registry.testing.distributions import BOUNDARY, FORM_TYPE, Built, form, sdist, wheel
from registry.testing.network import MemoryNetwork
from registry.testing.packages import MemoryPackages
from registry.testing.registry import MemoryRegistry, registry_in_memory
from registry.testing.scene import EXTERNAL_URL, NOON, OPERATOR
from registry.testing.upstream import FakeUpstream, Style
from registry.testing.upstream_site import serving_upstream
from registry.testing.waiting import HeldThreads, done, gathered
from registry.testing.wire import Answer, Wire, answers_in, request

__all__ = [
    "BOUNDARY",
    "EXTERNAL_URL",
    "FORM_TYPE",
    "NOON",
    "OPERATOR",
    "Answer",
    "Built",
    "FailingDisk",
    "FakeUpstream",
    "HeldThreads",
    "MemoryBlobs",
    "MemoryNetwork",
    "MemoryPackages",
    "MemoryRegistry",
    "MemoryStagedBlob",
    "SiteAgent",
    "Style",
    "Wire",
    "answers_in",
    "done",
    "form",
    "gathered",
    "registry_in_memory",
    "request",
    "sdist",
    "serving_upstream",
    "wheel",
]
