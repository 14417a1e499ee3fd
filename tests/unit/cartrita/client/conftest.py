"""What the tests of the client share."""

import json

from cartrita.client.conversation import Conversation
from cartrita.client.exchange import Exchange, Login
from cartrita.client.models import Session
from cartrita.client.sessions import MemorySessions
from cartrita.client.steps import Alone, Call, Lost, Pause, Reply
from cartrita.clock import ManualClock, new_random

TASK = "018bcfe5-6800-7000-8000-000000000001"


def reply(status, body=None, **headers):
    """Return an answer of the server; header names take `_` for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, named, json.dumps(body).encode() if body is not None else b"")


def outcome(status="COMPLETED", **fields):
    """Return a task as the server shows it."""
    return reply(200, {"taskId": TASK, "status": status, **fields})


def problem(status, code, **fields):
    """Return a refusal."""
    headers = {"retry_after": fields.pop("retry_after")} if "retry_after" in fields else {}
    return reply(status, {"code": code, "detail": f"It is {code}.", **fields}, **headers)


UNSENT = Lost("nobody listens", sent=False)
BROKEN = Lost("the line broke", sent=True)


class Script:
    """A server that answers what it was told, and a clock that jumps over the pauses."""

    def __init__(self, *answers, token="old", refresh=None, login=None, retries=8, timeout=300.0):
        self.answers = list(answers)
        self.calls, self.pauses = [], []
        self.clock = ManualClock()
        session = Session(token=token, refresh_token=refresh) if token else None
        self.sessions = MemorySessions(session)
        self.exchange = Exchange(
            timeout,
            retries,
            Login(*login) if login else None,
            self.sessions,
            clock=self.clock,
            random=new_random(1),
        )
        self.talk = Conversation(self.exchange)

    def play(self, flow):
        """Run a flow to its end."""
        answer = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                return end.value
            answer = self._take(step)

    def _take(self, step):
        match step:
            case Call():
                self.calls.append(step)
                answer = self.answers.pop(0)
                if isinstance(answer, tuple):
                    seconds, answer = answer
                    self.clock.advance(seconds)
                return answer
            case Pause():
                self.pauses.append(step.seconds)
                self.clock.advance(step.seconds)
            case Alone():
                self.play(step.flow)
        return None

    @property
    def said(self):
        """Each call as method and path."""
        return [f"{call.method} {call.path}" for call in self.calls]

    @property
    def tokens(self):
        """The token of each call that had one."""
        marks = [call.headers.get("Authorization") for call in self.calls]
        return [mark.removeprefix("Bearer ") for mark in marks if mark]
