"""What passes for an e-mail address."""

import re

from cartrita.errors import InvalidParameters

LONGEST = 254
"""RFC 5321 §4.5.3.1.3, without the angle brackets."""

# The HTML Standard's definition, "valid e-mail address": what every browser checks, too.
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FORM = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")


def normalised(email: str) -> str:
    """Return `email` as it is stored: without blanks around it, in lower case.

    Raises:
        InvalidParameters: It is not an address.
    """
    plain = email[: LONGEST * 2].strip().lower()
    if len(plain) > LONGEST or not _FORM.fullmatch(plain):
        problem = "must be an e-mail address"
        raise InvalidParameters(f"'email' {problem}.", fields=[("email", problem)])
    return plain
