"""Runs the real tree in one thread, where a seed decides time, order and death.

    loop.py      virtual time, simulated processes, in-memory connections for asyncio
    network.py   how bytes travel between processes
    database.py  the journal's database: latency, outages, commits nobody hears of
    machine.py   processes: started, watched, called and killed
    world.py     the processes of a tree, and what starts them again
    agents.py    agents that do what a seed tells them
    scenario.py  what clients ask for and what breaks, from a seed
    clients.py   callers: those who wait, leave, repeat and cancel
    faults.py    what goes wrong
    checks.py    what must be true at the end, whatever happened

`python -m tests.simulator --seeds 2000` runs seeds; `--seed 17 --verbose` tells one as it happened.
"""
