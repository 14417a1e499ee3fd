"""Takes v2's accounts over: any number of times, and nothing is lost in silence."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cartrita.auth.v2_tokens import v2_user
from cartrita.clock import Clock
from cartrita.people.v2_rows import Refusal, V2User
from cartrita.protocol.principal import Role
from cartrita.storage.people import People, Person
from cartrita.storage.ports import User

TAKEN = "'email' is that of another account here, which nobody has shown to be the same person's."


@dataclass(slots=True)
class Report:
    """What became of the rows.

    Attributes:
        counts: Of `added`, `updated`, `kept`, `refused`.
        refused: Those left out, each with its reason.
        were_admins: Numbers of accounts that v2 took for administrators; here they are users.
    """

    dry_run: bool
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    were_admins: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        names = ("added", "updated", "kept", "refused")
        return {
            "dryRun": self.dry_run,
            "rows": self.counts.total(),
            **{name: self.counts[name] for name in names},
            "refusals": [
                {"row": one.place, "id": one.number, "reason": one.reason} for one in self.refused
            ],
            "wereAdmins": self.were_admins,
        }

    def refuse(self, refusal: Refusal) -> None:
        """Note a row that is left out."""
        self.counts["refused"] += 1
        self.refused.append(refusal)


async def take_over(
    people: People, rows: Iterable[V2User | Refusal], clock: Clock, *, dry_run: bool
) -> Report:
    """Take accounts over, one transaction each.

    Their ids follow from v2's numbers, so that v2's tokens, where those are accepted, are theirs.
    All become ordinary users: v2 made administrators of whoever had the right letters in an
    address.
    """
    report = Report(dry_run)
    for row in rows:
        if isinstance(row, Refusal):
            report.refuse(row)
            continue
        person = _person(row, clock.now())
        outcome = await people.take_over(person, row.password_hash, dry=dry_run)
        if outcome == "taken":
            report.refuse(Refusal(row.place, str(row.number), TAKEN))
            continue
        report.counts[outcome] += 1
        if row.admin:
            report.were_admins.append(row.number)
    return report


def _person(row: V2User, now: float) -> Person:
    user_id = v2_user(row.number)
    created = now if row.created_at is None else row.created_at
    user = User(
        user_id, row.email, row.name, Role.USER, user_id, round(created, 3), v2_id=row.number
    )
    return Person(user, user.created_at, v2_password=True)
