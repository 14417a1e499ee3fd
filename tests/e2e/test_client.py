"""The Python client on a running instance: what its page says, and programs inside the cluster."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cartrita import Client

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/client.md").read_text()
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program(instance, text, folder, timeout=120):
    """Run a program as a user of this machine's instance does; return what it prints."""
    file = folder / "program.py"
    file.write_text(text)
    environment = {**instance.environment, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, str(file)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_snippet_of_its_page_runs(instance, tmp_path):
    instance.register("me@example.org")
    snippets = SNIPPET.findall(PAGE)
    assert len(snippets) >= 10
    text = "\n".join(snippets).replace("http://127.0.0.1:8002", instance.urls["api"])
    printed = program(instance, text, tmp_path)
    for piece in ("user", "{'payload': 'hello'}", "CANCELLED", "INVALID_PARAMETERS", "no hop"):
        assert piece in printed, printed


INSIDE = """
import asyncio, json, sys
from cartrita import AsyncClient, Client, errors
from cartrita.protocol.principal import Principal, Role

user, tenant, task = sys.argv[1:] if len(sys.argv) > 1 else %(arguments)s
who = Principal(user, tenant)


def refused(do):
    try:
        do()
    except errors.CartritaError as error:
        return [type(error).__name__, error.message]


def told(client):
    events = [e.model_dump(mode="json") for e in client.events(task)]
    blob = client.blobs.upload(b"x" * 300_000)
    data = client.blobs.download(blob.blob_id)
    client.blobs.remove(blob.blob_id)
    return {
        "outcome": client.get(task).model_dump(mode="json"),
        "events": events,
        "me": client.me().model_dump(mode="json"),
        "catalog": [entry.model_dump(mode="json") for entry in client.catalog()],
        "blob": [blob.size, blob.sha256, data == b"x" * 300_000],
        "wrong": refused(lambda: client.run("system.echo", {"payload": 1, "delay": 3})),
        "unknown": refused(lambda: client.get("018bcfe5-6800-7000-8000-000000000001")),
        "echo": client.run("system.echo", {"payload": [None, "é"]}).unwrap(),
        "health": client.health()["status"],
        "tree": client.tree()["orchestrator"]["state"],
    }


with Client.connect_ray(who) as client:
    by_ray = told(client)
    stranger = Principal("nobody", "nobody")
    with Client.connect_ray(stranger) as other:
        hidden = refused(lambda: other.get(task))
    admin = Principal("root", "root", Role.ADMIN)
    with Client.connect_ray(admin) as root:
        checked = root.command("HEALTH_CHECK", "tree")["results"][0]["ok"]
    sessions = refused(lambda: client.login("a@example.org", "b"))


async def streams():
    async with AsyncClient.connect_ray(who) as client:
        asked = [client.run("system.echo", {"payload": n}) for n in range(20)]
        answers = [one.unwrap()["payload"] for one in await asyncio.gather(*asked)]
        slow = await client.submit("system.echo", {"payload": 1, "delayMs": 9000})
        kinds = []
        async for event in slow.events():
            kinds.append(event.type)
            if event.type == "started":
                await slow.cancel()
        return answers, kinds


answers, kinds = asyncio.run(streams())
print(json.dumps([by_ray, hidden, checked, sessions, answers, kinds]))
"""


def test_a_program_inside_the_cluster_gets_the_same_answers_without_a_gateway(instance, tmp_path):
    instance.register("inside@example.org")
    password = "correct horse battery"
    with Client(instance.urls["api"], None, "inside@example.org", password) as client:
        task = client.run("system.echo", {"payload": "seen by both"})
        me = client.me()
        arguments = [me.id, me.id, task.task_id]
        printed = program(instance, INSIDE % {"arguments": repr(arguments)}, tmp_path)
        by_ray, hidden, checked, sessions, answers, kinds = json.loads(printed.splitlines()[-1])
        assert by_ray["outcome"] == client.get(task.task_id).model_dump(mode="json")
        events = [event.model_dump(mode="json") for event in client.events(task.task_id)]
        assert by_ray["events"] == events
        assert by_ray["me"] == me.model_dump(mode="json")
        catalog = [entry.model_dump(mode="json") for entry in client.catalog()]
        assert by_ray["catalog"] == catalog
    assert by_ray["blob"][0] == 300_000
    assert by_ray["blob"][2] is True
    assert by_ray["wrong"][0] == "InvalidParameters"
    assert by_ray["unknown"][0] == "NotFound"
    assert by_ray["echo"] == {"payload": [None, "é"]}
    assert (by_ray["health"], by_ray["tree"]) == ("healthy", "up")
    assert hidden[0] == "NotFound"
    assert checked is True
    assert sessions[0] == "ConfigurationInvalid"
    assert answers == list(range(20))
    assert kinds[-1] == "cancelled"


def test_where_no_instance_runs_it_says_what_to_do(spare, tmp_path):
    text = """
from cartrita import Client, errors
from cartrita.protocol.principal import Principal
try:
    Client.connect_ray(Principal("a", "a"))
except errors.ConfigurationInvalid as error:
    print(error.message)
"""
    printed = program(spare, text, tmp_path)
    assert "cartrita up" in printed
    assert "RAY_ADDRESS" in printed
