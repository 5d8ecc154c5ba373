"""Two collections of one CalDAV server kept in step by us, by vdirsyncer, and by a bare loop of the unavoidable requests.

All three work on the same server in the same run, one after the other, in several rounds. Ours is the pass in the
running server, from the moment it is asked for to the end of its run as its run record says; the whole command
`gleichtakt sync` and vdirsyncer are measured as commands. Best of the rounds counts: the machine is shared.

usage: python -m benchmarks.caldav [--server radicale|xandikos] [--events 5000] [--rounds 5]      no change, 50 changes
       python -m benchmarks.caldav --first [--events 1000] [--rounds 5] [--peer]                  first sync
       python -m benchmarks.caldav --beside [--events 1000]                                first sync and floor side by side
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.bench import PEERS, Figure, Server, report, serving
from benchmarks.caldav_floor import IN_FLIGHT, Bare, Collection, fill
from sqlalchemy import text
from tests import servers

from gleichtakt.store.database import Database
from gleichtakt.store.embedded import Embedded

CHANGED = 50
FULL = {"inbound_detail": "full", "outbound_detail": "full", "relay": "full", "attendees": "write", "interval_seconds": 86_400}
VDIRSYNCER = """
[general]
status_path = "{folder}/status/"
[pair p]
a = "a"
b = "b"
collections = [["x", "{source}", "{target}"]]
conflict_resolution = "a wins"
[storage a]
type = "caldav"
url = "{url}"
username = "{user}"
password = "{password}"
[storage b]
type = "caldav"
url = "{url}"
username = "{user}"
password = "{password}"
"""


# --- ours --------------------------------------------------------------------------------------------------------


@dataclass
class Ours:
    """The two links of one resource, and the runs over them."""

    product: Server
    server: servers.Server
    source: str = ""
    target: str = ""
    seen: set[str] = field(default_factory=set)

    def tie(self, source: Collection, target: Collection, *, wait_for_source: bool) -> None:
        """Make both links, that of the collection first whose first run is to be over before the other begins."""
        call = self.product.call
        person = call("POST", "/resources", {"name": "Anna", "kind": "person"})
        login = {"method": "basic", "username": self.server.user, "password": self.server.password}
        made = {"provider": "caldav", "name": "bench", "url": self.server.url + self.server.home, "auth": login}
        at = call("POST", "/connections", {**made, "allow_insecure": True, "options": {"private_hosts": "127.0.0.1"}})
        both = {"resource_id": person["id"], "connection_id": at["id"], "mailbox": self.server.user, "settings": FULL}
        for one in (source, target) if wait_for_source else (target, source):
            link = call("POST", "/links", {**both, "calendar": one.path})["id"]
            if one is source:
                self.source = link
            else:
                self.target = link
            if wait_for_source or one is target:
                self.wait_until_idle(link)

    async def own_the_copies(self) -> None:
        """Let copies that were put into the target count as made by us: writing them takes ten minutes at 5,000."""
        with Embedded.start(self.product.environment["GLEICHTAKT_DATA_DIR"]) as embedded:
            async with await Database.open(embedded.url, pool=1) as database, database.begin() as connection:
                made = text("update pairing set made_by_us = true where link_id = :link")
                await connection.execute(made, {"link": self.target})

    def wait_until_idle(self, link: str) -> None:
        """Wait for the end of the first run of a link."""
        while not self.product.call("GET", f"/links/{link}")["first_run_done"]:
            time.sleep(0.05)

    def runs(self, link: str) -> list[dict[str, Any]]:
        """Give runs over a link that ended since the last look."""
        found = self.product.call("GET", f"/runs?link_id={link}&limit=50")["items"]
        new = [run for run in found if run["finished_at"] and run["id"] not in self.seen]
        self.seen |= {run["id"] for run in new}
        bad = [run for run in new if run["state"] != "done" or run["held"]]
        if bad:
            raise RuntimeError(f"a run did not go through: {bad[0]}")
        return new

    def ask(self, links: list[str]) -> float:
        """Ask for passes; give seconds from the first request to the end of the last run."""
        asked = [self.product.call("POST", f"/links/{link}/sync") for link in links]
        ended = [self.product.call("GET", f"/runs/{run['id']}?wait=60") for run in asked]
        return max(moment(run["finished_at"]) for run in ended) - min(moment(run["asked_at"]) for run in ended)

    def poll(self) -> float:
        """Make a pass over both links although nothing changed."""
        return self.ask([self.source, self.target])

    def carry(self, verb: str, count: int, begun: float | None = None) -> float:
        """Wait until changes of the source have arrived in the target; give seconds since they were asked for."""
        if begun is None:
            self.runs(self.target)
            run = self.product.call("POST", f"/links/{self.source}/sync")
            begun = moment(run["asked_at"])
        arrived, ended = 0, begun
        while arrived < count:
            for run in self.runs(self.target):
                arrived += run["counts"]["provider"][verb]
                ended = max(ended, moment(run["finished_at"]))
            time.sleep(0.25 if count <= CHANGED else 1.0)  # what counts is the time in the records
        return ended - begun

    def begin(self, source: Collection, target: Collection, events: int) -> float:
        """Link both and wait until everything has been copied; give the seconds, reading the source among them."""
        begun = time.time()
        self.tie(source, target, wait_for_source=False)
        return self.carry("created", events, begun)

    def whole_command(self) -> float:
        """Run `gleichtakt sync` over both links."""
        return self.product.command("sync", self.source, self.target)


def moment(written: str) -> float:
    """Read an instant of the REST interface."""
    return datetime.fromisoformat(written).timestamp()


# --- vdirsyncer --------------------------------------------------------------------------------------------------


@dataclass
class Vdirsyncer:
    """vdirsyncer between two collections, with its status in a folder."""

    server: servers.Server
    folder: Path

    def tie(self, source: Collection, target: Collection) -> None:
        """Write its configuration and let it discover."""
        self.folder.mkdir()
        config = VDIRSYNCER.format(
            folder=self.folder,
            source=source.name,
            target=target.name,
            url=f"{self.server.url}/{self.server.user}/",
            user=self.server.user,
            password=self.server.password,
        )
        (self.folder / "config").write_text(config)
        self._run("discover", "p")

    def sync(self) -> float:
        """Run `vdirsyncer sync`; give its wall-clock seconds."""
        return self._run("sync", "p")

    def _run(self, *words: str) -> float:
        begun = time.perf_counter()
        command = [str(PEERS / "vdirsyncer"), "-v", "ERROR", "-c", str(self.folder / "config"), *words]
        subprocess.run(command, input="y\n" * 10, text=True, check=True, capture_output=True)
        return time.perf_counter() - begun


# --- what is measured --------------------------------------------------------------------------------------------


def no_change(rounds: int, bare: Bare, ours: Ours, peer: Vdirsyncer) -> list[Figure]:
    """Measure passes over collections in which nothing changed, side by side."""
    times = [(asyncio.run(bare.poll()), ours.poll(), peer.sync(), ours.whole_command()) for _ in range(rounds)]
    floor, own, other, command = (min(column) for column in zip(*times, strict=True))
    return [
        Figure("no change: ours / two bare getctag", own / floor, 1.2, "x", more=f"{own:.3f} s / {floor:.3f} s"),
        Figure("no change: vdirsyncer / ours", other / own, 4, "x", least=True, more=f"{other:.3f} s / {own:.3f} s"),
        Figure("no change: vdirsyncer / `gleichtakt sync`", other / command, unit="x", more=f"{other:.3f} s / {command:.3f} s"),
    ]


def changes(rounds: int, bare: Bare, ours: Ours, peer: Vdirsyncer) -> list[Figure]:
    """Measure the carrying over of 50 changes: each contender gets changes that nobody has looked at yet."""
    contenders = {
        "floor": lambda: asyncio.run(bare.carry()),
        "ours": lambda: ours.carry("updated", CHANGED),
        "peer": peer.sync,
    }
    best = dict.fromkeys(contenders, float("inf"))
    generation = 1
    for _ in range(rounds):
        for measured in contenders:
            asyncio.run(bare.change(range(100, 100 + CHANGED), generation))
            generation += 1
            best[measured] = min(best[measured], contenders[measured]())
            for name, catch_up in contenders.items():
                if name != measured:
                    catch_up()
    floor, own, other = best.values()
    return [
        Figure("50 changes: ours / bare requests", own / floor, 1.25, "x", more=f"{own:.3f} s / {floor:.3f} s"),
        Figure("50 changes: vdirsyncer / ours", other / own, unit="x", more=f"{other:.3f} s / {own:.3f} s"),
    ]


def steady(server: servers.Server, product: Server, folder: Path, events: int, rounds: int) -> list[Figure]:
    """Measure what goes on day by day, with both sides filled and known."""
    source, *targets = fill(server, events, ["source", "ours", "bare", "peer"])
    ours, bare, peer = Ours(product, server), Bare(server, source, targets[1]), Vdirsyncer(server, folder / "vdirsyncer")
    ours.tie(source, targets[0], wait_for_source=True)
    asyncio.run(ours.own_the_copies())
    peer.tie(source, targets[2])
    peer.sync()
    asyncio.run(bare.learn())
    ours.poll()
    return [*no_change(rounds, bare, ours, peer), *changes(rounds, bare, ours, peer)]


def first(server: servers.Server, product: Server, folder: Path, events: int, rounds: int, with_peer: bool) -> list[Figure]:
    """Measure the first sync into an empty collection against a bare loop of PUT; every other round ours goes first."""
    own, floor, other = [], [], []
    for number in range(rounds):
        names = [f"{name}{number}" for name in ("source", "ours", "bare", "peer")]
        source, *targets = fill(server, events, names, empty=names[1:])
        ours = Ours(product, server)
        bare = Bare(server, source, targets[1])
        asyncio.run(bare.warm())
        if number % 2:
            own.append(ours.begin(source, targets[0], events))
        floor.append(asyncio.run(bare.put_all(events)))
        if not number % 2:
            own.append(ours.begin(source, targets[0], events))
        if with_peer:
            peer = Vdirsyncer(server, folder / f"vdirsyncer{number}")
            peer.tie(source, targets[2])
            other.append(peer.sync())
        print(f"# round {number}: bare {floor[-1]:.1f} s, ours {own[-1]:.1f} s {other[-1:]}", file=sys.stderr, flush=True)
    figures = [against_floor(events, own, floor, f"{IN_FLIGHT[server.name]} in flight")]
    if other:
        made = f"{min(other):.2f} s / {min(own):.2f} s"
        figures.append(Figure(f"first sync of {events}: vdirsyncer / ours", min(other) / min(own), unit="x", more=made))
    return figures


def first_beside(server: servers.Server, second: servers.Server, product: Server, events: int) -> list[Figure]:
    """Measure one first sync while the bare loop works at a second server: what slows the machine down slows both."""
    source, target = fill(server, events, ["source", "ours"], empty=["ours"])
    other, bare_target = fill(second, events, ["source", "bare"], empty=["bare"])
    ours, bare = Ours(product, server), Bare(second, other, bare_target)
    asyncio.run(Bare(server, source, target).warm())
    with ThreadPoolExecutor(1) as beside:
        floor = beside.submit(lambda: asyncio.run(bare.put_all(events)))
        own = ours.begin(source, target, events)
        return [against_floor(events, [own], [floor.result()], "at the same time, a server each")]


def against_floor(events: int, own: Sequence[float], floor: Sequence[float], how: str) -> Figure:
    """Compare seconds with those of the floor, round by round."""
    ratio = statistics.median(ours_took / floor_took for ours_took, floor_took in zip(own, floor, strict=True))
    made = f"median of {len(own)}; best {min(own):.2f} s / {min(floor):.2f} s, {how}"
    return Figure(f"first sync of {events}: ours / bare PUT", ratio, 1.15, "x", more=made)


def main() -> int:
    """Read the arguments, measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=sorted(servers.SERVERS), default="radicale")
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first", action="store_true", help="measure the first sync instead")
    parser.add_argument("--beside", action="store_true", help="the same, once, with the bare loop at work beside it")
    parser.add_argument("--peer", action="store_true", help="let vdirsyncer make the first sync, too")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(servers.SERVERS[asked.server](folder / asked.server))
        product = stack.enter_context(serving(folder / "gleichtakt"))
        if asked.beside:
            second = stack.enter_context(servers.SERVERS[asked.server](folder / "beside"))
            figures = first_beside(server, second, product, asked.events or 1_000)
        elif asked.first:
            figures = first(server, product, folder, asked.events or 1_000, asked.rounds, asked.peer)
        else:
            figures = steady(server, product, folder, asked.events or 5_000, asked.rounds)
    return report(f"caldav {asked.server}", figures)


if __name__ == "__main__":
    sys.exit(main())
