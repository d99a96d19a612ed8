"""What the scripts beside this one share: processor time, a real `khien up`, made files and rules, and verdicts on goals.

Programs are taken from target/release, or from the folder of the `khien` that KHIEN names. KHIEN_GOALS names a file to which
every verdict is added as a line of JSON: `run` beside this one makes a table of them.
"""

import contextlib, ctypes, datetime, json, os, queue, random, re, shutil, signal, subprocess, sys, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("KHIEN", os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "khien"))
TICKS = os.sysconf("SC_CLK_TCK")
WORDS = ("the quick server answers a request and writes one more line to its log while nobody looks at it "
         "công văn số ngày tháng năm về việc báo cáo kết quả thực hiện nhiệm vụ được giao").split()
PR_SET_CHILD_SUBREAPER = 36
# What the one rule of a made pack that can match looks for.
TRIGGER = "khien-load-trigger-7d1f"
TRIGGER_RULE = "made.trigger"
# The version of a made pack: larger than any that comes with the program.
MADE = 1_000_000


def goal(what, figure, limit, unit="", least=False):
    """Prints a figure beside its goal, and returns whether it is met."""
    met = figure >= limit if least else figure <= limit
    said = [f"{n:.3g}" if isinstance(n, float) and n < 1_000 else f"{n:.0f}" for n in (figure, limit)]
    said = [f"{n} {unit}".rstrip() for n in (said[0], f"{'≥' if least else '≤'} {said[1]}")]
    print(f"{'met   ' if met else 'MISSED'}  {what}: {said[0]} (goal: {said[1]})", flush=True)
    if path := os.environ.get("KHIEN_GOALS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"goal": what, "figure": said[0], "limit": said[1], "met": met}, ensure_ascii=False) + "\n")
    return met


def program(name="khien"):
    path = os.path.join(os.path.dirname(PROGRAM), name)
    if not os.path.exists(path):
        what = f"--example {os.path.basename(name)}" if name.startswith("examples/") else "--bins"
        sys.exit(f"{path} is missing: run `cargo build --release --workspace --exclude khien-pdf {what}`, or name another `khien` in KHIEN")
    return path


def share(values, part):
    """Returns the value below which this part of them lies."""
    return sorted(values)[int((len(values) - 1) * part)]


# --- processor time and memory, of processes that are there


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def children(pid):
    tasks = os.listdir(f"/proc/{pid}/task") if os.path.isdir(f"/proc/{pid}/task") else []
    return [int(child) for task in tasks for child in read(f"/proc/{pid}/task/{task}/children").split()]


def family(pid):
    """Returns a process and all below it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def cpu(pid):
    """Returns the seconds that a process, all that are below it, and those that ended there have run."""
    ticks = 0
    for each in family(pid):
        fields = read(f"/proc/{each}/stat").rpartition(") ")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS


def thread_cpu(pid, name):
    """Returns the seconds that the threads of this name have run."""
    threads = [t for t in os.listdir(f"/proc/{pid}/task") if read(f"/proc/{pid}/task/{t}/comm").strip() == name]
    return sum(int((read(f"/proc/{pid}/task/{t}/schedstat").split() or ["0"])[0]) for t in threads) / 1e9


def resident(pid, of=None):
    """Returns the resident bytes of a process and all below it, or of these, each its share of the pages in common."""
    kib = (re.search(r"^Pss:\s+(\d+)", read(f"/proc/{each}/smaps_rollup"), re.M) for each in of or family(pid))
    return sum(int(found[1]) for found in kib if found) * 1024


def run(command, output=os.devnull):
    """Runs a program to its end. Returns CPU and wall seconds of it and all that it left behind, and the peak resident
    kilobytes of the largest of these processes."""
    # What it starts and does not wait for becomes ours, so that it is counted too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    begun, spent, largest = time.monotonic(), 0.0, 0
    with open(output, "wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wanted = child.pid
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(wanted, 0)
            if pid == child.pid:
                child.returncode, wall = os.waitstatus_to_exitcode(status), time.monotonic() - begun
            spent, largest, wanted = spent + used.ru_utime + used.ru_stime, max(largest, used.ru_maxrss), -1
    return spent, wall, largest


# --- made files and rules


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


def made_rules(folder, count):
    """Writes rules of the shapes that public collections have, a hundred in a file; always the same. Returns their names."""
    chance = random.Random(6000)
    heads = (["uint16(0) == 0x5A4D and filesize < {kb}KB and "] * 5 + ["uint32(0) == 0x464c457f and "]
             + ["filesize < {kb}KB and "] * 2 + [""] * 2)
    os.makedirs(folder, exist_ok=True)
    for first in range(0, count, 100):
        with open(os.path.join(folder, f"{first // 100:04d}.yar"), "w", encoding="ascii") as file:
            for n in range(first, min(first + 100, count)):
                words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=chance.randint(8, 24))) for _ in range(5)]
                bytes_ = " ".join(f"{chance.randrange(256):02x}" for _ in range(12))
                head = chance.choice(heads).format(kb=chance.choice([100, 500, 2000, 10000]))
                strings = "".join(f'        $s{i} = "{w}"{chance.choice(["", " wide ascii", " nocase"])}\n' for i, w in enumerate(words))
                file.write(f"rule made_{n} {{\n    strings:\n{strings}        $h = {{ {bytes_} }}\n"
                           f"    condition:\n        {head}(3 of ($s*) or $h)\n}}\n")
    return [f"made_{n}" for n in range(count)]


def made_pack(folder, count):
    """Writes a pack for `khien rules push`: made rules, and one that finds TRIGGER."""
    names = made_rules(folder, count)
    with open(os.path.join(folder, "trigger.yar"), "w", encoding="ascii") as file:
        file.write(f'rule made_trigger {{ strings: $a = "{TRIGGER}" condition: $a }}\n')
    same = 'title = { vi = "made", en = "made" }\nexplanation = { vi = "made", en = "made" }\nnext_step = { vi = "-", en = "-" }\n'
    ids = [(f"made.r{n}", name) for n, name in enumerate(names)] + [(TRIGGER_RULE, "made_trigger")]
    with open(os.path.join(folder, "pack.toml"), "w", encoding="ascii") as file:
        file.write(f"version = {MADE}\n")
        file.writelines(f'[[rule]]\nid = "{id_}"\nyara = "{name}"\nseverity = "low"\n'
                        f'streams = {str(id_ == TRIGGER_RULE).lower()}\n{same}' for id_, name in ids)


# --- a real site


class Site:
    """A `khien up --json` with hub, agent and workers, in a home of its own, over some folders."""

    def __init__(self, work, folders, user=None, more=()):
        self.home = os.path.join(work, "home")
        self.environment = {**os.environ, "KHIEN_LANG": "en"}
        for name in ("KHIEN_HOME", "RUST_LOG"):
            self.environment.pop(name, None)
        # Another user, who cannot have fanotify.
        self.whose = {"user": user, "group": user, "extra_groups": []} if user else {}
        self.alerts = queue.Queue()
        begun = time.monotonic()
        self.up = subprocess.Popen([program(), "--home", self.home, "up", "--json", *more, "--watch", *folders], env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **self.whose)
        said = next((line for line in iter(self.up.stderr.readline, "") if "ready" in line.lower()), None)
        if not said:
            sys.exit("khien up ended before it was ready")
        self.took = time.monotonic() - begun
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self.up.stderr.read, daemon=True).start()

    def _listen(self):
        for line in self.up.stdout:
            with contextlib.suppress(ValueError):
                self.alerts.put(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.up.send_signal(signal.SIGINT)
        try:
            self.up.wait(20)
        except subprocess.TimeoutExpired:
            self.up.kill()

    def pid(self, name):
        """Returns the process id of hub or agent."""
        return next(p for p in children(self.up.pid) if read(f"/proc/{p}/comm").strip() == name)

    def ask(self, *words):
        """Runs `khien WORDS --json`."""
        done = subprocess.run([program(), "--home", self.home, *words, "--json"], env=self.environment, capture_output=True, text=True,
                              **self.whose)
        if done.returncode:
            sys.exit(f"khien {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def health(self):
        return self.ask("agent", "list")[0]

    def until(self, what, fits, seconds=600, every=0.5):
        """Asks for the agent's health until it fits."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            health = self.health()
            if fits(health):
                return health
            time.sleep(every)
        sys.exit(f"{what} did not come within {seconds} s: {json.dumps(health)[:2000]}")

    def push(self, work, rules):
        """Gives the agent so many made rules and the one that finds TRIGGER, and waits until they are loaded."""
        folder = os.path.join(work, "pack")
        made_pack(folder, rules)
        self.ask("rules", "push", folder)
        self.until("the made pack", lambda health: health["pack"] == MADE)
        shutil.rmtree(folder)

    def next_alert(self, seconds):
        """Returns the next line of an alert, if one comes in time."""
        with contextlib.suppress(queue.Empty):
            return self.alerts.get(timeout=max(seconds, 0))
        return None

    def found(self, wanted, seconds):
        """Waits until the trigger was found in all these paths. Returns the time of the match by path, nanoseconds since 1970."""
        found, end = {}, time.monotonic() + seconds
        while wanted - found.keys() and time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                alert = self.alerts.get(timeout=0.5)
                if alert.get("rule") == TRIGGER_RULE:
                    found.setdefault(alert["path"], nanoseconds(alert["first_seen"]))
        return found


def nanoseconds(text):
    """Reads a time such as 2026-01-02T03:04:05.678901234Z."""
    seconds, _, rest = text.rstrip("Z").partition(".")
    whole = datetime.datetime.fromisoformat(seconds + "+00:00")
    return int(whole.timestamp()) * 10**9 + int(rest.ljust(9, "0")[:9] or 0)
