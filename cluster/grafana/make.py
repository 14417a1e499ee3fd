# ruff: noqa: INP001 - a script that nobody imports
"""This file writes the dashboards that Grafana reads: `python cluster/grafana/make.py`."""

import json
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "cartrita"}
RATE = "$__rate_interval"
"""Grafana's own: four scrapes at least, and as long as a point of the graph."""

COLUMNS = 24
SIZES = {"stat": (6, 4), "timeseries": (12, 8), "table": (24, 6)}


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Return every panel with its dashboard's title, as the source has them."""
    return [(board["title"], one) for board in _source() for one in board["panel"]]


def queries(panel: dict[str, Any], rate: str = RATE) -> list[tuple[str, str]]:
    """Return the legend and the PromQL of each query of a panel."""
    told = [(legend, text.replace("$rate", rate)) for legend, text in panel["queries"]]
    if panel.get("rare"):
        told = [(legend, f"({text}) or vector(0)") for legend, text in told]
    return told


def dashboards() -> dict[str, str]:
    """Return the text of each file by its name."""
    return {
        f"{board['file']}.json": json.dumps(_dashboard(board), indent=1) + "\n"
        for board in _source()
    }


def _source() -> list[dict[str, Any]]:
    boards: list[dict[str, Any]] = tomllib.loads((HERE / "dashboards.toml").read_text())[
        "dashboard"
    ]
    return boards


def _dashboard(board: dict[str, Any]) -> dict[str, Any]:
    made, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(board["panel"], 1):
        width, height = SIZES[panel.get("kind", "timeseries")]
        if x + width > COLUMNS:
            x, y, row = 0, y + row, 0
        made.append(_panel(panel, number, {"x": x, "y": y, "w": width, "h": height}))
        x, row = x + width, max(row, height)
    return {
        "uid": f"cartrita-{board['file']}",
        "title": board["title"],
        "tags": ["cartrita"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": made,
    }


def _panel(panel: dict[str, Any], number: int, place: dict[str, int]) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    return {
        "id": number,
        "title": panel["title"],
        "type": kind,
        "gridPos": place,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"unit": panel.get("unit", "short"), "min": 0},
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": text,
                "legendFormat": legend,
                "instant": kind != "timeseries",
                **({"format": "table"} if kind == "table" else {}),
            }
            for index, (legend, text) in enumerate(queries(panel))
        ],
    }


if __name__ == "__main__":
    for name, text in dashboards().items():
        (HERE / "dashboards" / name).write_text(text)
