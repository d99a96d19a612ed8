#!/usr/bin/env python3
"""Scans the same files with the same rules by `khien scan` and by its peers, and prints what each one cost and found.

    tests/load/scan.py [--rules FILE|DIR | --generated N] [--fetch [DIR]] [--rounds N] [--threads N] [FOLDER]...

Without --rules it takes the base pack's sources; --generated makes rules of the shapes that public collections have: most
for programs of Windows, some for ELF, the rest for anything, and among them 330 that match planted files. A file that one of
the programs does not compile is left out for all. Peers scan with rules that were compiled before; khien compiles them each
time. Without FOLDER it takes 20,000 small files that it makes itself and removes; with --generated a fifth of them is planted,
and most files match nothing. Peers are measured when they are on PATH, or fetched into a folder with --fetch:

    yr      cargo install yara-x-cli --version 1.22.1 --locked    (twenty minutes of processor time)
    yara    apt-get install yara                                  (as root)
    loki    Loki-RS is in no registry that cargo or apt can ask: the crates `loki` and `loki-rs` are other programs. Where
            GitHub can be reached: git clone https://github.com/Neo23x0/Loki-RS && cargo build --release, with `loki` on PATH.
            It is run on a copy of itself beside the given rules

CPU is user and system time of a program with all its children, from its start to its end, rules included: what a
person pays. A second figure leaves out the rules: the same program over an empty folder is measured and taken off.
Each round runs all programs one after another, so that they meet the same machine; figures are medians of the rounds.

Matches are compared as sets of rule and file. A rule that asks for a file's name, path, ending, kind or owner is compared
apart, file by file: peers are told these of one file at a time. That is done for the files that match such a rule, for those
that were made to match one, and for as many others as --named says.
"""

import argparse, json, os, pwd, random, re, shutil, statistics, subprocess, tempfile

import planted
from measure import ROOT, goal, made_rules, program, run, small_files

# Of the peers' processor time without rules, that of khien: with up to so many rules, and with more.
MANY, GOALS = 9_000, {"yr": (0.6, 0.5), "yara": (1 / 3, 1 / 3), "loki": (0.1, 0.1)}
# One of so many made files is planted.
PLANTED = 5
# The first bytes of a file, and how scanners of hosts call its kind (rules/src/external.rs).
KINDS = ((b"MZ", "EXE"), (b"\x7fELF", "ELF"), (b"PK\3\4", "ZIP"), (b"Rar!", "RAR"), (b"7z\xbc\xaf\x27\x1c", "7ZIP"), (b"\x1f\x8b", "GZIP"),
         (b"MSCF", "CAB"), (b"GIF8", "GIF"), (b"\xff\xd8\xff", "JPG"), (b"\x89PNG", "PNG"), (b"%PDF", "PDF"), (b"{\\rtf", "RTF"),
         (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE"), (b"L\0\0\0\x01\x14\x02\0", "LNK"), (b"CWS", "SWF"), (b"FWS", "SWF"),
         (b"\xca\xfe\xba\xbe", "CLASS"), (b"MDMP", "MDMP"), (b"regf", "REG"))
RULE = re.compile(r"^\s*(?:private\s+|global\s+)*rule\s+(\w+)", re.M)
ASKS = re.compile(r"\b(?:" + "|".join(planted.NAMED) + r")\b")


# --- peers


def fetch(folder):
    """Gets the peers that are not there, or says how."""
    os.makedirs(folder, exist_ok=True)
    os.environ["PATH"] = os.path.join(folder, "bin") + os.pathsep + os.environ["PATH"]
    if not shutil.which("yara"):
        get(["apt-get", "install", "-y", "--no-install-recommends", "yara"], folder, os.geteuid() == 0)
    if not shutil.which("yr"):
        get(["cargo", "install", "yara-x-cli", "--version", "1.22.1", "--locked", "--root", folder], folder, True)
    if not shutil.which("loki"):
        print("loki cannot be fetched: Loki-RS is in no registry (see --help)")


def get(command, folder, may):
    if not (may and shutil.which(command[0])):
        return print(f"run this yourself: {' '.join(command)}")
    print(" ".join(command), flush=True)
    # Away from the settings of this repository, which are not for it.
    done = subprocess.run(command, cwd=folder, env={**os.environ, "CARGO_TARGET_DIR": os.path.join(folder, "target")})
    if done.returncode:
        print(f"that failed; without it go on: {command[0]} ended with {done.returncode}")


def compiles(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def for_all(rules, work):
    """Returns the rule files that every program at hand compiles, each tried alone."""
    one, good = os.path.join(work, "one"), []
    programs = {"yarac": lambda path: ["yarac", "-w", *defined("yara", {}), path, one],
                "yr": lambda path: ["yr", "compile", "--relaxed-re-syntax", "--disable-warnings", *defined("yr", {}), "-o", one, path]}
    for space, path in rules:
        if name := next((name for name, command in programs.items() if shutil.which(name) and not compiles(command(path))), None):
            print(f"left out, {name} does not compile it: {path}")
        else:
            good.append((space, path))
    return good


def defined(name, values):
    """Returns the options that give a peer the variables of rules."""
    said = {variable: values.get(variable, "") for variable in planted.NAMED}
    if name == "yr":
        return [part for variable, value in said.items() for part in ("--define", f"{variable}={json.dumps(value)}")]
    return [part for variable, value in said.items() for part in ("-d", f"{variable}={value}")]


def sources(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for at, _, names in sorted(os.walk(path)):
            yield from (os.path.join(at, n) for n in sorted(names) if n.endswith((".yar", ".yara")))


def prepare_yr(rules, work, at="rules"):
    compiled = os.path.join(work, at + ".yrc")
    command = ["yr", "compile", "--relaxed-re-syntax", "--disable-warnings", *defined("yr", {}), "-o", compiled]
    subprocess.run(command + [f"{i}:{p}" for i, p in rules], check=True, stdout=subprocess.DEVNULL)
    # It refuses to go through a file.
    through = lambda place: ["-r"] if os.path.isdir(place) else []
    return lambda place, threads, more=(): ["yr", "scan", "-C", *through(place), "--threads", str(threads), "--disable-warnings",
                                            "--output-format", "text", *more, compiled, place]


def prepare_yara(rules, work, at="rules"):
    compiled = os.path.join(work, at + ".yac")
    subprocess.run(["yarac", "-w", *defined("yara", {}), *[f"{i}:{p}" for i, p in rules], compiled], check=True)
    return lambda folder, threads, more=None: ["yara", "-C", "-w", "-r", "-N", "-p", str(threads), *(more or defined("yara", {})), compiled, folder]


def prepare_loki(rules, work):
    """Loki-RS reads rules from the folder in which it is started."""
    base = os.path.join(work, "loki")
    os.makedirs(os.path.join(base, "signatures", "yara"))
    for space, path in rules:
        shutil.copy(path, os.path.join(base, "signatures", "yara", f"{space}.yar"))
    loki = os.path.join(base, "loki")
    shutil.copy(shutil.which("loki"), loki)
    return lambda folder, threads: ["env", f"--chdir={base}", loki, "--folder", folder, "--threads", str(threads), "--scan-all-files",
                                    "--no-procs", "--no-tui", "--no-log", "--no-jsonl", "--no-html"]


def prepare_khien(rules, _):
    given = [part for _, path in rules for part in ("--rules", path)]
    return lambda folder, threads: [program(), "scan", "--json", "--threads", str(threads), *given, folder]


PEERS = {"yr": prepare_yr, "yara": prepare_yara, "loki": prepare_loki}


# --- matches


def matches(name, lines):
    """Returns the pairs of rule and file that a program told of."""
    found = set()
    for line in lines:
        if name == "khien":
            told = json.loads(line)
            found |= {(hit.get("yara") or hit["rule"], str(told["path"])) for hit in told.get("matches", []) if not hit.get("inside")}
        elif parts := re.match(r"(\S+) (/.*)$", line.rstrip("\n")):
            found.add((parts[1], parts[2]))
    return found


def told(name, output):
    with open(output, encoding="utf-8", errors="surrogateescape") as lines:
        return matches(name, lines)


def variables(path):
    """Returns what khien tells rules of a file, as text on a command line can say it."""
    with open(path, "rb") as file:
        start = file.read(16)
    name = os.path.basename(path)
    dot = name.rfind(".")
    try:
        owner = pwd.getpwuid(os.stat(path).st_uid).pw_name
    except KeyError:
        owner = ""
    kind = next((kind for head, kind in KINDS if start.startswith(head)), "")
    return dict(zip(planted.NAMED, (name, path, name[dot:].lower() if dot > 0 else "", kind, owner)))


def file_by_file(name, rules, work, files):
    """Returns what a peer finds when it is told the variables of each file."""
    command, found = PEERS[name](rules, work, "named"), set()
    for path in files:
        done = subprocess.run(command(path, 1, defined(name, variables(path))), capture_output=True, text=True, errors="surrogateescape")
        found |= matches(name, done.stdout.splitlines())
    return found


def differ(what, theirs, ours, name):
    goal(f"{what} that differ from the {len(theirs)} of {name}, by {len({rule for rule, _ in theirs})} rules", len(theirs ^ ours), 0)
    for rule, path in sorted(theirs - ours)[:5] + sorted(ours - theirs)[:5]:
        print(f"  only by {name if (rule, path) in theirs else 'khien'}: {rule} {path}")


def asking(path):
    """Returns the rules of a source whose conditions ask for a variable."""
    with open(path, encoding="utf-8", errors="replace") as file:
        chunks = re.split(RULE, file.read())[1:]
    conditions = zip(chunks[::2], (re.sub(r'"(?:\\.|[^"\\])*"|/\*.*?\*/|//.*', "", chunk.rpartition("condition:")[2]) for chunk in chunks[1::2]))
    return {rule for rule, condition in conditions if ASKS.search(condition)}


def compare_matches(found, rules, wanted, files, args, work):
    """Holds what the programs found against each other, and against what must be found."""
    rules_of = {path: asking(path) for _, path in rules}
    by_name, names = [(space, path) for space, path in rules if rules_of[path]], set().union(*rules_of.values())
    ours = found["khien"]
    if wanted:
        goal(f"planted matches found, of {len(wanted)} by {len({rule for rule, _ in wanted})} rules", len(wanted & ours), len(wanted), least=True)
    plain = {name: {pair for pair in pairs if pair[0] not in names} for name, pairs in found.items()}
    some = {path for rule, path in ours | wanted if rule in names}
    some |= set(random.Random(1).sample(sorted(files), min(args.named, len(files))))
    for name in found.keys() - {"khien"}:
        differ("matches", plain[name], plain["khien"], name)
        if by_name:
            ours_of_some = {(rule, path) for rule, path in ours if rule in names and path in some}
            theirs = {pair for pair in file_by_file(name, by_name, work, sorted(some)) if pair[0] in names}
            differ(f"matches by name, path and kind in {len(some)} files", theirs, ours_of_some, name)


# --- cost


def compare(programs, folder, args, made):
    (work, rules, wanted), empty = made, os.path.join(made[0], "empty")
    count = sum(len(RULE.findall(open(path, encoding="utf-8", errors="replace").read())) for _, path in rules)
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    all_of, rules_of = ({name: [] for name in programs} for _ in range(2))
    for _ in range(args.rounds):
        for name, command in programs.items():
            rules_of[name].append(run(command(empty, args.threads), os.devnull)[0])
            all_of[name].append(run(command(folder, args.threads), os.path.join(work, name + ".out")))
    print(f"\n{folder}: {len(files)} files, {count} rules, {args.threads} thread(s), median of {args.rounds}")
    print(f"{'':8}{'CPU s':>9}{'without rules':>15}{'µs a file':>11}{'wall s':>9}{'peak MB':>9}{'khien / it':>12}{'without rules':>15}")
    # Programs of one round met the same machine: their ratio is taken there.
    bare_of = {name: [max(r[0] - b, 1e-3) for r, b in zip(all_of[name], rules_of[name])] for name in programs}
    ratios = {}
    for name in programs:
        cpu, wall, bare = (statistics.median(x) for x in ([r[0] for r in all_of[name]], [r[1] for r in all_of[name]], bare_of[name]))
        whole = statistics.median(k[0] / r[0] for k, r in zip(all_of["khien"], all_of[name]))
        ratios[name] = statistics.median(k / b for k, b in zip(bare_of["khien"], bare_of[name]))
        print(f"{name:8}{cpu:9.2f}{bare:15.2f}{bare / max(len(files), 1) * 1e6:11.0f}{wall:9.2f}{max(r[2] for r in all_of[name]) / 1024:9.0f}"
              f"{whole:12.2f}{ratios[name]:15.2f}")
    found = {name: told(name, os.path.join(work, name + ".out")) for name in programs if name != "loki"}
    print(f"{len({path for _, path in found['khien']})} files match")
    compare_matches(found, rules, wanted, files, args, work)
    what = "small files" if wanted or not args.folders else folder
    for name in programs.keys() - {"khien"}:
        goal(f"{what}, {count} rules: processor time beside {name}, rules left out", ratios[name], round(GOALS[name][count > MANY], 2))
    if count <= MANY and files:
        goal(f"cold file of {what}, {count} rules", statistics.median(bare_of["khien"]) / len(files) * 1e6, 250, "µs")


def make(args, work):
    """Returns rule files, folders, and which matches must be found."""
    paths, folders, wanted = args.rules or [os.path.join(ROOT, "rules", "packs", "base")], [os.path.abspath(f) for f in args.folders], set()
    if args.generated:
        paths = [os.path.join(work, "rules")]
        made_rules(paths[0], args.generated - planted.write_rules(paths[0]))
    if not folders:
        folders, some = [os.path.join(work, "small")], args.files // PLANTED if args.generated else 0
        small_files(folders[0], args.files - some)
        wanted = planted.write_files(os.path.join(folders[0], "planted"), some) if some else set()
    return paths, folders, wanted


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rules", action="append", default=[])
    asked.add_argument("--generated", type=int, default=0)
    asked.add_argument("--fetch", nargs="?", metavar="DIR", const=os.path.join(tempfile.gettempdir(), "khien-load-peers"),
                       help="get the peers that are missing; they stay in the folder, or among the temporary files")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--files", type=int, default=20_000)
    asked.add_argument("--named", type=int, default=100)
    asked.add_argument("folders", nargs="*")
    args = asked.parse_args()
    if args.fetch:
        fetch(os.path.abspath(args.fetch))
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        work = os.path.realpath(work)
        os.mkdir(os.path.join(work, "empty"))
        paths, folders, wanted = make(args, work)
        rules = for_all([(f"n{i}", p) for i, p in enumerate(sources(paths))], work)
        kept = {rule for _, path in rules for rule in RULE.findall(open(path, encoding="utf-8", errors="replace").read())}
        wanted = {(rule, path) for rule, path in wanted if rule in kept}
        programs = {"khien": prepare_khien(rules, work)}
        for name, prepare in PEERS.items():
            if shutil.which(name):
                programs[name] = prepare(rules, work)
            else:
                print(f"{name} is not on PATH and is left out (see --help and --fetch)")
        for folder in folders:
            compare(programs, folder, args, (work, rules, wanted))


if __name__ == "__main__":
    main()
