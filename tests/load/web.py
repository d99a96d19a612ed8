#!/usr/bin/env python3
"""Measures the network sensor on a host whose web server speaks at a rate, with the shipped rules for streams.

    tests/load/web.py [--gbit N,N] [--seconds N] [--rounds N] [--clients N] [--planted N]

As root. Two network namespaces, joined by a cable that takes so much and no more (tc-tbf(8)): in one nginx serves pages, scripts and
downloads, in the other curl asks for them on many lasting connections, in segments of the size that a wire has. On the server's end
`tcpdump -w /dev/null` and `khien up` with the shipped pack take turns. Now and then a page is a test file that a rule for streams
finds: all of them must be alerts. Counted are bits a second over the cable, packets lost by each receiver's own word, pieces of
streams and files that were not scanned, processor time of the agent and its workers, and memory.
"""

import argparse, contextlib, os, random, re, signal, subprocess, sys, tempfile, time

from capture import FAR, NEAR, RING_KIB, by_thread, enter, settled
from measure import WORDS, Site, cpu, goal, read, resident, share

SERVER, CLIENT = "10.79.0.1", "10.79.0.2"
# URLs of one curl; each asks for them in turn on one connection.
URLS = 4_000
RULE = "test.eicar"
# The test file, each byte one higher: nothing here is to be taken for it.
SHIFTED = "Y6P\"Q&ABQ\\5]Q[Y65)Q_*8DD*8~%FJDBS.TUBOEBSE.BOUJWJSVT.UFTU.GJMF\"%I,I+"


# --- two hosts


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def client_host():
    """Makes the other network, which ends with a process, and the cable. Yields what runs a command there."""
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as other:
        try:
            there = ["nsenter", f"--net=/proc/{other.pid}/ns/net"]
            until("another network", lambda: os.readlink(f"/proc/{other.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
            run("ip", "link", "add", FAR, "type", "veth", "peer", "name", NEAR, "netns", str(other.pid))
            for prefix, name, address in (([], FAR, SERVER), (there, NEAR, CLIENT)):
                # Segments as they are on a wire, not those that a network card would cut.
                run(*prefix, "ip", "link", "set", name, "gso_max_segs", "1")
                run(*prefix, "ip", "addr", "add", f"{address}/24", "dev", name)
                for up in ("lo", name):
                    run(*prefix, "ip", "link", "set", up, "up")
            yield there
        finally:
            other.kill()


def until(what, fits, seconds=20):
    end = time.monotonic() + seconds
    while not fits():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


def limit(gbit):
    """Has the server's end of the cable take so much and no more."""
    subprocess.run(["tc", "qdisc", "del", "dev", FAR, "root"], stderr=subprocess.DEVNULL, check=False)
    run("tc", "qdisc", "add", "dev", FAR, "root", "tbf", "rate", f"{gbit * 1000:.0f}mbit", "burst", "512kb", "latency", "50ms")


def sent():
    """Returns the packets of both directions, and the bytes that the server sent."""
    fields = re.search(rf"{FAR}:\s*(.*)", read("/proc/self/net/dev"))[1].split()
    return int(fields[1]) + int(fields[9]), int(fields[8])


# --- what is served and asked for


def site(folder, chance):
    """Writes pages, scripts, pictures and downloads, about 90 MB. Returns their names, the large ones once."""
    os.makedirs(folder)
    kinds = {"html": 150, "js": 60, "css": 40, "json": 60, "jpg": 120, "pdf": 40, "iso": 24}
    names = []
    for kind, count in kinds.items():
        for n in range(count):
            names.append(f"{kind}-{n}.{kind}")
            if kind in ("jpg", "pdf"):
                body = chance.randbytes(int(chance.lognormvariate(10.5, 1)))
            elif kind == "iso":
                body = chance.randbytes(1_500_000 + 130_000 * n)
            else:
                size = int(chance.lognormvariate(9, 1))
                body = ("<html><p>" + " ".join(chance.choices(WORDS, k=size // 6 + 1)) + "</p></html>").encode()
            with open(os.path.join(folder, names[-1]), "wb") as file:
                file.write(body)
    with open(os.path.join(folder, "planted"), "w", encoding="ascii") as file:
        file.write("".join(chr(ord(letter) - 1) for letter in SHIFTED))
    return names


def nginx(work):
    with open(f"{work}/nginx.conf", "w", encoding="ascii") as file:
        file.write(f"""
            daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log; worker_processes 1; user root;
            events {{ worker_connections 1024; }}
            http {{
                types {{ text/html html; text/css css; application/javascript js; application/json json; image/jpeg jpg; application/pdf pdf; }}
                default_type application/octet-stream; access_log off; keepalive_requests 1000000; sendfile on; tcp_nopush on;
                client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
                scgi_temp_path {work}/s;
                server {{ listen {SERVER}:80; root {work}/www; location /planted/ {{ try_files /planted =404; }} }}
            }}""")
    return ["nginx", "-c", f"{work}/nginx.conf", "-p", work]


def asked(path, names, chance):
    """Writes what one curl asks for."""
    with open(path, "w", encoding="ascii") as file:
        file.write('silent\ngloboff\nuser-agent = "load"\n')
        for n in range(URLS):
            file.write(f'url = "http://{SERVER}/{chance.choice(names)}?{n}"\noutput = "/dev/null"\n')


class Clients:
    """So many curls, each of which asks again when it is done, and one that asks for planted pages now and then."""

    def __init__(self, there, files, names):
        self.there, self.files, self.running = there, files, {}
        self.names = names

    def curl(self, *words):
        return subprocess.Popen([*self.there, "curl", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def ask_for(self, seconds, planted, mark):
        """Asks for so long, and for so many planted pages evenly in between. Returns their URLs."""
        begun, urls = time.monotonic(), []
        while (now := time.monotonic() - begun) < seconds:
            for file in self.files:
                if file not in self.running or self.running[file].poll() is not None:
                    self.running[file] = self.curl("-K", file)
            if len(urls) < planted and now >= (len(urls) + 0.5) * seconds / planted:
                urls.append(f"http://{SERVER}/planted/{mark}-{len(urls)}")
                self.curl("-s", "-o", "/dev/null", urls[-1]).wait(10)
            time.sleep(0.02)
        for child in self.running.values():
            child.kill()
            child.wait()
        self.running.clear()
        return urls


# --- the receivers


def rounds_of(clients, args, mark, planted=0):
    """Lets the clients ask. Returns packets, gigabits a second, and the planted URLs."""
    before, begun = sent(), time.monotonic()
    urls = clients.ask_for(args.seconds, planted, mark)
    took, after = time.monotonic() - begun, sent()
    return after[0] - before[0], (after[1] - before[1]) * 8 / took / 1e9, urls


def by_tcpdump(clients, args, mark):
    child = subprocess.Popen(["tcpdump", "-n", "-i", FAR, "-B", str(RING_KIB), "-w", "/dev/null"], stderr=subprocess.PIPE, text=True)
    child.stderr.readline()
    time.sleep(0.5)
    packets, gbit, _ = rounds_of(clients, args, mark)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    said = child.stderr.read()
    used = os.wait4(child.pid, 0)[2]
    child.returncode = 0
    lost = int(re.search(r"(\d+) packets? dropped by kernel", said)[1])
    print(f"tcpdump: {gbit:.2f} Gbit/s, {packets} packets, lost {lost}, {(used.ru_utime + used.ru_stime) / args.seconds * 100:.0f} % of a processor", flush=True)


def by_agent(site_up, clients, args, mark):
    agent, before = site_up.pid("khien-agent"), settled(site_up)
    spent, each = cpu(agent), by_thread(agent)
    packets, gbit, urls = rounds_of(clients, args, mark, args.planted)
    busy = cpu(agent) - spent
    found = found_in(site_up, set(urls), 30)
    after = settled(site_up)
    most = sorted(((now - each.get(name, 0), name) for name, now in by_thread(agent).items()))[:-8:-1]
    counts = {key: after[key] - before[key] for key in ("packets", "kernel", "queue", "busy", "failed", "evicted")}
    print(f"khien-agent: {gbit:.2f} Gbit/s, {packets} packets, lost {counts['kernel'] + counts['queue']} (kernel {counts['kernel']}, agent busy "
          f"{counts['queue']}), not scanned {counts['busy'] + counts['failed']}, forgotten {counts['evicted']}, {found} of {len(urls)} planted pages found, "
          f"{busy / args.seconds * 100:.0f} % of a processor, {resident(agent) / 1e6:.0f} MB")
    print("  seconds by thread: " + ", ".join(f"{name} {used:.2f}" for used, name in most), flush=True)
    return gbit, counts["kernel"] + counts["queue"], counts["busy"] + counts["failed"], len(urls) - found, busy / args.seconds * 100


def found_in(site_up, urls, seconds):
    """Waits until the rule found all of these pages."""
    found, end = set(), time.monotonic() + seconds
    while urls - found and time.monotonic() < end:
        alert = site_up.next_alert(0.5)
        if alert and alert.get("rule") == RULE:
            found.add((alert.get("flow") or {}).get("url", ""))
    return len(urls & found)


def measure(site_up, clients, args, gbit):
    limit(gbit)
    how = f"{gbit:g} Gbit/s of HTTP with rules for streams"
    for n in range(args.rounds):
        by_tcpdump(clients, args, f"{gbit:g}-{n}")
    ours = [by_agent(site_up, clients, args, f"{gbit:g}-{n}") for n in range(args.rounds)]
    reached, lost, unscanned, missed, busy = (share([one[at] for one in ours], .5) for at in range(5))
    # A link of so many bits carries a little less of TCP.
    goal(f"{how}, reached", reached, gbit * 0.95, "Gbit/s", least=True)
    goal(f"{how}, packets lost", lost, 0)
    goal(f"{how}, pieces and files not scanned", unscanned, 0)
    goal(f"{how}, planted pages missed", missed, 0)
    print(f"        {how}: the agent and its workers take {busy:.0f} % of a processor")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--gbit", default="0.5,1", help="rates of the cable")
    words.add_argument("--seconds", type=float, default=20)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--clients", type=int, default=8)
    words.add_argument("--planted", type=int, default=20, help="pages of a round that a rule finds")
    args = words.parse_args()
    enter(("tcpdump", "ip", "tc", "nsenter", "unshare", "nginx", "curl"))
    chance = random.Random(20261123)
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="khien-load-"))
        names, there = site(f"{work}/www", chance), stack.enter_context(client_host())
        server = subprocess.Popen(nginx(work), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        files = [f"{work}/asked-{n}" for n in range(args.clients)]
        for file in files:
            asked(file, names, chance)
        os.mkdir(f"{work}/watched")
        up = stack.enter_context(Site(work, [f"{work}/watched"], more=["--interface", FAR]))
        for gbit in args.gbit.split(","):
            measure(up, Clients(there, files, names), args, float(gbit))


if __name__ == "__main__":
    main()
