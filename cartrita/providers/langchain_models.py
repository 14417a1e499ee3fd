"""Opens chat models of other providers through LangChain's own packages."""

from collections.abc import Callable, Mapping
from typing import Any

from cartrita.cost.book import price_book
from cartrita.cost.prices import Prices
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ConfigurationInvalid,
    MissingExtra,
    ModelRequired,
    NetworkFailed,
    Reason,
)
from cartrita.protocol.patience import seconds_to_wait
from cartrita.providers.ports import ChatModel, ModelInfo

PACKAGES: Mapping[str, str] = {
    "anthropic": "langchain-anthropic",
    "deepseek": "langchain-deepseek",
    "fireworks": "langchain-fireworks",
    "google_genai": "langchain-google-genai",
    "groq": "langchain-groq",
    "mistralai": "langchain-mistralai",
    "together": "langchain-together",
    "xai": "langchain-xai",
}
"""What to install for each provider that a model's name may begin with."""

BUSY = (408, 409, 425, 429, 529)
TOO_MANY = 429
NOT_FOUND = 404
FIRST_REFUSAL, FIRST_SERVER_ERROR = 400, 500
LONGEST_DETAIL = 300
MOST_OPEN = 64

_UNREACHED = ("TransportError", "APIConnectionError", "ConnectionError", "TimeoutError")
"""Classes of the SDKs' many errors that mean nobody answered."""


def provider_of(name: str) -> str | None:
    """Return the provider that a model's name begins with, where it begins with one."""
    provider, colon, _ = name.partition(":")
    return provider if colon and provider in PACKAGES else None


class LangChainModels:
    """Chat models named `provider:model`.

    Args:
        keys: API keys by provider.
        timeout: Seconds one HTTP call may take.
        prices: What tokens cost; the shipped table by default.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        timeout: float = 120.0,
        prices: Prices | None = None,
    ) -> None:
        self._keys, self._timeout = dict(keys), timeout
        self._prices = prices or price_book()
        self._open: dict[tuple[str, float | None], ChatModel] = {}

    def open(self, name: str, *, temperature: float | None = None) -> ChatModel:
        """Return a model; whether the provider has it shows when it is called.

        Raises:
            ModelRequired: There is no key for its provider.
            MissingExtra: The provider's package is not installed.
        """
        key = (name, temperature)
        if key not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[key] = self._opened(name, temperature)
        return self._open[key]

    def _opened(self, name: str, temperature: float | None) -> ChatModel:
        provider, _, model = name.partition(":")
        if provider not in self._keys:
            raise ModelRequired(
                f"{name!r} needs a key: set models.{provider}_api_key, or name a file that holds "
                f"it in CARTRITA_MODELS__{provider.upper()}_API_KEY_FILE."
            )
        price = self._prices.price(model)
        return ChatModel(
            model=self._made(provider, model, temperature),
            info=ModelInfo(
                model=name,
                provider=provider,
                generative=True,
                limitations=("A language model: check what it states.",),
            ),
            price_in=price.prompt,
            price_out=price.completion,
            typed=typed_for(name, f"models.{provider}_api_key"),
        )

    def _made(self, provider: str, model: str, temperature: float | None) -> Any:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415 - takes seconds

        chosen: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
        try:
            return init_chat_model(
                model,
                model_provider=provider,
                api_key=self._keys[provider],
                timeout=self._timeout,
                max_retries=0,  # the conversation tries again, within the task's deadline
                cache=False,  # a hit repeats the first answer's usage, which would be paid twice
                **chosen,
            )
        except ImportError as error:
            package = PACKAGES[provider]
            raise MissingExtra(
                f"{provider}:{model} needs a package that is not installed: pip install {package}"
            ) from error


def typed_for(model: str, setting: str) -> Callable[[Exception], CartritaError | None]:
    """Return what says, of any SDK's exception, what it means here.

    Args:
        model: The name in messages.
        setting: Where its key comes from.
    """

    def typed(error: Exception) -> CartritaError | None:
        status = _status(error)
        if status is not None:
            return _refused(error, status, model, setting)
        if any(kind.__name__.endswith(_UNREACHED) for kind in type(error).__mro__):
            return NetworkFailed(
                f"The provider of {model!r} could not be reached, hung up or took too long."
            )
        return None

    return typed


def _refused(error: Exception, status: int, model: str, setting: str) -> CartritaError:
    if status in (401, 403):  # its message may repeat parts of the key
        return ConfigurationInvalid(
            f"The provider refused the API key for {model!r} ({status}): see {setting}."
        )
    if status == NOT_FOUND:
        return ModelRequired(f"The provider does not serve {model!r}: name another model.")
    detail = " ".join(str(error).split())[:LONGEST_DETAIL]
    if status in BUSY or status >= FIRST_SERVER_ERROR:
        return NetworkFailed(
            f"The provider of {model!r} answered {status}: {detail}",
            Reason.PROVIDER_BUSY if status == TOO_MANY else None,
            retry_after=_retry_after(error),
        )
    return AgentFailed(f"The provider of {model!r} refused ({status}): {detail}")


def _status(error: Exception) -> int | None:
    """Return the HTTP status that an SDK's exception tells, by any of the usual ways."""
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (response, "status_code"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and value >= FIRST_REFUSAL:
            return value
    return None


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return seconds_to_wait(headers.get("retry-after"))
