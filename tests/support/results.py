"""Results of programs that run seeds, a part of them at a time."""

import json
import os
import time
from pathlib import Path
from typing import Any


def keep(file: Path, part: dict[str, Any]) -> None:
    """Write what the seeds from `part["first"]` on came to, beside those that others did."""
    before = json.loads(file.read_text())["parts"] if file.exists() else []
    machine = {"when": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
    parts = [one for one in before if one["first"] != part["first"]] + [part]
    file.write_text(json.dumps({"machine": machine, "parts": parts}, indent=1) + "\n")
