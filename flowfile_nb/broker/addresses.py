"""Addresses that no credential of the broker's is sent to, and those of the broker's own host."""

from __future__ import annotations

import ipaddress
import re
import socket

# Which of an IPv6 address's bits are an IPv4 address, from the right: translation (RFC 6052, RFC 8215), 6to4 (RFC 3056), and
# the form that nobody should use any more (RFC 4291).
_HOLD_IPV4 = [
    (ipaddress.ip_network(text), shift)
    for text, shift in (("64:ff9b::/96", 0), ("64:ff9b:1::/48", 0), ("2002::/16", 80), ("::/96", 0))
]
# Where clouds tell a machine its own keys, beside the link-local addresses: Alibaba, Azure, Oracle; Amazon, Google, Oracle,
# Scaleway, Linode, Alibaba.
_METADATA = [
    ipaddress.ip_network(text)
    for text in (
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("fd00:ec2::/32", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:100::100:200"),
    )
]
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
    if _is_nobodys(address):
        return "it leads to an address that no server of anybody's has"
    if address.is_loopback and not is_loopback(pinned):
        return "its name leads to the broker's own host"
    return ""


def leads_to_nobody(host: str) -> bool:
    """
    Return whether a name, or address, leads to where a cloud tells a machine its own keys, or to no one host.

    A name is looked up; one that cannot be is left to whoever connects to it, and to say so.
    """
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return any(_is_nobodys(_plain(address)) for address in found)


def _is_nobodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    special = address.is_link_local or address.is_multicast or address.is_unspecified
    return special or any(address in network for network in _METADATA)


def _plain(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # A link-local address names its network card after a per cent sign.
    address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    if address.version == 4 or int(address) <= 1:
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    shift = next((bits for network, bits in _HOLD_IPV4 if address in network), None)
    return address if shift is None else ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
