"""Turn the JSON lines of benchmarks into a table for docs/performance.md: python -m benchmarks.table results.jsonl"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def row(one: dict[str, Any]) -> str:
    """Give one figure as a row."""
    goal = "" if one["goal"] is None else f"{'≥' if one['least'] else '≤'} {one['goal']:,g} {one['unit']}"
    verdict = "" if one["goal"] is None else "met" if one["met"] else "**missed**"
    value = f"{one['value']:,.2f}" if one["value"] < 100 else f"{one['value']:,.0f}"
    return f"| {one['bench']} | {one['name']} | {value} {one['unit']} | {goal} | {verdict} | {one['more']} |"


def main() -> None:
    """Print the table."""
    found = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    print("| benchmark | what | measured | goal | | made of |\n|---|---|---|---|---|---|")
    for one in found:
        print(row(one))
    loads = [one["load_average"] for one in found]
    if found:
        print(f"\n{found[0]['cpus']} cores, Python {found[0]['python']}, load average {min(loads)} to {max(loads)}.")


if __name__ == "__main__":
    main()
