#!/usr/bin/env python3
"""Measures the watch of a real agent: what an event costs beside `notify`, what is lost in a stall, what a storm costs.

    tests/load/watch.py [events] [stall] [storm] [overflow] [--files N]      (the first three without arguments; as root)

events  the same operations under the agent and under a plain watcher on the `notify` crate, at the same time: processor
        time of the agent's watching thread and of the whole plain watcher
        (cargo build --release --example notify_peer)
stall   the agent stands still for 4 s under 10,000 operations a second, then goes on: every file that is there at the end
        and holds what a rule finds is found, and how soon
storm   one process on one processor makes and removes 50,000 files: nothing is lost unsaid, and what it cost the agent
overflow
        the agent stands still while a million files are made (or as many as --files says), with fanotify and then as another
        user with notify: the loss is told, and every file that holds what a rule finds is found. It takes as long as it takes
        to look at them all
"""

import argparse, multiprocessing, os, random, signal, subprocess, sys, tempfile, time

from measure import Site, TRIGGER, cpu, goal, program, thread_cpu

FOLDERS = 20
# Every so manieth new file holds what the rule finds.
MARKED = 100


def churn(folder, rate, seconds, told):
    """Of ten operations four make a file of 1 KB, three append, one renames, two remove. Tells which marked files are left."""
    chance, live, body = random.Random(4), [], b" nothing to see" * 68
    begun, made = time.monotonic(), 0
    for n in range(rate * seconds):
        if n % 10 == 0:
            early = begun + n / rate - time.monotonic()
            if early > 0:
                time.sleep(early)
        kind, at = chance.random(), chance.randrange(len(live)) if live else 0
        if kind < 0.4 or not live:
            made += 1
            path, marked = f"{folder}/{made % FOLDERS}/{made}", made % MARKED == 0
            with open(path, "wb", buffering=0) as file:
                file.write((TRIGGER.encode() if marked else b"") + body)
            live.append((path, marked))
        elif kind < 0.7:
            with open(live[at][0], "ab", buffering=0) as file:
                file.write(b"more\n")
        elif kind < 0.8:
            path, marked = live[at]
            os.rename(path, path + "r")
            live[at] = (path + "r", marked)
        else:
            live[at], live[-1] = live[-1], live[at]
            os.unlink(live.pop()[0])
    told.send(({path for path, marked in live if marked}, time.monotonic() - begun))


def run(work, *args):
    """Runs a generator in a process of its own and returns what it tells."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=work, args=(*args, there))
    process.start()
    told = here.recv()
    process.join()
    return told


def mark(site, path, seconds=60):
    """Writes a file that is found and waits for that: all that happened before it has been read then."""
    with open(path, "w", encoding="ascii") as file:
        file.write(TRIGGER)
    if not site.found({path}, seconds):
        sys.exit(f"{path} was not found within {seconds} s")


def losses(site):
    """Returns how often the agent said that it lost events. It says so when it has looked at everything again."""
    time.sleep(5)
    return sum(alert["count"] for alert in site.ask("alert", "list") if alert["rule"] == "khien.sensor.blind")


def events(site, folder, rate=2_000, seconds=10):
    peer = subprocess.Popen([program("examples/notify_peer"), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    peer.stdout.readline()
    agent = site.pid("khien-agent")
    mark(site, f"{folder}/0/begin")
    before = (thread_cpu(agent, "watch"), cpu(peer.pid))
    _, took = run(churn, folder, rate, seconds)
    mark(site, f"{folder}/0/end")
    ours, theirs = thread_cpu(agent, "watch") - before[0], cpu(peer.pid) - before[1]
    seen, _ = peer.communicate("")
    each = 1e6 / (rate * seconds)
    print(f"\nevents: {rate * seconds} operations in {took:.1f} s: agent's watch {ours * each:.1f} µs an operation, "
          f"notify {theirs * each:.1f} µs ({seen.strip()})")
    goal("processor time of an event beside notify", ours / theirs, 0.6)


def stall(site, folder, rate=10_000, seconds=4):
    agent = site.pid("khien-agent")
    os.kill(agent, signal.SIGSTOP)
    try:
        left, took = run(churn, folder, rate, seconds)
    finally:
        os.kill(agent, signal.SIGCONT)
    again = time.time_ns()
    found = site.found(left, 120)
    late = [(found[path] - again) / 1e9 for path in left & found.keys()]
    print(f"\nstall: {rate * seconds} operations in {took:.1f} s; {len(left)} files are left that are to be found; "
          f"events were lost {losses(site)} times, and that was said")
    goal("found after a stall, of 1", len(late) / len(left), 1, least=True)
    goal("the last one found after", max(late), 5, "s")


def storm_of(folder, count, told):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    begun = time.monotonic()
    for n in range(count):
        path = f"{folder}/{n % FOLDERS}/storm-{n}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
        os.unlink(path)
    told.send(time.monotonic() - begun)


def storm(site, folder, count=50_000):
    agent = site.pid("khien-agent")
    mark(site, f"{folder}/0/before-storm")
    told = losses(site)
    before, begun = cpu(agent), time.monotonic()
    took = run(storm_of, folder, count)
    mark(site, f"{folder}/0/after-storm")
    wall, spent = time.monotonic() - begun, cpu(agent) - before
    lost = losses(site) - told
    print(f"\nstorm: {count} files made and removed in {took:.1f} s, all of it read after {wall:.1f} s; "
          f"{spent / count * 1e6:.1f} µs of the agent's processor time each")
    goal("times at which events were lost", lost, 0)
    goal("of one processor, from the first to the last", spent / wall, 0.4)


def flood_of(folder, count, told):
    """Makes files of which two hundred, the last one among them, hold what is found. Tells which these are."""
    marked, begun, each = set(), time.monotonic(), max(count // 200, 1)
    for n in range(count):
        path = f"{folder}/{n % FOLDERS}/flood-{n}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        if n % each == (count - 1) % each:
            os.write(file, TRIGGER.encode())
            marked.add(path)
        os.close(file)
    told.send((marked, time.monotonic() - begun))


def overflow(site, folder, count):
    covered = [c for c in site.health()["coverage"] if c["sensor"] == "file" and c["sight"] != "blind"]
    agent, backends = site.pid("khien-agent"), {c["backend"] for c in covered}
    before = losses(site)
    os.kill(agent, signal.SIGSTOP)
    try:
        marked, took = run(flood_of, folder, count)
    finally:
        os.kill(agent, signal.SIGCONT)
    again = time.time_ns()
    found = site.found(marked, 4 * 3_600)
    late = max((found[path] - again) / 1e9 for path in marked & found.keys())
    how = " and ".join(sorted(backends))
    print(f"\noverflow, {how}: {count} files made in {took:.1f} s; the last of {len(marked)} found after {late:.0f} s")
    site.until("the word that events were lost", lambda _: losses(site) > before, 600)
    goal(f"{count} files made while the agent stood still, {how}: times at which it said that events were lost", losses(site) - before, 1,
         least=True)
    goal(f"{count} files made while the agent stood still, {how}: found of those that hold it", len(found), len(marked), least=True)


def floods(work, folder, count):
    """Runs it with both back ends."""
    for user in (None, 65_534) if os.geteuid() == 0 else (None,):
        home, tree = f"{work}/home-of-{user}", f"{folder}-of-{user}"
        for at in (home, tree, *(f"{tree}/{n}" for n in range(FOLDERS))):
            os.makedirs(at)
            os.chown(at, user or -1, user or -1)
        with Site(home, [tree], user) as site:
            site.push(home, 0)
            overflow(site, tree, count)


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", nargs="*", metavar="events, stall, storm, overflow")
    asked.add_argument("--files", type=int, default=1_000_000)
    args = asked.parse_args()
    if not set(args.what) <= {"events", "stall", "storm", "overflow"}:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        os.chmod(work, 0o755)
        folder = os.path.join(work, "web")
        for n in range(FOLDERS):
            os.makedirs(f"{folder}/{n}")
        for name in args.what or ["events", "stall", "storm"]:
            if name == "overflow":
                floods(work, folder, args.files)
                continue
            os.makedirs(f"{work}/{name}")
            with Site(f"{work}/{name}", [folder]) as site:
                site.push(f"{work}/{name}", 0)
                {"events": events, "stall": stall, "storm": storm}[name](site, folder)


if __name__ == "__main__":
    main()
