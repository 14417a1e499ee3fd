"""Opens the chat models that the settings name."""

from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.cost.prices import prices_of
from cartrita.providers.chat_models import chat_models
from cartrita.providers.guarded import Flow
from cartrita.providers.langchain_models import PACKAGES
from cartrita.providers.ports import ChatModels, Embedder
from cartrita.providers.routing import Rules


def open_chat_models(settings: Settings, embedder: Embedder, flow: Flow) -> ChatModels:
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
        flow=flow,
    )
