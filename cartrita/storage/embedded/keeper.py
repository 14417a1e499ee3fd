"""The process that starts, restarts and ends the embedded services.

It runs as `python -m cartrita.storage.embedded.keeper FD OWNER`, holding one end of a
socket pair. Each line it reads is a command, each line it writes a reply or an event:

    {"id": 1, "do": "start", "spec": {…}}     {"id": 1, "state": {…}}
    {"id": 2, "do": "stop", "name": "…"}      {"id": 2, "error": "…"}
    {"id": 3, "do": "list"}                   {"id": 3, "states": [{…}, …]}
    {"do": "shutdown"}                        {"event": "exited", "name", "pid", "status"}

The first line it writes is reply 0, which says that it is ready.

When the other end closes, or the owner dies in any other way, every service and whatever
they left behind is ended within five seconds. It is one thread with the standard library
only: small, quick to start, and PDEATHSIG, which follows a thread, holds.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time

from cartrita.storage.embedded import orphans
from cartrita.storage.embedded.child import adopt_orphans
from cartrita.storage.embedded.owner_line import OwnerLine
from cartrita.storage.embedded.roster import Roster

# With the last sweep below, an abandoned keeper is gone within five seconds.
_ABANDONED_GRACE = 3.5
_SWEEP = 1.0


class Keeper:
    """The loop around the services."""

    def __init__(self, line: OwnerLine, owner: int) -> None:
        self._line = line
        self._owner = owner
        self._roster = Roster(line.tell)
        self._abandoned = False
        self._terminated = False
        self._selector = selectors.DefaultSelector()
        self._watched: list[OwnerLine | int] = [line]

    def run(self) -> None:
        """Serve until a shutdown, SIGTERM, or the owner's death; leaves no process behind."""
        adopt_orphans()
        self._catch_signals()
        self._watch_owner()
        self._line.tell({"id": 0, "pid": os.getpid()})
        try:
            while not self._roster.done(time.monotonic()):
                self._wait(self._roster.tick(time.monotonic()))
                self._roster.reap(time.monotonic())
        finally:
            if not orphans.end_all(_SWEEP):
                sys.stderr.write("some processes could not be ended\n")

    def _wait(self, timeout: float) -> None:
        if not self._abandoned:
            self._selector.modify(self._line, self._line.wants, self._hear)
        for key, _ in self._selector.select(timeout):
            key.data()
        if self._terminated:
            self._roster.shutdown(time.monotonic())

    def _hear(self) -> None:
        self._line.flush()
        commands = self._line.commands()
        if commands is None:
            self._abandon()
            return
        for command in commands:
            self._roster.obey(command, time.monotonic())

    def _abandon(self) -> None:
        if self._abandoned:
            return
        self._abandoned = True
        for watched in self._watched:  # they stay readable: the loop would spin on them
            self._selector.unregister(watched)
        self._roster.abandon(time.monotonic(), _ABANDONED_GRACE)

    def _watch_owner(self) -> None:
        """Notice the owner's death even while a fork of it still holds the other end."""
        self._selector.register(self._line, selectors.EVENT_READ, self._hear)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # gone already: the check below notices
                pidfd = os.pidfd_open(self._owner)
                self._selector.register(pidfd, selectors.EVENT_READ, self._abandon)
                self._watched.append(pidfd)
        if os.getppid() != self._owner:
            self._abandon()

    def _catch_signals(self) -> None:
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.detach(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(4096))
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that it wakes the loop
        signal.signal(signal.SIGTERM, self._terminate)
        # Ctrl-C and a closed terminal are the owner's business.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _terminate(self, *_: object) -> None:
        self._terminated = True


def main() -> None:
    """Run the keeper on the descriptor and for the owner that the arguments name."""
    descriptor, owner = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    Keeper(OwnerLine(socket.socket(fileno=descriptor)), owner).run()


if __name__ == "__main__":
    main()
