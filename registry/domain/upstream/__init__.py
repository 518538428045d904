"""Other indexes that names not held here are asked of."""

from registry.domain.upstream.addresses import names_in, page_candidates
from registry.domain.upstream.completing import available, carried, completed, completed_of, merged, replaced, standing_for, stands_for
from registry.domain.upstream.packing import pack, unpack
from registry.domain.upstream.values import Claim, Dossier, Forgotten, Holding, KeptFile, Mode, Said, Upstream

__all__ = [
    "Claim",
    "Dossier",
    "Forgotten",
    "Holding",
    "KeptFile",
    "Mode",
    "Said",
    "Upstream",
    "available",
    "carried",
    "completed",
    "completed_of",
    "merged",
    "names_in",
    "pack",
    "page_candidates",
    "replaced",
    "standing_for",
    "stands_for",
    "unpack",
]
