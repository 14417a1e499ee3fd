"""The bridge over the agents that v2's inference routes lead to, with real models behind them."""

from contextlib import asynccontextmanager

from actors.agents.chat import Chat
from actors.agents.coderunner import CodeRunner
from actors.agents.data import Data
from actors.agents.language import Language
from actors.agents.models import Models
from actors.agents.reader import Reader
from actors.agents.texts import Texts
from actors.agents.tone import Tone
from actors.agents.translation import Translation
from cartrita.agency.sessions import Sessions
from cartrita.config.sections import Models as ModelSettings
from cartrita.config.settings import Settings
from cartrita.openers.embeddings import BuiltInEmbedder
from cartrita.providers.batching import CountingBatches
from cartrita.providers.embedded.minilm import MiniLm
from cartrita.providers.ports import Toolbox
from cartrita.providers.ports_sandbox import Sandbox
from cartrita.services import Services, open_services
from serve_apps.bridge.loop import Bridge
from tests.support import tools
from tests.support.api_server import short_folder
from tests.support.gateway import Stand, spoken_to
from tests.support.sandboxed import sandbox

AGENTS = (Chat, CodeRunner, Data, Language, Models, Reader, Texts, Tone, Translation)


MINI = MiniLm(None)
"""Its weights are read once for all stands of a process."""


class Inferring(Stand):
    """A stand whose agents have the models that settings name."""

    def __init__(self, folder, models, **options):
        self.given = open_services(Settings(home=folder, models=ModelSettings(**models)))
        super().__init__(folder, agents=AGENTS, **options)

    @asynccontextmanager
    async def grown(self, catalog, services, limiter):
        known = tools.sessions()
        mine = {
            BuiltInEmbedder: lambda _: CountingBatches(MINI),
            Toolbox: lambda _: tools.toolbox(),
            Sessions: lambda _: known,
            Sandbox: lambda _: sandbox(),
        }
        every = Services({**self.given._factories, **services._factories, **mine})
        async with super().grown(catalog, every, limiter) as tree:
            yield tree
        await every.close()


@asynccontextmanager
async def inferring(models=None, **options):
    """Run a gateway with the bridge, and give a client of it; its guests may come in."""
    with short_folder() as folder:
        stand = Inferring(folder, models or {}, **{"guests": True} | options)
        async with spoken_to(stand, older=Bridge()) as api:
            yield api
