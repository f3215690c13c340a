"""Makes tables of what was measured: costs, ratios, and the project's own bars."""

from collections.abc import Mapping

from _measure import Case, Cost, ImportCost, Mode
from _tables import Table

Costs = Mapping[Case, Cost]

# Ratios are taken where a service is busy but not crowded.
USUAL = 16
CROWDED = 256


def loop_tables(loop: str, costs: Costs, failures: Mapping[Case, str], events: int) -> list[Table]:
    """Make one table for calls with a whole reply and one for streams, on one event loop."""
    return [
        _mode_table(f"{loop}: CPU per call with a whole reply, in us", loop, "unary", costs, failures, 1),
        _mode_table(f"{loop}: CPU per chunk of a stream of {events}, in us", loop, "stream", costs, failures, events),
    ]


def _mode_table(title: str, loop: str, mode: Mode, costs: Costs, failures: Mapping[Case, str], units: int) -> Table:
    cases = [case for case in (*costs, *failures) if case.loop == loop and case.mode == mode]
    levels = sorted({case.in_flight for case in cases})
    clients = list(dict.fromkeys(case.client for case in cases))
    unit = "calls" if units == 1 else "chunks"
    rows: list[tuple[str, ...]] = []
    for client in clients:
        found = {level: costs.get(Case(client, loop, mode, level)) for level in levels}
        usual, crowded = found.get(USUAL), found.get(max(levels))
        rows.append(
            (
                client,
                *(f"{cost.cpu / units * 1e6:.1f}" if cost else "-" for cost in found.values()),
                f"{units / usual.wall:,.0f}" if usual else "-",
                f"{usual.first * 1e3:.0f}" if usual else "-",
                f"{crowded.memory / 2**20:.0f}" if crowded else "-",
                *(_ratio(costs, Case(client, loop, mode, USUAL), peer) for peer in ("liter", "liter-llm")),
            )
        )
    columns = (
        "client",
        *(f"{level} in flight" for level in levels),
        f"{unit}/s at {USUAL}",
        "first reply, CPU ms",
        f"peak MB at {max(levels)}",
        f"x liter at {USUAL}",
        f"x liter-llm at {USUAL}",
    )
    notes = tuple(
        f"{case.client} at {case.in_flight} in flight: {reason}"
        for case, reason in failures.items()
        if case.loop == loop and case.mode == mode
    )
    return Table(title, columns, tuple(rows), notes)


def _ratio(costs: Costs, case: Case, peer: str) -> str:
    own, other = costs.get(case), costs.get(Case(peer, case.loop, case.mode, case.in_flight))
    return f"{own.cpu / other.cpu:.2f}" if own and other else "-"


def import_table(imports: Mapping[str, ImportCost]) -> Table:
    """Make the table of what import statements cost, with their ratio to the project's own."""
    own = next((cost for statement, cost in imports.items() if "from liter import" in statement), None)
    rows = tuple(
        (
            statement,
            f"{cost.cpu * 1e3:.0f}",
            f"{cost.wall * 1e3:.0f}",
            f"{cost.memory / 2**20:.0f}",
            f"{cost.cpu / own.cpu:.2f}" if own else "-",
        )
        for statement, cost in imports.items()
    )
    columns = ("statement", "CPU ms", "wall ms", "peak MB", "x liter")
    return Table("Import: time above the bare interpreter's, and the process's peak memory", columns, rows)


def bars_table(loop: str, costs: Costs) -> Table:
    """Make the table of the project's own bars, passed or failed."""
    unary, stream = Case("liter", loop, "unary", USUAL), Case("liter", loop, "stream", USUAL)
    bars = (
        ("a call costs at most 2 x liter-llm's", unary, Case("liter-llm", loop, "unary", USUAL), 2.0),
        ("a call costs less than 1/5 of openai's", unary, Case("openai", loop, "unary", USUAL), 1 / 5),
        ("a chunk costs less than 1/4 of liter-llm's", stream, Case("liter-llm", loop, "stream", USUAL), 1 / 4),
        (f"a call at {CROWDED} in flight costs at most 1.5 x one at {USUAL}", _crowded(unary), unary, 1.5),
        (f"a chunk at {CROWDED} in flight costs at most 1.5 x one at {USUAL}", _crowded(stream), stream, 1.5),
    )
    rows: list[tuple[str, ...]] = []
    for name, own, other, limit in bars:
        if own in costs and other in costs:
            ratio = costs[own].cpu / costs[other].cpu
            rows.append((name, f"{ratio:.2f}", f"{limit:.2f}", "pass" if ratio <= limit else "FAIL"))
        else:
            rows.append((name, "-", f"{limit:.2f}", "not measured"))
    return Table(f"{loop}: bars, CPU at {USUAL} in flight", ("bar", "ratio", "limit", "result"), tuple(rows))


def _crowded(case: Case) -> Case:
    return Case(case.client, case.loop, case.mode, CROWDED)
