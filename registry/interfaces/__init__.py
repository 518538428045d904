"""The seams. A docstring here is the contract that every implementation, real or fake, is tested against."""

from registry.interfaces.access import IAccess, IProtection
from registry.interfaces.accounts import IFounding, IPeople, IUsers
from registry.interfaces.blobs import BESIDE_BYTES, IBlobs, IGrowingBlob, IOpenBlob, IStagedBlob
from registry.interfaces.fetching import IFetcher, IStream, IStreamReader
from registry.interfaces.jobs import IJobs, IJobVerifier
from registry.interfaces.journal import IAudit, IHistory, IJournal, IRefusals
from registry.interfaces.packages import IAttestations, IInventory, IPackages, IReleases
from registry.interfaces.places import IGroups, IMembers, INamespaces, IPlaces, IProjects
from registry.interfaces.settings import IForwarding, ISettings
from registry.interfaces.threads import IThreads
from registry.interfaces.tokens import IDeployTokens, IPlaceTokens, ITokens
from registry.interfaces.upstream import IKeeping, IUpstreamCatalog

__all__ = [
    "BESIDE_BYTES",
    "IAccess",
    "IAttestations",
    "IAudit",
    "IBlobs",
    "IDeployTokens",
    "IFetcher",
    "IForwarding",
    "IFounding",
    "IGroups",
    "IGrowingBlob",
    "IHistory",
    "IInventory",
    "IJobVerifier",
    "IJobs",
    "IJournal",
    "IKeeping",
    "IMembers",
    "INamespaces",
    "IOpenBlob",
    "IPackages",
    "IPeople",
    "IPlaceTokens",
    "IPlaces",
    "IProjects",
    "IProtection",
    "IRefusals",
    "IReleases",
    "ISettings",
    "IStagedBlob",
    "IStream",
    "IStreamReader",
    "IThreads",
    "ITokens",
    "IUpstreamCatalog",
    "IUsers",
]
