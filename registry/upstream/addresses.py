"""Which addresses may be connected to. Strangers write links; what they lead to inside this network is none of their business."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# What `ipaddress` takes for public, in some release or in all.
_MORE = (
    (ip_network("168.63.129.16/32"), "a metadata address"),  # of one cloud, in the middle of public ones
    (ip_network("192.88.99.0/24"), "a reserved address"),  # 6to4 relays, RFC 7526
    (ip_network("64:ff9b:1::/48"), "a private address"),  # NAT64 for local use, RFC 8215
    (ip_network("3fff::/20"), "a reserved address"),  # documentation, RFC 9637
    (ip_network("5f00::/16"), "a reserved address"),  # segment routing, RFC 9602
    (ip_network("fec0::/10"), "a private address"),  # site-local, RFC 3879
)
# Addresses of one host each that clouds answer with secrets.
_METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052
_TRANSLATED = ip_network("::ffff:0:0:0/96")  # RFC 2765
_COMPATIBLE = ip_network("::/96")  # RFC 4291
_TO_ALLOW = "whoever runs this registry can allow it in [upstream] allow_private"


def refusal(address: str, allowed: Sequence[Network]) -> str | None:
    """Why nothing may be connected to at `address` (an IP address as text); None where something may.

    What may not: loopback, private (RFC 1918, ULA), link-local, carrier-grade NAT, multicast, unspecified and reserved addresses, those of
    cloud metadata, and the IPv6 forms of IPv4 addresses that may not, unless they are in one of the `allowed` networks.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "it has no usable address"
    kind = _kind(found, allowed)
    return None if kind is None else f"it has {kind}; {_TO_ALLOW}"


def literal_refusal(host: str, allowed: Sequence[Network]) -> str | None:
    """Why nothing may be connected to at `host`, as far as its spelling tells. For hosts that somebody else resolves, such as a proxy.

    All spellings of IPv4 addresses that resolvers know are read: decimal, octal, hexadecimal, with fewer parts.
    """
    bare = host.rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return refusal("127.0.0.1", allowed)
    with suppress(OSError):
        return refusal(socket.inet_ntoa(socket.inet_aton(bare)), allowed)
    with suppress(ValueError):
        return refusal(str(ip_address(bare)), allowed)
    return None


def _kind(address: Address, allowed: Sequence[Network]) -> str | None:
    """What kind of address that is not connected to it is."""
    if any(address in network for network in allowed):
        return None
    if isinstance(address, IPv6Address):
        carried = _carried(address)
        if carried is not None:
            return _kind(carried, allowed)
    if address in _METADATA:
        return "a metadata address"
    for network, kind in _MORE:
        if address in network:
            return kind
    return _named(address)


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to `address` end up at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    is_form = any(address in network for network in (_NAT64, _TRANSLATED, _COMPATIBLE))
    # :: and ::1 are addresses of their own.
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_form and int(address) > 1 else None


def _named(address: Address) -> str | None:
    kinds = (
        (address.is_unspecified, "an unspecified address"),
        (address.is_loopback, "a loopback address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (address.is_private, "a private address"),
        (address.is_reserved or not address.is_global, "a reserved address"),
    )
    return next((kind for holds, kind in kinds if holds), None)
