"""Decides which addresses may be called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network

import httpx

from cartrita.egress.networks import NEVER, NOT_PUBLIC, Address, Network, within
from cartrita.errors import AddressRefused

LONGEST_URL = 4096
"""Characters."""

SCHEMES = {"http": 80, "https": 443}

_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile("[0-9]+|0x[0-9a-f]*")
"""A host whose last label is that is an IPv4 address to some resolvers: 127.1, 0x7f000001."""


def read(text: str) -> httpx.URL:
    """Read a URL, as it is going to be called.

    Raises:
        AddressRefused: It is none, or has signs in it that programs read differently.
    """
    if len(text) > LONGEST_URL:
        raise AddressRefused(f"An address has at most {LONGEST_URL} characters.")
    if not text.isprintable() or any(sign in text for sign in ' \\"<>'):
        raise AddressRefused(f"{text!r} has signs in it that no address has.")
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused(f"{text!r} is no address: {error}") from None


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be called.

    Attributes:
        refused: Networks that may not be.
        allowed: Networks that may be all the same.
        ports: Which ports; any when empty.
        hosts: Names that may be called, with all below them; any when empty.
    """

    refused: tuple[Network, ...] = NOT_PUBLIC
    allowed: tuple[Network, ...] = ()
    ports: tuple[range, ...] = (range(80, 81), range(443, 444))
    hosts: tuple[str, ...] = ()

    def check(self, url: httpx.URL) -> None:
        """Look at everything that a URL itself tells.

        Raises:
            AddressRefused: It may not be called.
        """
        if url.scheme not in SCHEMES:
            raise AddressRefused(f"{str(url)!r} must begin with 'http://' or 'https://'.")
        if url.userinfo:
            raise AddressRefused("An address must not carry a user's name or password.")
        host = url.raw_host.decode("ascii")
        address = literal(host)
        if address is not None:
            self.check_addresses(host, [address])
        port = SCHEMES[url.scheme] if url.port is None else url.port
        if self.ports and not any(port in ports for ports in self.ports):
            raise AddressRefused(f"Port {port} may not be called; see the setting egress.ports.")
        if self.hosts and not any(host == name or host.endswith(f".{name}") for name in self.hosts):
            raise AddressRefused(f"{host!r} is not among the setting egress.hosts.")

    def check_addresses(self, host: str, addresses: Sequence[Address]) -> None:
        """Look at what a host's name leads to; one bad address spoils them all.

        Raises:
            AddressRefused: It may not be called. It does not say where it leads: names inside a
                network are nobody's business.
        """
        if not all(map(self._admits, addresses)):
            raise AddressRefused(f"{host!r} is not on the public internet.")

    def _admits(self, address: Address) -> bool:
        return within(address, self.allowed) or not within(address, self.refused)


def literal(host: str) -> Address | None:
    """Return the address that a host is; None for a name.

    Raises:
        AddressRefused: It is neither, or an address in a spelling that not all read alike.
    """
    if ":" in host:
        try:
            return IPv6Address(host) if "%" not in host else _refuse(host)
        except AddressValueError:
            _refuse(host)
    if not _NAME.fullmatch(host):
        _refuse(host)
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(host)
    except AddressValueError:
        return _refuse(host)


def _refuse(host: str) -> Address:
    raise AddressRefused(
        f"{host!r} is no host: write a name without a dot at its end, or an address as 192.0.2.1 "
        "or [2001:db8::1]."
    )


def public(
    allow: Sequence[str] = (), ports: Sequence[str] = ("80", "443"), hosts: Sequence[str] = ()
) -> Policy:
    """Return the policy for addresses that come from callers, models and pages."""
    allowed = tuple(ip_network(text, strict=False) for text in allow)
    return Policy(NOT_PUBLIC, allowed, port_ranges(ports), tuple(map(str.lower, hosts)))


def named_by_operators() -> Policy:
    """Return the policy for addresses that operators name: their own networks, but no metadata."""
    return Policy(NEVER, ports=())


def port_ranges(texts: Sequence[str]) -> tuple[range, ...]:
    """Return what texts as `443` and `8000-8999` mean.

    Raises:
        ValueError: One is no port.
    """
    found = []
    for text in texts:
        first, _, last = text.partition("-")
        ports = range(int(first), int(last or first) + 1)
        if not ports or ports.start < 1 or ports.stop > 1 << 16:
            raise ValueError(f"{text!r} is no port and no range of ports")
        found.append(ports)
    return tuple(found)
