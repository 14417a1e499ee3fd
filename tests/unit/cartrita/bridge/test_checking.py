"""Tests of asking both sides for the same things."""

from cartrita.bridge.checking import (
    NoAnswer,
    Party,
    Step,
    check,
    compared,
    ended,
    safe_steps,
    written,
)
from cartrita.bridge.compare import Answer


def told(body, status=200):
    return Answer(status, "application/json", body)


class Scripted:
    """Answers as it was told, and notes what it was asked."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def __call__(self, step, target, token):
        self.asked.append((step.method, target, token))
        answer = self.answers.get(step.method.lower(), told({}))
        if isinstance(answer, Exception):
            raise answer
        return answer


def row(route, state="served", auth="nobody"):
    return {"route": route, "state": state, "auth": auth, "note": ""}


def test_only_what_reads_and_needs_no_id_is_safe():
    rows = [
        row("GET /api/a"),
        row("GET /api/knowledge/search", auth="user"),
        row("GET /api/a/{id}"),
        row("POST /api/a"),
        row("GET /api/b", "later"),
        row("GET /api/c", "refused"),
        row("GET /metrics"),
        row("socket ping"),
    ]
    steps = list(safe_steps(rows))
    assert [(step.path, step.query, step.private) for step in steps] == [
        ("/api/a", "", False),
        ("/api/knowledge/search", "q=hello", True),
    ]


def test_each_side_goes_on_with_what_it_was_told_itself():
    theirs = Scripted(post=told({"token": "t2", "user": {"id": 7}}))
    ours = Scripted(post=told({"token": "t3", "user": {"id": 1}}))
    steps = [
        Step("POST", "/in", "POST /in", body={}, keeps={"token": "token", "id": "user.id"}),
        Step("GET", "/u/{id}", "GET /u/{id}", private=True, query="a=b"),
    ]
    found = list(check(Party("v2", theirs), Party("the bridge", ours), steps))
    assert [one.outcome for one in found] == ["same", "same"]
    assert theirs.asked[1] == ("GET", "/u/7?a=b", "t2")
    assert ours.asked[1] == ("GET", "/u/1?a=b", "t3")


def test_a_token_goes_only_where_one_is_needed():
    side = Scripted()
    party = Party("v2", side, {"token": "t"})
    party.ask(Step("GET", "/open", "GET /open"))
    assert side.asked == [("GET", "/open", None)]


def test_a_side_that_says_nothing_is_a_failure_that_names_it():
    silent = Scripted(get=NoAnswer("v2 gave no answer"))
    step = Step("GET", "/a", "GET /a")
    (found,) = check(Party("v2", silent), Party("the bridge", Scripted()), [step])
    assert (found.outcome, found.problem, found.good) == ("failed", "v2 gave no answer", False)
    (found,) = check(Party("v2", Scripted()), Party("the bridge", silent), [step])
    assert (found.outcome, found.v2, found.bridge) == ("failed", 200, None)


def test_what_an_earlier_answer_did_not_tell_is_said():
    step = Step("GET", "/a/{id}", "GET /a/{id}")
    (found,) = check(Party("v2", Scripted()), Party("the bridge", Scripted()), [step])
    assert found.problem == "v2 told no 'id' before"


def test_outcomes():
    assert compared("r", told({"a": 1}), told({"a": 2})).outcome == "same"
    assert compared("r", told({"a": 1}), told({"a": 2, "b": 1})).outcome == "more"
    different = compared("r", told({"a": 1}), told({"a": ""}))
    assert (different.outcome, different.good) == ("different", False)
    assert different.to_wire()["differences"][0]["where"] == "$.a"
    later = compared("r", told({"a": 1}), told({"error": ""}, 501))
    assert (later.outcome, later.good) == ("later", True)


def test_the_script_makes_an_account_and_ends_it():
    first, last = written("a@example.org", "passw0rd1")[0], ended("passw0rd1")[-1]
    assert (first.path, first.keeps) == ("/api/auth/register", {"token": "token"})
    assert (last.method, last.path) == ("DELETE", "/api/user/me")
    assert last.body == {"confirm_password": "passw0rd1"}
