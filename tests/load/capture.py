#!/usr/bin/env python3
"""Measures what the network sensor takes of a live interface, beside tcpdump, and how soon it tells.

    tests/load/capture.py [--packets N] [--rounds N] [--idle SECONDS] [--latency N] [--rates N,N]

As root. Makes a network namespace of its own with a veth pair; send.py beside this one sends made frames (web pages in segments of
1448 bytes, look-ups of names, with right checksums) at one end, as fast as it can and then at each rate, and the receivers take turns
at the other: `tcpdump -w /dev/null` with a ring as large as ours, and `khien up`. Counted are packets lost, by each receiver's own
word and by the interface's, and processor time: of the capture thread alone, of the thread that looks, and of the agent and
all below it. Then it waits, for what an idle agent costs; then it sends requests of which rules for streams find the content,
and takes the time from just before the last byte is sent to the match, by the agent's clock.
"""

import argparse, contextlib, os, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time

from send import Frames
from measure import TRIGGER, TRIGGER_RULE, Site, cpu, family, goal, nanoseconds, read, share, thread_cpu

NEAR, FAR = "load0", "load1"
RING_KIB = 8192
# Heartbeats, which tell the counters, are closer than this.
REST = 9
MARK = "KHIEN_LOAD_NETWORK"
# Packets a second that the sender must reach for a comparison at top speed.
TOP = 250_000


# --- made frames


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def frame(protocol, source, target, segment, at):
    """Puts an Ethernet and an IPv4 header before a segment whose checksum stands at `at`."""
    pseudo = source + target + struct.pack("!BBH", 0, protocol, len(segment))
    segment = segment[:at] + struct.pack("!H", checksum(pseudo + segment)) + segment[at + 2:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, protocol, 0) + source + target
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + b"\x08\0" + head + segment


def tcp(ends, flags, seq, ack, payload=b""):
    (source, sport), (target, dport) = ends
    return frame(6, source, target, struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 65535, 0, 0) + payload, 16)


def page(chance, n):
    """Returns the frames of one request and its answer."""
    client, server = (bytes([10, 9, n >> 8 & 255, n & 255]), 20_000 + n % 40_000), (bytes([198, 18, 0, n % 200 + 1]), 80)
    there, back = (client, server), (server, client)
    ask = f"GET /{chance.randrange(10**9)}.html HTTP/1.1\r\nHost: www{n % 50}.example\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n".encode()
    body = ("<p>" + " ".join(chance.choices(["one", "hai", "three", "bốn", "page"], k=chance.choice((100, 800, 3_000)))) + "</p>").encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    out = [tcp(there, 2, 0, 0), tcp(back, 18, 0, 1), tcp(there, 16, 1, 1), tcp(there, 24, 1, 1, ask)]
    for at in range(0, len(answer), 1448):
        out.append(tcp(back, 24, 1 + at, 1 + len(ask), answer[at:at + 1448]))
        out.append(tcp(there, 16, 1 + len(ask), 1 + min(at + 1448, len(answer))))
    return out + [tcp(back, 17, 1 + len(answer), 1 + len(ask)), tcp(there, 17, 1 + len(ask), 2 + len(answer)), tcp(back, 16, 2 + len(answer), 2 + len(ask))]


def question(n):
    name = b"".join(bytes([len(part)]) + part for part in f"host{n}.load.example".encode().split(b".")) + b"\0"
    message = struct.pack("!HHHHHH", n & 0xffff, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"
    source, target = bytes([10, 8, n >> 8 & 255, n & 255]), bytes([10, 8, 255, 53])
    return frame(17, source, target, struct.pack("!HHHH", 30_000 + n % 30_000, 53, 8 + len(message), 0) + message, 6)


def made_frames(flows):
    """Returns the frames of so many pages and look-ups; always the same."""
    chance, frames = random.Random(20261123), []
    for n in range(flows):
        frames += page(chance, n)
        frames.append(question(n))
    return frames


# --- the network


def enter(needs):
    """Goes on in a network namespace of its own, which ends with this process."""
    if os.environ.get(MARK):
        return
    if missing := [needed for needed in needs if not shutil.which(needed)]:
        sys.exit(f"missing: {', '.join(missing)} (Debian: tcpdump iproute2 util-linux nginx-light curl)")
    os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], {**os.environ, MARK: "1"})


def make_network():
    for command in ("ip link set lo up", f"ip link add {NEAR} type veth peer name {FAR}", f"ip link set {NEAR} arp off", f"ip link set {FAR} arp off"):
        subprocess.run(command.split(), check=True)
    for name in (NEAR, FAR):
        # Else the hosts at both ends speak, too.
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as file:
            file.write("1")
        subprocess.run(["ip", "link", "set", name, "up"], check=True)


def link_counter():
    """Reads what came in at the far end; /sys may show another network's names in a namespace."""
    for line in read("/proc/self/net/dev").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == FAR:
            return int(rest.split()[1])
    return 0


def send(frames, loops, rate):
    """Sends the frames so many times. Returns packets that came in at the far end, and the seconds that it took."""
    before = link_counter()
    took = frames.send(NEAR, loops, rate)
    return link_counter() - before, took


# --- the receivers


def by_tcpdump(frames, loops, rate):
    child = subprocess.Popen(["tcpdump", "-n", "-i", FAR, "-B", str(RING_KIB), "-w", "/dev/null"], stderr=subprocess.PIPE, text=True)
    child.stderr.readline()
    time.sleep(0.5)
    sent, took = send(frames, loops, rate)
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    said = child.stderr.read()
    _, _, used = os.wait4(child.pid, 0)
    child.returncode = 0
    lost = int(re.search(r"(\d+) packets? dropped by kernel", said)[1])
    return sent, took, lost, used.ru_utime + used.ru_stime


def wire(site):
    return next((w for w in site.health().get("wires", []) if w["interface"] == FAR), {"packets": 0, "kernel": 0, "queue": 0, "busy": 0, "failed": 0, "evicted": 0})


def settled(site):
    """Waits until the counters rest, which the agent states once a second and tells with its heartbeat."""
    before, since = wire(site), time.monotonic()
    while time.monotonic() - since < REST:
        time.sleep(1)
        now = wire(site)
        if now != before:
            before, since = now, time.monotonic()
    return before


def by_thread(pid):
    """Returns the seconds that each thread of an agent and of what is below it has run, those of one name together."""
    spent = {}
    for each in family(pid):
        tasks = os.listdir(f"/proc/{each}/task") if os.path.isdir(f"/proc/{each}/task") else []
        for name in {read(f"/proc/{each}/task/{task}/comm").strip() for task in tasks}:
            spent[name] = spent.get(name, 0) + thread_cpu(each, name)
    return spent


def by_agent(site, frames, loops, rate):
    agent, before = site.pid("khien-agent"), settled(site)
    threads = lambda: [thread_cpu(agent, f"capture-{FAR}"), thread_cpu(agent, "traffic"), cpu(agent)]
    began, each = threads(), by_thread(agent)
    sent, took = send(frames, loops, rate)
    after = settled(site)
    spent = [now - then for now, then in zip(threads(), began)]
    most = sorted(((now - each.get(name, 0)) / max(sent, 1) * 1e6, name) for name, now in by_thread(agent).items())[:-8:-1]
    print("  µs a packet by thread: " + ", ".join(f"{name} {used:.2f}" for used, name in most))
    counts = {key: after[key] - before[key] for key in after if isinstance(after[key], int) and not isinstance(after[key], bool)}
    return sent, took, counts, spent


def compare(site, frames, loops, rate, rounds):
    how = f"{rate} packets/s" if rate else "top speed"
    tcpdump, ours, speeds = [], [], []
    for _ in range(rounds):
        sent, took, lost, spent = by_tcpdump(frames, loops, rate)
        tcpdump.append((lost, spent / sent * 1e6))
        speeds.append(sent / took)
        print(f"{how}: tcpdump: {sent} packets, {sent / took:.0f}/s, lost {lost}; {spent / sent * 1e6:.2f} µs a packet", flush=True)
    for _ in range(rounds):
        sent, took, counts, (capture, looks, everything) = by_agent(site, frames, loops, rate)
        lost = counts["kernel"] + counts["queue"]
        unseen = max(sent - counts["packets"], 0)
        ours.append((lost + unseen, capture / sent * 1e6, everything / sent * 1e6, counts["busy"] + counts["failed"]))
        speeds.append(sent / took)
        print(f"{how}: khien-agent: {sent} packets, {sent / took:.0f}/s, lost {lost} (kernel {counts['kernel']}, agent busy {counts['queue']}), "
              f"neither seen nor counted {unseen}, not scanned {counts['busy'] + counts['failed']}, forgotten {counts['evicted']}; "
              f"capture {capture / sent * 1e6:.2f} µs a packet, looking {looks / sent * 1e6:.2f}, all {everything / sent * 1e6:.2f}", flush=True)
    middle = lambda values: share(values, .5)
    goal(f"{how}, reached", middle(speeds), rate * 0.95 if rate else TOP, "packets/s", least=True)
    if middle([lost for lost, _ in tcpdump]) == 0:
        goal(f"{how}, packets lost where tcpdump loses none", middle([lost for lost, *_ in ours]), 0)
    goal(f"{how}, pieces and files not scanned", middle([unscanned for *_, unscanned in ours]), 0)
    goal(f"{how}, processor time of capture to tcpdump's", middle([c for _, c, *_ in ours]) / middle([c for _, c in tcpdump]), 1.5)
    goal(f"{how}, processor time of the agent in all", middle([a for _, _, a, _ in ours]), 4, "µs a packet")


def idle(site, seconds):
    agent = site.pid("khien-agent")
    began, spent = time.monotonic(), cpu(agent)
    threads = thread_cpu(agent, f"capture-{FAR}") + thread_cpu(agent, "traffic")
    time.sleep(seconds)
    took = time.monotonic() - began
    threads = thread_cpu(agent, f"capture-{FAR}") + thread_cpu(agent, "traffic") - threads
    print(f"idle for {took:.0f} s: agent and all below it {(cpu(agent) - spent) / took * 100:.2f} % of a processor")
    goal("idle, threads of the network sensor", threads / took * 100, 0.5, "% of a processor")


def latency(site, count):
    """Sends requests one after another, each when the alert for the one before it has come or is late."""
    listener = socket.create_server(("127.0.0.1", 0))
    port, late = listener.getsockname()[1], []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # All have been asked: the listener is shut.
                return
            with contextlib.suppress(ConnectionError), connection:
                while data := connection.recv(65536):
                    if b"\r\n\r\n" in data or data.endswith(b"!"):
                        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    for n in range(count):
        url = f"/latency-{n}"
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"POST {url} HTTP/1.1\r\nHost: load.example\r\nContent-Length: {len(TRIGGER) + 1}\r\n\r\n".encode() + TRIGGER[:9].encode())
            time.sleep(0.02)
            sent = time.time_ns()
            client.sendall(TRIGGER[9:].encode() + b"!")
            end = time.monotonic() + 5
            while time.monotonic() < end:
                alert = site.next_alert(end - time.monotonic())
                if alert and alert.get("rule") == TRIGGER_RULE and (alert.get("flow") or {}).get("url", "").endswith(url):
                    late.append((nanoseconds(alert["first_seen"]) - sent) / 1e6)
                    break
    listener.close()
    print(f"{len(late)} of {count} requests found; last byte sent to match: p50 {share(late, .5):.1f} ms, p99 {share(late, .99):.1f}, max {max(late):.1f}" if late
          else f"none of {count} requests was found")
    goal("requests found", len(late), count, least=True)
    if late:
        goal("last matching packet to the match, p99", share(late, .99), 100, "ms")


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--packets", type=int, default=3_000_000, help="packets of one round")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--rates", default="100000", help="packets a second beside top speed")
    asked.add_argument("--idle", type=float, default=30)
    asked.add_argument("--latency", type=int, default=200, help="requests")
    asked.add_argument("--rules", type=int, default=200)
    args = asked.parse_args()
    enter(("tcpdump", "ip", "unshare"))
    make_network()
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        folder, made = os.path.join(work, "web"), made_frames(6_000)
        os.mkdir(folder)
        count, size, frames = len(made), sum(map(len, made)), Frames(made)
        loops = max(args.packets // count, 1)
        print(f"{count} made packets, {size / count:.0f} bytes each on average, sent {loops} times a round")
        with Site(work, [folder], more=["--interface", FAR, "--interface", "lo"]) as site:
            site.push(work, args.rules)
            for rate in [0, *(int(rate) for rate in args.rates.split(",") if rate)]:
                compare(site, frames, loops, rate, args.rounds)
            idle(site, args.idle)
            latency(site, args.latency)


if __name__ == "__main__":
    main()
