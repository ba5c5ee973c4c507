"""Addresses that no credential of the broker's is sent to, and those of the broker's own host."""

from __future__ import annotations

import ipaddress
import re

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Where clouds tell a machine its own keys, beside the link-local addresses.
_METADATA = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")}
# As the C library reads an address that is written as one, two or three numbers, in octal or in hexadecimal.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


def is_loopback(host: str) -> bool:
    """Return whether a host is this one, by its name or address."""
    if host == "localhost":
        return True
    try:
        return _plain(host).is_loopback
    except ValueError:
        return False


def refusal_of(host: str, *, pinned: str) -> str:
    """
    Return why nothing is sent to a host or address; empty if it may be.

    Names are looked up when a request is sent, and what they lead to is asked here then: an address of the broker's own host
    counts only where the owner has written it so, and those by which a cloud tells a machine its own keys never do.

    Args:
        host: A name, or the address to which one leads.
        pinned: What the owner has written.
    """
    try:
        address = _plain(host)
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return "an address is written as four numbers"
        return ""
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA:
        return "it leads to an address that no API has"
    if address.is_loopback and not is_loopback(pinned):
        return "its name leads to the broker's own host"
    return ""


def _plain(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # A link-local address names its network card after a per cent sign.
    address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    if address.version == 4:
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address if address.ipv4_mapped is None else address.ipv4_mapped
