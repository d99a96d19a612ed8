#!/usr/bin/env python3
"""Measures a large tree under a real agent: when the watch is ready, what a walk over unchanged files costs, and its memory.

    tests/load/tree.py [--files N] [--in FOLDER] [--rules N]

Makes small files of which one in ten has content, lets them rest for the minute after which the agent trusts file
times, starts `khien up` over them and waits until its walk has scanned them all. Then it makes the agent lose events, so that
it walks once more: that walk finds every file as it was, and reads a 64th of them again all the same. `aide --check` over the
same tree is measured beside it where it is installed (apt-get install aide). With little time take fewer files: an idle host
gives a walk half of a processor, a busy one a twentieth. The goal for memory needs 100,000 files to show.
"""

import argparse, os, shutil, signal, tempfile, time

from measure import Site, children, cpu, goal, resident, run, thread_cpu

# Files of one folder.
EACH = 1_000
# What the agent wants to lie between the last change of a file and its scan, and a little more.
REST = 62
PATIENCE = 3 * 3_600
# Files made and removed: the kernel keeps 16,384 events unless told otherwise.
LOST = 20_000


def make(folder, count):
    for n in range(count):
        where = f"{folder}/{n // EACH:05d}"
        if n % EACH == 0:
            os.makedirs(where)
        with open(f"{where}/{n}.txt", "wb", buffering=0) as file:
            if n % 10 == 0:
                file.write(f"{n} lines of text that nobody changes\n".encode() * 20)


def lose_events(agent, folder):
    """Makes more events than the kernel keeps while the agent stands still. It walks everything then."""
    os.kill(agent, signal.SIGSTOP)
    try:
        for n in range(LOST):
            os.close(os.open(f"{folder}/lost-{n}", os.O_WRONLY | os.O_CREAT, 0o644))
            os.unlink(f"{folder}/lost-{n}")
    finally:
        os.kill(agent, signal.SIGCONT)


def walked(site, since=None):
    """Waits for the end of a walk that began after another one."""
    def fits(health):
        walk = health.get("walk")
        is_whole = walk and walk.get("ended") and walk["looked"] > 0 and walk["pack"] == health["pack"]
        return is_whole and (since is None or walk["since"] > since)
    return site.until("the end of a walk", fits, PATIENCE, every=0.5)["walk"]


def empty_in(tree):
    """Returns a folder in it that is to stay empty."""
    where = os.path.join(tree, "lost")
    os.makedirs(where, exist_ok=True)
    return where


def surveyed(agent):
    """Returns the processor time of the thread that walks over everything, and with that of the workers."""
    walking = thread_cpu(agent, "watch-survey")
    return walking, walking + sum(cpu(worker) for worker in children(agent))


def aide(folder, work):
    """Returns the processor seconds of `aide --check`; none without it."""
    if not shutil.which("aide"):
        print("aide is not on PATH and is left out: apt-get install aide")
        return None
    settings = os.path.join(work, "aide.conf")
    with open(settings, "w", encoding="ascii") as file:
        file.write(f"database_in=file:{work}/aide.db\ndatabase_out=file:{work}/aide.db\ngzip_dbout=no\n"
                   f"report_url=file:{work}/aide.report\n{folder} p+i+n+u+g+s+m+c+sha256\n")
    spent = [run(["aide", what, f"--config={settings}"])[0] for what in ("--init", "--check")]
    return spent[1]


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--files", type=int, default=20_000)
    asked.add_argument("--in", dest="place", help="where the tree is made; the usual place for temporary files if not said")
    asked.add_argument("--rules", type=int, default=0)
    args = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="khien-load-", dir=args.place) as work:
        tree, empty = os.path.join(work, "tree"), os.path.join(work, "empty")
        os.makedirs(empty)
        make(empty, 1)
        time.sleep(REST)
        os.makedirs(f"{work}/first")
        with Site(f"{work}/first", [empty]) as site:
            bare, agent = site.took, site.pid("khien-agent")
            if args.rules:
                site.push(f"{work}/first", args.rules)
            walked(site)
            walked_nothing = resident(agent, [agent])
        make(tree, args.files)
        time.sleep(REST)
        os.makedirs(f"{work}/second")
        with Site(f"{work}/second", [tree]) as site:
            agent = site.pid("khien-agent")
            print(f"\n{args.files} files: ready after {site.took:.2f} s, over an empty folder after {bare:.2f} s")
            if args.rules:
                site.push(f"{work}/second", args.rules)
            first = walked(site)
            memory, spent = resident(agent, [agent]), cpu(agent)
            print(f"first walk: {first['looked']} looked at, {first['scanned']} scanned; {spent / args.files * 1e6:.0f} µs of processor "
                  f"time a file since the start; memory of the agent {memory / 2**20:.1f} MiB, over one file {walked_nothing / 2**20:.1f}")
            before, begun = surveyed(agent), time.monotonic()
            lose_events(agent, empty_in(tree))
            again = walked(site, first["since"])
            spent, all_of = (now - then for now, then in zip(surveyed(agent), before))
            read = (again.get("again") or {}).get("files", 0)
            print(f"walk over the unchanged tree: {again['looked']} looked at, {again['scanned']} scanned, of these {read} though they were "
                  f"as they were; {spent:.3f} s of processor time, {all_of:.2f} s with that of the workers, "
                  f"{time.monotonic() - begun:.0f} s by the clock")
        what = f"{args.files} files"
        goal(f"{what}: start to ready beside an empty folder", site.took / bare, 1.5)
        goal(f"{what}: unchanged file in a walk", spent / args.files * 1e6, 15, "µs")
        goal(f"{what}: the same with what the walk read again", all_of / args.files * 1e6, 15, "µs")
        if args.files >= 100_000:
            goal(f"{what}: memory of a file", (memory - walked_nothing) / args.files, 120, "bytes")
        if (theirs := aide(tree, work)) is not None:
            print(f"aide --check: {theirs:.2f} s of processor time")
            goal(f"{what}: aide --check to the walk over the unchanged tree", theirs / spent, 20, least=True)
            goal(f"{what}: the same with what the walk read again", theirs / all_of, 20, least=True)


if __name__ == "__main__":
    main()
