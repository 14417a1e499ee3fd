"""Which networks an address may not be in."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(entry) for entry in text.split())


NOT_PUBLIC = _networks(
    # IANA's special-purpose registry, multicast, and what is reserved.
    """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
    224.0.0.0/3"""
    # Azure answers its machines here with what is meant for them alone.
    " 168.63.129.16/32"
    # All that is not 2000::/3: loopback, unique local, link local, multicast, and IPv4 in
    # disguise (mapped, compatible, NAT64). Then the exceptions in it: Teredo and other
    # assignments for protocols, 6to4, documentation.
    " ::/3 4000::/2 8000::/1 2001::/23 2001:db8::/32 2002::/16 3fff::/20"
)
"""All that is not somebody's on the public internet."""

NEVER = _networks(
    # Link local with the clouds' metadata, multicast, reserved, "this host", and all of it in
    # IPv4 in disguise. fd00:ec2::/32 is AWS's, 168.63.129.16 Azure's, 100.100.100.200 Alibaba's.
    """0.0.0.0/8 169.254.0.0/16 224.0.0.0/3 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32
    ::/128 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 2001::/32 2002::/16
    fe80::/10 fec0::/10 ff00::/8 fd00:ec2::/32"""
)
"""Where no agent or search engine of an operator is, but what a machine trusts may be."""


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address is in one of some networks."""
    return any(address in network for network in networks)
