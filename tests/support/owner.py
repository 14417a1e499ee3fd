"""A program that owns a keeper with services, for tests that kill it.

Arguments: root, runtime directory, PostgreSQL's port, Valkey's port. It prints one line of
JSON with the pids of everything, then waits. A fork of it that inherits every other
descriptor waits as well: `bystander`, which is no service and for the test to end.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.postgres import EmbeddedPostgres
from cartrita.storage.embedded.service import ServiceSpec
from cartrita.storage.embedded.valkey import EmbeddedValkey
from tests.support.database import hasty
from tests.support.processes import eventually

# The grandchild leaves its session, its parent, and the mark in its environment.
_DAEMON = "(env -i setsid sleep 1000 & echo $! > {path}); exec sleep 1000"


async def main() -> None:
    root, runtime = Path(sys.argv[1]), Path(sys.argv[2])
    postgres = EmbeddedPostgres(root / "postgres", runtime, int(sys.argv[3]))
    valkey = EmbeddedValkey(root / "valkey", runtime, int(sys.argv[4]))
    await postgres.prepare()
    await valkey.prepare()
    keeper = await Keeper.launch(log_path=root / "keeper.log")
    note = root / "grandchild.pid"
    argv = ("/bin/sh", "-c", _DAEMON.format(path=note))
    shell = ServiceSpec("shell", argv, str(root / "shell.log"))
    for spec in (hasty(postgres.spec()), valkey.spec(), shell):
        await keeper.start(spec)
    await postgres.wait_ready()
    await valkey.wait_ready()
    assert await eventually(lambda: note.exists() and note.read_text().strip(), 5)
    grandchild = int(note.read_text())
    assert await eventually(lambda: os.getsid(grandchild) == grandchild, 5)
    pids = {state.name: state.pid for state in await keeper.states()}
    bystander = os.fork()
    if bystander == 0:
        os.close(sys.stdout.fileno())
        signal.pause()
    everything = {
        **pids,
        "keeper": keeper.pid,
        "grandchild": grandchild,
        "bystander": bystander,
    }
    sys.stdout.write(json.dumps({"pids": everything, "url": postgres.url}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
