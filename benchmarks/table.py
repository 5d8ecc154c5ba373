"""Turn the JSON lines of benchmarks into a table, and put it into a document.

usage: python -m benchmarks.table results.jsonl [docs/performance.md]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results -->\n", "\n<!-- end -->"


def row(one: dict[str, Any]) -> str:
    """Give one figure as a row."""
    goal = "" if one["goal"] is None else f"{'≥' if one['least'] else '≤'} {one['goal']:,g} {one['unit']}"
    verdict = "" if one["goal"] is None else "met" if one["met"] else "**missed**"
    value = f"{one['value']:,.2f}" if one["value"] < 100 else f"{one['value']:,.0f}"
    return f"| {one['bench']} | {one['name']} | {value} {one['unit']} | {goal} | {verdict} | {one['more']} |"


def table(found: Sequence[dict[str, Any]]) -> str:
    """Give all figures, and how busy the machine was."""
    loads = [one["load_average"] for one in found]
    rows = ["| benchmark | what | measured | goal | | made of |", "|---|---|---|---|---|---|", *map(row, found)]
    told = f"{found[0]['cpus']} cores, Python {found[0]['python']}, load average {min(loads):g} to {max(loads):g}."
    return "\n".join([*rows, "", told])


def main() -> None:
    """Print the table, and put it into a document between its marks where one is named."""
    results, *documents = map(Path, sys.argv[1:])
    found = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    made = table(found)
    print(made)
    for document in documents:
        head, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
        document.write_text(f"{head}{BEGIN}{made}{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
