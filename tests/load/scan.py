#!/usr/bin/env python3
"""Scans the same files with the same rules by `khien scan` and by its peers, and prints what each one cost.

    tests/load/scan.py [--rules FILE|DIR | --generated N] [--rounds N] [--threads N] [FOLDER]...

Without --rules it takes the base pack's sources; --generated makes rules of the shapes that public collections have: most
for programs of Windows, some for ELF, the rest for anything. A file that one of the programs does not compile is left
out for all. Without FOLDER 20,000 small files that it makes itself and removes:
then it needs nothing but a built `khien`. Peers are measured when they are on PATH:

    yr      cargo install yara-x-cli --version 1.22.1 --locked
    yara    apt-get install yara
    loki    a build of Loki-RS; its rule folder is linked to the given rules

CPU is user and system time of a program with all its children, from its start to its end, rules included: what a
person pays. A second figure leaves out the rules: the same program over an empty folder is measured and taken off.
Each round runs all programs one after another, so that they meet the same machine; figures are medians of the rounds.
"""

import argparse, json, os, random, re, shutil, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORDS = ("the quick server answers a request and writes one more line to its log while nobody looks at it "
         "công văn số ngày tháng năm về việc báo cáo kết quả thực hiện nhiệm vụ được giao").split()


def small_files(folder, count):
    """Writes text, markup, script and data of 1.8 KB in the median; always the same."""
    chance = random.Random(20261123)
    kinds = [("txt", "", ""), ("html", "<!DOCTYPE html><html><body><p>", "</p></body></html>"),
             ("php", "<?php\n// ", "\nreturn 1;\n"), ("js", "'use strict';\n/* ", " */\n"),
             ("json", '{"text": "', '"}'), ("bin", None, None)]
    for n in range(count):
        kind, head, tail = kinds[n % len(kinds)]
        size = int(chance.lognormvariate(7.5, 1.0))
        where = os.path.join(folder, f"{n // 500:03d}")
        os.makedirs(where, exist_ok=True)
        if head is None:
            body = chance.randbytes(size)
        else:
            text = " ".join(chance.choices(WORDS, k=size // 6 + 1))
            body = (head + text + tail).encode()
        with open(os.path.join(where, f"{n}.{kind}"), "wb") as file:
            file.write(body)


def generated(folder, count):
    """Writes rules, a hundred in a file; always the same."""
    chance = random.Random(6000)
    heads = ["uint16(0) == 0x5A4D and filesize < {kb}KB and "] * 5 + ["uint32(0) == 0x464c457f and "] + ["filesize < {kb}KB and "] * 2 + [""] * 2
    for first in range(0, count, 100):
        with open(os.path.join(folder, f"{first // 100:04d}.yar"), "w", encoding="ascii") as file:
            for n in range(first, min(first + 100, count)):
                words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=chance.randint(8, 24))) for _ in range(5)]
                bytes_ = " ".join(f"{chance.randrange(256):02x}" for _ in range(12))
                head = chance.choice(heads).format(kb=chance.choice([100, 500, 2000, 10000]))
                strings = "".join(f'        $s{i} = "{w}"{chance.choice(["", " wide ascii", " nocase"])}\n' for i, w in enumerate(words))
                file.write(f"rule made_{n} {{\n    strings:\n{strings}        $h = {{ {bytes_} }}\n"
                           f"    condition:\n        {head}(3 of ($s*) or $h)\n}}\n")


def compiles(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def for_all(rules, work, externals):
    """Returns the rule files that every program at hand compiles, each tried alone."""
    defines = [part for name in externals for part in ("-d", f"{name}=")]
    good = []
    for space, path in rules:
        if shutil.which("yarac") and not compiles(["yarac", "-w", *defines, path, os.path.join(work, "one")]):
            print(f"left out, yara does not compile it: {path}")
        else:
            good.append((space, path))
    return good


def sources(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for at, _, names in sorted(os.walk(path)):
            yield from (os.path.join(at, n) for n in sorted(names) if n.endswith((".yar", ".yara")))


def run(command, output):
    """Returns CPU and wall seconds and the peak resident kilobytes of the largest of its processes."""
    begun = time.monotonic()
    with open(output, "wb") as out, open(os.devnull, "wb") as null:
        child = subprocess.Popen(command, stdout=out, stderr=null, stdin=subprocess.DEVNULL)
        _, _, used = os.wait4(child.pid, 0)
    return used.ru_utime + used.ru_stime, time.monotonic() - begun, used.ru_maxrss


def prepare_yr(rules, work, externals):
    compiled = os.path.join(work, "rules.yrc")
    command = ["yr", "compile", "--relaxed-re-syntax", "--disable-warnings", "-o", compiled]
    for name in externals:
        command += ["--define", f'{name}=""']
    subprocess.run(command + [f"{i}:{p}" for i, p in rules], check=True, stdout=subprocess.DEVNULL)
    return lambda folder, threads: ["yr", "scan", "-C", "-r", "--threads", str(threads), "--disable-warnings",
                                    "--output-format", "text", compiled, folder]


def prepare_yara(rules, work, externals):
    compiled = os.path.join(work, "rules.yac")
    defines = [part for name in externals for part in ("-d", f"{name}=")]
    subprocess.run(["yarac", "-w", *defines, *[f"{i}:{p}" for i, p in rules], compiled], check=True)
    return lambda folder, threads: ["yara", "-C", "-w", "-r", "-N", "-p", str(threads), *defines, compiled, folder]


def prepare_khien(rules, work, externals, program):
    del work, externals
    given = [part for _, path in rules for part in ("--rules", path)]
    return lambda folder, threads: [program, "scan", "--json", "--threads", str(threads), *given, folder]


def matches(name, output, folder):
    """Returns the pairs of rule and file that a program told of."""
    found = set()
    with open(output, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if name == "khien":
                told = json.loads(line)
                for hit in told.get("matches", []):
                    if not hit.get("inside"):
                        found.add((hit.get("yara") or hit["rule"], str(told["path"])))
            else:
                parts = re.match(r"(\S+) (.*)$", line.rstrip("\n"))
                if parts and os.path.abspath(parts[2]).startswith(folder):
                    found.add((parts[1], parts[2]))
    return found


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rules", action="append", default=[])
    asked.add_argument("--generated", type=int, default=0)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--files", type=int, default=20_000)
    asked.add_argument("folders", nargs="*")
    args = asked.parse_args()
    program = os.environ.get("KHIEN", os.path.join(ROOT, "target", "release", "khien"))
    if not os.path.exists(program):
        sys.exit(f"{program} is missing: run `cargo build --release`, or name another in KHIEN")
    externals = ["filename", "filepath", "extension", "filetype", "owner"]
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        empty, made = os.path.join(work, "empty"), os.path.join(work, "rules")
        os.mkdir(empty)
        os.mkdir(made)
        if args.generated:
            generated(made, args.generated)
        paths = args.rules or [made if args.generated else os.path.join(ROOT, "rules", "packs", "base")]
        rules = for_all([(f"n{i}", p) for i, p in enumerate(sources(paths))], work, externals)
        folders = [os.path.abspath(f) for f in args.folders]
        if not folders:
            folders = [os.path.join(work, "small")]
            small_files(folders[0], args.files)
        programs = {"khien": prepare_khien(rules, work, externals, program)}
        for name, prepare in (("yr", prepare_yr), ("yara", prepare_yara)):
            if shutil.which(name):
                try:
                    programs[name] = prepare(rules, work, externals)
                except subprocess.CalledProcessError:
                    print(f"{name} does not compile these rules and is left out")
            else:
                print(f"{name} is not on PATH and is left out (see --help)")
        for folder in folders:
            compare(programs, folder, empty, args, work, len(rules))


def compare(programs, folder, empty, args, work, count):
    figures = {name: [] for name in programs}
    rules_only = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, command in programs.items():
            rules_only[name].append(run(command(empty, args.threads), os.devnull)[0])
            figures[name].append(run(command(folder, args.threads), os.path.join(work, name + ".out")))
    print(f"\n{folder}: {count} rule files, {args.threads} thread(s), median of {args.rounds}")
    print(f"{'':8}{'CPU s':>9}{'without rules':>15}{'wall s':>9}{'peak MB':>9}{'khien / it':>12}{'without rules':>15}")
    told = {name: matches(name, os.path.join(work, name + ".out"), folder) for name in programs}
    middle = {}
    for name, runs in figures.items():
        cpu, wall = (statistics.median(r[i] for r in runs) for i in (0, 1))
        bare = max(cpu - statistics.median(rules_only[name]), 1e-3)
        middle[name] = (cpu, bare)
        ratios = [f"{middle['khien'][i] / middle[name][i]:.2f}" for i in (0, 1)]
        print(f"{name:8}{cpu:9.2f}{bare:15.2f}{wall:9.2f}{max(r[2] for r in runs) / 1024:9.0f}{ratios[0]:>12}{ratios[1]:>15}")
    for name in programs:
        missing, more = told[name] - told["khien"], told["khien"] - told[name]
        if name != "khien":
            print(f"matches of {name}: {len(told[name])}, not told by khien: {len(missing)}, only by khien: {len(more)}")
            for rule, path in sorted(missing)[:5] + sorted(more)[:5]:
                print(f"  differs: {rule} {path}")


if __name__ == "__main__":
    main()
