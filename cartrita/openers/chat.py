"""Opens the chat models that the settings name."""

from cartrita.clock import SystemClock
from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.cost.prices import prices_of
from cartrita.providers.chat_models import Flow, chat_models
from cartrita.providers.langchain_models import PACKAGES
from cartrita.providers.ports import ChatModels, Embedder
from cartrita.providers.routing import Rules
from cartrita.storage.circuits import Circuits
from cartrita.storage.memory_circuits import InMemoryCircuits


def open_chat_models(settings: Settings, embedder: Embedder) -> ChatModels:
    """Return the providers' models, or the built-in one where no provider is named."""
    models, routing = settings.models, settings.routing
    found = ((name, text_of(getattr(models, f"{name}_api_key"))) for name in PACKAGES)
    keys = {name: key for name, key in found if key}
    if not (models.openai_api_key or models.openai_base_url or keys):
        return chat_models(embedder=embedder)
    rules = Rules(
        models.chat_model,
        routing.fallbacks,
        None if routing.preset == "auto" else routing.preset,
        routing.pressure_warning,
        routing.pressure_critical,
    )
    clock = SystemClock()
    return chat_models(
        api_key=text_of(models.openai_api_key),
        base_url=models.openai_base_url,
        organization=models.openai_organization,
        default_model=models.chat_model,
        timeout=routing.call_timeout_s,
        embedder=embedder,
        prices=prices_of(settings.budgets.prices),
        keys=keys,
        rules=rules,
        flow=Flow(_circuits(settings), routing.calls_at_once, routing.hedge_after_s, clock),
    )


def _circuits(settings: Settings) -> Circuits:
    """Return circuits that all hosts share where there is a Valkey, else this host's own."""
    url = text_of(settings.redis.dsn)
    if url is None:
        return InMemoryCircuits()
    from cartrita.storage.valkey_circuits import ValkeyCircuits  # noqa: PLC0415

    return ValkeyCircuits(url, prefix=f"cartrita:{settings.instance}:circuit:")
