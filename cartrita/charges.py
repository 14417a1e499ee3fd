"""Which budgets a task is charged to."""

from cartrita.cost.budget import Defaults
from cartrita.journal import TaskRecord


def charged(record: TaskRecord) -> bool:
    """Tell whether budgets know of a task: it has a price, or a ceiling of its own."""
    return bool(record.reserve_nano or record.reserve_tokens or record.tree == record.task_id)


def budgets_of(record: TaskRecord, defaults: Defaults) -> list[str]:
    """Return the ids of the budgets above a task; a session has one only by default."""
    who = record.principal
    budgets = [f"user:{who.user}", f"tenant:{who.tenant}"]
    if record.session_id and "session" in defaults.kinds:
        budgets.append(f"session:{who.user}/{record.session_id}")
    if record.tree:
        budgets.append(f"task:{record.tree}")
    return budgets
