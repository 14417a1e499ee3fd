"""What do a no-op and a 20-ms task cost here, and with what others use for such work?

    python -m benchmarks.peers [--seconds 1.2] [--rounds 3] [--clients 1 32 128] [--peers a,b]

In turns on one machine, each peer by itself and configured as suits it best. They do not promise
the same: results/peers.json says what each does. Absolute rates say little on a shared machine;
compare within the run. The first run installs the peers into .venv-peers.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import save
from benchmarks.peers.figures import Rounds, medians, ratios
from benchmarks.peers.guarantees import GUARANTEES, NOT_MEASURED, NOTES
from benchmarks.peers.peers import KINDS, PEERS, Peer
from benchmarks.peers.running import PeerFailed, Subject

WARM, WARM_CLIENTS = 1.0, 32
"""Seconds and clients of the load before the first measurement of each kind."""
TASKS = {
    "noop": "gives back a payload of one short text",
    "wait": "gives it back after 20 ms of waiting, which use no CPU",
}

Cells = dict[str, dict[str, dict[str, Rounds]]]
"""Rounds by kind of task, number of clients, and subject."""


def main() -> None:
    """Measure, show and save."""
    chosen = _chosen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started ends, too
    cells: Cells = {kind: {str(n): {} for n in chosen.clients} for kind in KINDS}
    failed: dict[str, str] = {}
    for number in range(chosen.rounds):
        for peer in PEERS:
            wanted = [n for n in peer.subjects if n in chosen.peers and n not in failed]
            if not wanted:
                continue
            print(f"round {number + 1}: {', '.join(wanted)}", file=sys.stderr, flush=True)
            failed |= _turn(peer, wanted, cells, chosen.seconds)
    _show(cells)
    save(chosen.save, _result(cells, failed, chosen))


def _chosen() -> argparse.Namespace:
    names = [name for peer in PEERS for name in peer.subjects]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1.2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--peers", type=lambda text: text.split(","), default=names,
                        help=f"some of {','.join(names)}")  # fmt: skip
    parser.add_argument("--save", default="peers", help="the result's name")
    chosen = parser.parse_args()
    if unknown := set(chosen.peers) - set(names):
        parser.error(f"--peers: {', '.join(sorted(unknown))}: takes some of {', '.join(names)}")
    return chosen


def _turn(peer: Peer, wanted: list[str], cells: Cells, seconds: float) -> dict[str, str]:
    """Start a peer and measure it in each cell; return which subjects failed, and how."""
    failed: dict[str, str] = {}
    home = tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True)
    try:
        with home as folder, peer.opened(Path(folder)) as subjects:
            for subject in subjects:
                if subject.name in wanted:
                    failed |= _measured(subject, cells, seconds)
    except PeerFailed as error:
        failed = dict.fromkeys(wanted, str(error))
    for name, why in failed.items():
        print(f"{name} failed: {why}", file=sys.stderr)
    return failed


def _measured(subject: Subject, cells: Cells, seconds: float) -> dict[str, str]:
    try:
        _measure(subject, cells, seconds)
    except PeerFailed as error:
        return {subject.name: str(error)}
    return {}


def _measure(subject: Subject, cells: Cells, seconds: float) -> None:
    for kind, by_clients in cells.items():
        subject.measure(kind, WARM_CLIENTS, WARM)
        for clients, found in by_clients.items():
            row = subject.measure(kind, int(clients), seconds)
            found.setdefault(subject.name, []).append(row)


def _result(cells: Cells, failed: dict[str, str], chosen: argparse.Namespace) -> dict[str, Any]:
    each = [
        (kind, clients, found) for kind, rows in cells.items() for clients, found in rows.items()
    ]
    told: dict[str, dict[str, Any]] = {"medians": {}, "ratios": {}}
    for kind, clients, found in each:
        rows = {name: medians(rounds) for name, rounds in found.items()}
        told["medians"].setdefault(kind, {})[clients] = rows
        told["ratios"].setdefault(kind, {})[clients] = ratios(found)
    return {
        "tasks": TASKS,
        "seconds": chosen.seconds,
        "rounds": chosen.rounds,
        "peers": {
            name: {
                "versions": peer.versions(),
                "configuration": peer.configuration,
                "guarantees": GUARANTEES[name],
            }
            for peer in PEERS
            for name in peer.subjects
            if name in chosen.peers
        },
        "not_measured": {**NOT_MEASURED, **failed},
        "notes": NOTES,
        **told,
        "results": cells,
    }


def _show(cells: Cells) -> None:
    table = Table("task", "clients", "peer", "tasks/s", "p50 ms", "p95 ms", "p99 ms",
                  "CPU µs/task", "errors", "Cartrita HTTP is", "batch is")  # fmt: skip
    for kind, by_clients in cells.items():
        for clients, found in by_clients.items():
            compared = ratios(found)
            for name, rounds in found.items():
                row = medians(rounds)
                ours = compared.get(name, {})
                figures = [row[key] for key in ("rps", "p50_ms", "p95_ms", "p99_ms")]
                cells_ = [*figures, row["cpu_us_total"], row["errors"],
                          ours.get("http_rps"), ours.get("batch_rps")]  # fmt: skip
                table.add_row(kind, clients, name, *("" if x is None else f"{x:g}" for x in cells_))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
