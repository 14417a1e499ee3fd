"""Ways to write an address so that one program sees another host than the next."""

from ipaddress import IPv4Address

CIRCLED = {str(digit): chr(0x2460 + digit - 1) for digit in range(1, 10)} | {"0": "\u24ea"}
WIDE = {str(digit): chr(0xFF10 + digit) for digit in range(10)}
DOTS = ("\u3002", "\uff0e", "\uff61")


def spellings(text):
    """Return a name for each way to write an IPv4 address, and the host it is then."""
    address = IPv4Address(text)
    a, b, c, d = address.packed
    whole = int(address)
    low, last = whole & 0xFFFFFF, whole & 0xFFFF
    ways = {
        "plain": text,
        "a dot at the end": f"{text}.",
        "two dots at the end": f"{text}..",
        "decimal": f"{whole}",
        "octal": f"0{whole:o}",
        "hex": f"{whole:#x}",
        "upper hex": f"0X{whole:X}",
        "octal parts": f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        "hex parts": f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        "padded": f"{a:04d}.{b:03d}.{c:03d}.{d:03d}",
        "mixed": f"{a:#x}.{b}.0{c:o}.{d}",
        "two parts": f"{a}.{low}",
        "three parts": f"{a}.{b}.{last}",
        "hex and rest": f"{a:#x}.{low:#x}",
        "overflown": f"{whole + (1 << 32)}",
        "mapped": f"[::ffff:{text}]",
        "mapped hex": f"[::ffff:{whole >> 16:x}:{last:x}]",
        "mapped long": f"[0:0:0:0:0:ffff:{whole >> 16:x}:{last:x}]",
        "translated": f"[::ffff:0:{text}]",
        "compatible": f"[::{text}]",
        "6to4": f"[2002:{whole >> 16:x}:{last:x}::1]",
        "nat64": f"[64:ff9b::{text}]",
        "local nat64": f"[64:ff9b:1::{text}]",
        "teredo": f"[2001:0:{whole >> 16:x}:{last:x}::1]",
        "scoped": f"[::ffff:{text}%25lo]",
        "wide": "".join(WIDE.get(sign, sign) for sign in text),
        "circled": "".join(CIRCLED.get(sign, sign) for sign in text),
        "percent": text.replace(".", "%2e"),
        "percent digits": "".join(f"%{ord(sign):02x}" for sign in text),
        "userinfo": f"example.com@{text}",
        "userinfo and port": f"example.com:80@{text}",
        "userinfo hidden": f"{text}@example.com@{text}",
        "backslash": f"example.com\\@{text}",
        "fragment": f"{text}#@example.com",
        "tab": f"{text[:3]}\t{text[3:]}",
        "newline": f"{text}\r\nX: y",
        "zero width": f"{text[:2]}\u200b{text[2:]}",
        "null": f"{text}\x00.example.com",
        "brackets": f"[{text}]",
    }
    return ways | {f"dots {dot!a}": text.replace(".", dot) for dot in DOTS}
