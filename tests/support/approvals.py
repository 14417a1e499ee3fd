"""Questions to people, and a tree with an agent whose tool asks them."""

from contextlib import asynccontextmanager

from actors.agents.langchain import LangChain
from cartrita.agency.approver import Approver
from cartrita.approvals import Approval, approval_id
from cartrita.catalog import Catalog
from cartrita.clock import SystemClock, new_id
from cartrita.context import Context
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.services import Services
from cartrita.storage.memory_approvals import InMemoryApprovals
from cartrita.storage.memory_journal import JournalTables
from cartrita.storage.memory_threads import InMemoryCheckpoints
from cartrita.storage.threads import Checkpoints
from cartrita.tools.clock import ClockTools
from cartrita.tools.declare import Input, Tools, tool
from cartrita.tools.registry import ToolRegistry
from tests.support import stage as stage_module
from tests.support.stage import stage_tree


def question(user="ada", *, task_id=None, call="c1", lasts=3600.0, **changes):
    """Return a question of a task."""
    task_id, now = task_id or new_id(), SystemClock().now()
    fields = {
        "id": approval_id(task_id, "send", call),
        "task_id": task_id,
        "task_type": "langchain.agent.execute",
        "user": user,
        "tenant": user,
        "tool": "send",
        "input": {"text": "hello"},
        "asked_at": now,
        "expires_at": now + lasts,
    }
    return Approval(**(fields | changes))


class Letter(Input):
    """What to send."""

    text: str


class Post(Tools):
    """Sends letters to the outside world, which keeps them."""

    def __init__(self):
        self.sent, self.keys = [], []

    @tool("send", agents=("langchain",), changes=True)
    async def send(self, given: Letter, ctx: Context, key: str) -> str:
        """Send a letter."""
        if given.text == "nothing":
            raise ValueError("there is nothing to send")
        self.sent.append((ctx.principal.user, given.text))
        self.keys.append(key)
        return f"sent {len(self.sent)}"


class Bureau:
    """What a test of approvals looks at."""

    def __init__(self, models):
        self.models, self.post = models, Post()
        self.tables = JournalTables()
        self.questions = InMemoryApprovals(self.tables)
        self.checkpoints = InMemoryCheckpoints()

    def toolbox(self):
        return ToolRegistry([self.post, ClockTools()], Approver(self.questions, every=0.005))

    @asynccontextmanager
    async def tree(self, monkeypatch, stage, **options):
        ports = {
            ChatModels: lambda _: self.models,
            Toolbox: lambda _: self.toolbox(),
            Checkpoints: lambda _: self.checkpoints,
        }
        monkeypatch.setattr(stage_module, "services", lambda _: Services(ports))
        more = {"tables": self.tables, "questions": self.questions}
        async with stage_tree(stage, Catalog.of([LangChain]), **more, **options) as tree:
            yield tree
