"""Sees to it that what needs a language model has one."""

from cartrita.errors import ModelRequired
from cartrita.providers.ports import ChatModel


def required(chat: ChatModel, what: str) -> ChatModel:
    """Return a model that writes text of its own.

    Raises:
        ModelRequired: It is none; the message names the setting.
    """
    if not chat.info.generative:
        raise ModelRequired(
            f"{what} needs a language model, and {chat.info.model!r} is none: set OPENAI_API_KEY, "
            "or OPENAI_BASE_URL for a compatible server such as Ollama or vLLM."
        )
    return chat
