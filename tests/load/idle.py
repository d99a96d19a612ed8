#!/usr/bin/env python3
"""Measures what an agent that has nothing to do keeps in memory and costs.

    tests/load/idle.py [--rules N] [--minutes N]

Starts `khien up` over an empty folder, gives the agent made rules and waits. Memory is that of the agent and all its processes,
each its share of pages in common. The scan worker rests after five minutes without work. Every interface that is captured has a
ring of 8 MiB, which counts.
"""

import argparse, os, tempfile, time

from measure import Site, cpu, family, goal, read, resident


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rules", type=int, default=6_000)
    asked.add_argument("--minutes", type=float, default=6)
    args = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        folder = os.path.join(work, "web")
        os.mkdir(folder)
        with Site(work, [folder]) as site:
            site.push(work, args.rules)
            agent = site.pid("khien-agent")
            time.sleep(args.minutes * 30)
            spent, begun = cpu(agent), time.monotonic()
            time.sleep(args.minutes * 30)
            spent, begun = cpu(agent) - spent, time.monotonic() - begun
            captured = [c["scope"] for c in site.health()["coverage"] if c["sensor"] == "network" and c["sight"] != "blind"]
            print(f"\n{args.rules} rules, {args.minutes} minutes without work, captured: {', '.join(captured) or 'nothing'}; "
                  f"{spent / begun * 100:.2f} % of a processor")
            for pid in family(agent):
                print(f"{read(f'/proc/{pid}/comm').strip()}: {resident(pid, [pid]) / 2**20:.1f} MiB")
            goal(f"agent with {args.rules} rules after {args.minutes:g} idle minutes, in all its processes", resident(agent) / 2**20, 48, "MiB")


if __name__ == "__main__":
    main()
