"""What a task may end with where no model is configured: done, or what would help."""

from cartrita.config.names import every_setting

OUTSIDE = {"research.web.scrape", "research.github.search"}
"""These ask somebody on the internet, who may not be there."""

HONEST = {"MODEL_REQUIRED", "EXTRA_REQUIRED", "SANDBOX_UNAVAILABLE"}
"""Reasons why a task cannot be done here, each of which names what would help."""


def honest(name, end):
    """Tell whether a task did its work, or says what it lacks."""
    if end["status"] == "COMPLETED":
        return True
    if name in OUTSIDE and end["errorCode"] in ("NETWORK_ERROR", "CONFIGURATION_ERROR"):
        return True
    return end.get("reason") in HONEST and _names_a_remedy(end["errorMessage"])


def _names_a_remedy(message):
    settings = {name for s in every_setting().values() for name in (s.variable, s.name, *s.aliases)}
    return any(name in message for name in (*settings, "pip install", "bubblewrap"))
