"""What each chart of the page shows."""

from statistics import median

from matplotlib.axes import Axes

from benchmarks.page.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    bars,
    beside,
    chart,
    draw,
    known,
    lines,
    panels,
    stacked,
)
from benchmarks.page.figures import Results, written

__all__ = ["draw"]

SERVERS = {
    "bare uvicorn": "bare uvicorn",
    "bare serve + haproxy": "bare Serve + HAProxy",
    "cartrita task": "Cartrita, durable task",
}
MOST_PARTS = 7


def many(number: str, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}" + ("" if number == "1" else "s")


@chart
def http_path(axes: Axes, results: Results) -> None:
    """Rates as shares of bare Serve's."""
    clients = list(results.raw("http_path.results"))
    rates = {
        name: [results.value(f"http_path.results.{n}.{name}.rps") for n in clients]
        for name in SERVERS
    }
    bare = rates["bare serve + haproxy"]
    series = {
        label: [100 * mine / base for mine, base in zip(rates[name], bare, strict=True)]
        for name, label in SERVERS.items()
    }
    bars(axes, [many(n, "client") for n in clients], series, "{:.0f} %", (GREY, BLUE, ORANGE))
    axes.axhline(60, color=GREEN, linewidth=1, linestyle="--")
    axes.annotate("aim: 60 %", (0.99, 63), xycoords=("axes fraction", "data"), ha="right",
                  color=GREEN, fontsize=8)  # fmt: skip
    axes.set_ylabel("% of bare Serve's rate")
    axes.set_title("Requests a second, as a share of bare Serve's in the same run")


@chart
def http_path_cpu(axes: Axes, results: Results) -> None:
    """CPU by process."""
    subjects = [
        (f"{n} clients, {SERVERS[name].split(',')[0]}", f"http_path.results.{n}.{name}.cpu_us")
        for n in list(results.raw("http_path.results"))[1:]
        for name in ("bare serve + haproxy", "cartrita task")
    ]
    names = {
        name
        for _, path in subjects
        for entry in results.at(path)
        for name in entry
        if name != "bare replica"
    }
    size = {
        name: sum(known(results, f"{path}.{name}", 0.0) for _, path in subjects) for name in names
    }
    largest = sorted(names, key=lambda name: -size[name])[: MOST_PARTS - 1]
    parts = {"replica": [
        known(results, f"{path}.bare replica", 0.0) if "Serve" in label
        else known(results, f"{path}.gateway replica", 0.0)
        for label, path in subjects
    ]}  # fmt: skip
    for name in largest:
        if name != "gateway replica":
            parts[name] = [known(results, f"{path}.{name}", 0.0) for _, path in subjects]
    whole = [known(results, path.replace("cpu_us", "cpu_us_total"), 0.0) for _, path in subjects]
    shown = [sum(values[place] for values in parts.values()) for place in range(len(subjects))]
    parts["others"] = [max(a - b, 0.0) for a, b in zip(whole, shown, strict=True)]
    stacked(axes, [label for label, _ in subjects], parts)
    axes.set_xlabel("CPU µs a request, all processes")
    axes.set_title("Where the CPU of a request goes")


@chart
def tree(axes: Axes, results: Results) -> None:
    """The tree and plain actors."""
    rows = {"the tree, durable": "tree", "one actor call": "actor call",
            "a chain of three": "chain of three"}  # fmt: skip
    beside(
        axes,
        {label: results.value(f"tree.rounds.{name}.rate") for label, name in rows.items()},
        ours="the tree, durable",
    )
    axes.set_xlabel("calls a second, in the same run")
    axes.set_title("A durable task through the tree, beside plain Ray actors")


@chart
def journal(axes: Axes, results: Results) -> None:
    """Group commit and single statements."""
    callers = list(results.raw("journal.pairs"))
    kinds = {"journal (group commit)": "journal", "a statement for each step": "single"}
    series = {
        label: [results.value(f"journal.pairs.{n}.{kind}.rate") for n in callers]
        for label, kind in kinds.items()
    }
    bars(axes, [many(n, "caller") for n in callers], series, colours=(ORANGE, BLUE))
    axes.set_ylabel("durable pairs a second")
    axes.set_title("Tasks accepted and ended on one PostgreSQL")


@chart
def overload(axes: Axes, results: Results) -> None:
    """Latency under overload."""
    cases = {"0.8 of capacity": "calm", "ten times capacity": "flood",
             "small tenant alone": "b_alone", "beside a flood": "b_beside_flood"}  # fmt: skip
    series = {
        name: [results.value(f"overload.{case}.{name}_ms") for case in cases.values()]
        for name in ("p50", "p99")
    }
    bars(axes, list(cases), series)
    axes.set_ylabel("ms until the answer")
    axes.set_title("What those wait who are accepted; the task takes 20 ms")


@chart
def chaos(axes: Axes, results: Results) -> None:
    """Repair and recovery."""
    cases = results.raw("chaos.cases")
    shown = [name for name, case in cases.items() if "pause" not in case["options"]]
    labels = [cases[name]["what"].split(",")[0].replace(" with all it held", "") for name in shown]
    series = {
        "the part is back (median)": "repair.p50",
        "99 % of its tasks are through": "recovery.p99",
    }
    bars(
        axes,
        [label.replace(" every ", "\nevery ").replace(" killed", "\nkilled") for label in labels],
        {
            label: [known(results, f"chaos.cases.{name}.runs.faults.*.{path}") for name in shown]
            for label, path in series.items()
        },
        "{:.1f}",
    )
    axes.tick_params(axis="x", labelsize=7.5)
    axes.set_ylabel("seconds")
    axes.set_title("Killed under load")


@chart
def peers(axes: Axes, results: Results) -> None:
    """Ratios to others."""
    found = results.raw("peers.ratios.noop.128")
    names = [name for name in found if found[name].get("http_rps")]
    y = range(len(names))
    for number, (way, label, colour) in enumerate(
        (("http_rps", "request by request", ORANGE), ("batch_rps", "batches of 100", BLUE))
    ):
        values = [known(results, f"peers.ratios.noop.128.{name}.{way}") for name in names]
        drawn = axes.barh([place + 0.38 * number for place in y], values, 0.36, label=label,
                          color=colour)  # fmt: skip
        axes.bar_label(drawn, [written(value, "x") for value in values], padding=3, fontsize=7.5)
    axes.set_yticks([place + 0.19 for place in y], names)
    axes.set_xscale("log")
    axes.axvline(1, color=GREY, linewidth=1)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.legend(fontsize=8)
    axes.set_xlabel("Cartrita's rate, in times the other's (logarithmic); right of 1 it is quicker")
    axes.set_title("A no-op, 128 clients, beside others in the same run")


@chart
def doors(axes: Axes, results: Results) -> None:
    """Rates by door."""
    found = results.raw("doors.results")
    rates = {
        name: median(one["rps"] for one in found[name])
        for name in sorted(found, key=lambda name: "bare" not in name)
    }
    bare = next((name for name in rates if "bare" in name), "")
    beside(axes, rates, ours=bare)
    axes.set_xlabel("requests or tasks a second; the bare server in orange")
    axes.set_title("The same no-op through every door")


@chart
def latency(axes: Axes, results: Results) -> None:
    """Latency under load."""
    rows = results.raw("doors.under_load")
    keys = ("p50_ms", "p95_ms", "p99_ms")
    series = {key.removesuffix("_ms"): [row[key] for row in rows] for key in keys}
    lines(axes, [100 * row["share"] for row in rows], series)
    axes.set_xlabel("offered, in % of the most requests a second")
    axes.set_ylabel("ms until the answer")
    axes.set_title("Latency under load, by HTTP")


@chart
def scale(axes: Axes, results: Results) -> None:
    """Curves of growth."""
    curves = {"worker hosts": "hosts", "supervisor shards": "shards",
              "gateway replicas": "replicas"}  # fmt: skip
    for (label, name), colour in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=True):
        rows = results.raw(f"scale.{name}")
        axes.plot([row["number"] for row in rows], [row["times_first"] for row in rows],
                  marker="o", markersize=4, label=label, color=colour)  # fmt: skip
    most = max(row["number"] for row in results.raw("scale.hosts"))
    axes.plot([1, most], [1, most], color=GREY, linewidth=1, linestyle="--", label="as many times")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.set_xlabel("how many")
    axes.set_ylabel("rate, in times that of one")
    axes.set_title("What more of each brings on two cores")


@chart
def load(axes: Axes, results: Results) -> None:
    """Memory over the load test."""
    rows = results.raw("load.series")
    across = [row["at_s"] / 60 for row in rows]
    kinds = sorted(
        {key for row in rows for key in row if key.startswith("own_mb_")},
        key=lambda key: -max(row.get(key, 0.0) for row in rows),
    )[:5]
    series = {"all": [row["own_mb"] for row in rows]}
    for key in kinds:
        name = key.removeprefix("own_mb_").replace("_", " ")
        series[name] = [row.get(key, 0.0) for row in rows]
    lines(axes, across, series, marker="")
    axes.legend(fontsize=8, ncols=3, loc="center", bbox_to_anchor=(0.5, 0.68))
    axes.set_xlabel("minutes")
    axes.set_ylabel("MB, without shared memory")
    axes.set_title("Memory under the load test")


@chart
def thousand_nodes(axes: Axes, results: Results) -> None:
    """Imbalance, cost and waiting over the number of nodes."""
    rows = results.raw("thousand_nodes.results")
    numbers = [f"{row['nodes']:,}" for row in rows]
    shown = {
        "CPU of a decision, µs": [row["cpu_us"] for row in rows],
        "fullest shard, times the mean": [
            row["imbalance"]["shards"]["max_over_mean"] for row in rows
        ],
        "wait at p99, simulated ms": [row["wait_ms"]["p99"] for row in rows],
    }
    for axis, (title, values), colour in zip(
        panels(axes, len(shown)), shown.items(), (BLUE, ORANGE, GREEN), strict=True
    ):
        drawn = axis.bar(numbers, values, color=colour)
        axis.bar_label(drawn, [f"{value:,.3g}" for value in values], padding=1, fontsize=7.5)
        axis.set_title(title)
        axis.set_xlabel("simulated nodes")
