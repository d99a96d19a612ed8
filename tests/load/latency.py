#!/usr/bin/env python3
"""Measures how soon after a file is closed a real agent has found what is in it, while many files are written.

    tests/load/latency.py [--rules N] [--rates N,N] [--seconds N] [--samples N]

Starts `khien up` and says how long that took, and what each program keeps in memory. Gives it made rules and writes files
one after another, each when the line of the alert for the one before it has come. Then it writes files of 1 KB in twenty
folders at an even rate; of some the rules find the content. The time from just before such a file is closed to the match, by
the agent's clock, is the latency. Every fifth other file is removed a moment later.
"""

import argparse, multiprocessing, os, tempfile, threading, time

from measure import Site, TRIGGER, cpu, family, goal, read, resident, share

FOLDERS = 20
# A file that is to be removed lives as long as so many others take to be written.
LIVES = 200
# The goals: writes a second, the half, 99 of 100, in milliseconds.
GOALS = {1_000: (1.5, 10.0), 5_000: (None, 1_000.0)}


def write(folder, rate, count, each, told):
    """Writes so many files. Tells when each one that is to be found was closed, how many are left, and how long it took."""
    closed, left, body = {}, 0, b" nothing to see" * 68
    begun = time.monotonic()
    for n in range(count):
        early = begun + n / rate - time.monotonic()
        if early > 0:
            time.sleep(early)
        path, marked = f"{folder}/{n % FOLDERS}/{rate}-{n}.txt", n % each == each // 2
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, f"{n} {TRIGGER if marked else 'clean'}".encode() + body)
        if marked:
            closed[path] = time.time_ns()
        os.close(file)
        left += 1
        old = n - LIVES
        if old >= 0 and old % 5 == 0 and old % each != each // 2:
            os.unlink(f"{folder}/{old % FOLDERS}/{rate}-{old}.txt")
            left -= 1
    told.send((closed, left, time.monotonic() - begun))


def one_by_one(site, folder, count):
    late = []
    for n in range(count):
        path, begun = f"{folder}/0/one-{n}.txt", time.monotonic()
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{n} {TRIGGER}")
        site.found({path}, 30)
        late.append((time.monotonic() - begun) * 1e3)
    print(f"start to ready: {site.took:.2f} s\nfile written to alert line, {count} files one after another: p50 {share(late, .5):.1f} ms, "
          f"p95 {share(late, .95):.1f}, max {max(late):.1f}")
    for pid in family(site.up.pid):
        print(f"{read(f'/proc/{pid}/comm').strip()}: {resident(pid, [pid]) / 2**20:.1f} MiB")


def measure(site, folder, rate, args):
    agent, before = site.pid("khien-agent"), sum(site.health()["scans"].values())
    count, spent = rate * args.seconds, cpu(agent)
    here, there = multiprocessing.Pipe()
    writer = multiprocessing.Process(target=write, args=(folder, rate, count, max(count // args.samples, 1), there))
    sizes, over = [resident(agent)], threading.Event()
    threading.Thread(target=lambda: [sizes.append(resident(agent)) for _ in iter(lambda: over.wait(1), True)], daemon=True).start()
    writer.start()
    closed, left, took = here.recv()
    found = site.found(closed.keys(), 120)
    over.set()
    scans = lambda health: sum(health["scans"].values()) - before
    health = site.until("the scan of every file that is left", lambda health: scans(health) >= left, 120)
    late = [(found[path] - at) / 1e6 for path, at in closed.items() if path in found]
    print(f"\n{rate} files a second for {args.seconds} s (taken: {took:.1f} s), {args.rules} rules: p50 {share(late, .5):.2f} ms, "
          f"p95 {share(late, .95):.1f}, p99 {share(late, .99):.1f}, max {max(late):.1f}; {len(late)} samples; "
          f"{(cpu(agent) - spent) / count * 1e6:.0f} µs of processor time a file")
    print(f"memory before / most / after: {sizes[0] / 2**20:.0f} / {max(sizes) / 2**20:.0f} / {resident(agent) / 2**20:.0f} MiB; "
          f"{left} files left, {scans(health)} scans")
    if any(c["backend"] == "governor" for c in health["coverage"]):
        print("the host was busy and the agent held scans back, as it is made to: the figures above are those of a busy host")
    half, most = GOALS.get(rate, (None, None))
    if half:
        goal(f"{rate}/s, p50", share(late, .5), half, "ms")
    if most:
        goal(f"{rate}/s, p99", share(late, .99), most, "ms")
    goal(f"{rate}/s, found of the files that are left and hold it", len(found), len(closed), least=True)
    goal(f"{rate}/s, memory of agent and workers afterwards to before", resident(agent) / sizes[0], 1.25)


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rules", type=int, default=6_000)
    asked.add_argument("--rates", default="1000,5000")
    asked.add_argument("--seconds", type=int, default=10)
    asked.add_argument("--samples", type=int, default=500, help="files that are found; a hub takes some hundred new alerts at once")
    args = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        folder = os.path.join(work, "web")
        for n in range(FOLDERS):
            os.makedirs(f"{folder}/{n}")
        with Site(work, [folder]) as site:
            site.push(work, args.rules)
            one_by_one(site, folder, 50)
            for rate in args.rates.split(","):
                measure(site, folder, int(rate), args)


if __name__ == "__main__":
    main()
