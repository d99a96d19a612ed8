#!/usr/bin/env python3
"""Makes a file of packets of real clients and servers: what the bench and the peer test of `khien pcap scan` read.

    tests/load/traffic.py [--packets N] [--megabytes N] [--seed N] [--seconds N] FILE

As root. Two network namespaces, joined by a cable, exist while it runs: in one nginx, openssl s_server, dnsmasq, sshd (where it is
installed) and a mail server answer, in the other curl, openssl s_client, dig, ping, ssh-keyscan and Python's smtplib ask, over IPv4
and IPv6. tcpdump writes what goes over the cable, whole. Which names, targets and files are asked for follows from the seed; ports,
times and keys do not. It goes round until there are so many packets and megabytes, or for so many seconds.

Needs: ip, tcpdump, nginx, curl, openssl, dnsmasq, dig, ping (Debian: iproute2 tcpdump nginx-light curl openssl dnsmasq-base
bind9-dnsutils iputils-ping).
"""

import argparse, contextlib, email.message, os, random, re, shutil, signal, smtplib, socketserver, ssl, subprocess, sys, tempfile, time

NEEDS = ["ip", "tcpdump", "nginx", "curl", "openssl", "dnsmasq", "dig", "ping"]
SERVER, CLIENT = ["10.78.0.1", "fd78::1"], ["10.78.0.2", "fd78::2"]
NAMES = ["cong-dich-vu", "mot-cua", "van-ban", "tai-nguyen", "y-te", "giao-duc", "camera", "thu-dien-tu", "ho-so", "thong-ke"]
ZONE = "tinh.example"
# More packets than this are made by more clients at once.
LARGE = 20_000
WORDS = ("the quick server answers a request and writes one more line to its log while nobody looks at it "
         "công văn số ngày tháng năm về việc báo cáo kết quả thực hiện nhiệm vụ được giao").split()
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "curl/8.5.0", "kiểm-tra/1.0", "Wget/1.21.3"]


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


# --- two networks and a cable


class Networks:
    def __init__(self):
        self.names = [f"khien-{os.getpid()}-{end}" for end in "sc"]

    def __enter__(self):
        try:
            for name in self.names:
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "link", "add", "kt0", "netns", self.names[0], "type", "veth", "peer", "name", "kt1", "netns", self.names[1])
            for name, link, addresses in zip(self.names, ("kt0", "kt1"), (SERVER, CLIENT)):
                # Segments as they are on a wire, not those that a network card would cut.
                run("ip", "-n", name, "link", "set", link, "gso_max_segs", "1")
                run("ip", "-n", name, "addr", "add", addresses[0] + "/24", "dev", link)
                run("ip", "-n", name, "addr", "add", addresses[1] + "/64", "dev", link, "nodad")
                run("ip", "-n", name, "link", "set", link, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)

    def command(self, end, *command):
        return ["ip", "netns", "exec", self.names[end], *command]


# --- servers


def text(chance, size):
    return " ".join(chance.choices(WORDS, k=size // 6 + 1))[:size]


def site(folder, chance):
    """Writes what nginx serves: pages, scripts and files of all sizes."""
    os.makedirs(folder)
    files = {}
    for n in range(40):
        kind = ["html", "css", "js", "json", "txt"][n % 5]
        files[f"{NAMES[n % len(NAMES)]}-{n}.{kind}"] = text(chance, int(chance.lognormvariate(8.5, 1))).encode()
    for n in range(12):
        files[f"tep-{n}.{['bin', 'jpg', 'zip', 'pdf'][n % 4]}"] = chance.randbytes(int(chance.lognormvariate(10.5, 1.2)))
    for n in range(3):
        files[f"lon-{n}.iso"] = chance.randbytes(1_500_000 + 700_000 * n)
    for name, body in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(body)
    return list(files)


def nginx(work):
    with open(f"{work}/nginx.conf", "w", encoding="ascii") as file:
        file.write(f"""
            daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log; worker_processes 1; user root;
            events {{ worker_connections 512; }}
            http {{
                types {{ text/html html; text/css css; application/javascript js; application/json json; text/plain txt;
                         image/jpeg jpg; application/zip zip; application/pdf pdf; }}
                default_type application/octet-stream; access_log off; keepalive_requests 10000; client_max_body_size 64m;
                gzip on; gzip_min_length 200; gzip_types text/css text/plain application/javascript application/json;
                client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
                scgi_temp_path {work}/s; ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem;
                server {{
                    listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2; server_name _;
                    root {work}/www;
                    location /nop/ {{ proxy_pass http://unix:{work}/nop.sock; }}
                    location /cu/ {{ return 302 /moi/; }}
                }}
                server {{ listen unix:{work}/nop.sock; location / {{ return 201 "da nhan\\n"; }} }}
            }}""")
    return ["nginx", "-c", f"{work}/nginx.conf", "-p", work]


def dnsmasq(work):
    with open(f"{work}/dnsmasq.conf", "w", encoding="ascii") as file:
        file.write(f"port=53\nno-resolv\nno-hosts\nlocal=/{ZONE}/\nuser=root\npid-file={work}/dnsmasq.pid\nbind-interfaces\n")
        file.writelines(f"listen-address={address}\n" for address in SERVER)
        for n, name in enumerate(NAMES):
            file.write(f"host-record={name}.{ZONE},192.0.2.{n + 1},2001:db8::{n + 1:x}\n")
            file.write(f"txt-record={name}.{ZONE},v=spf1 ip4:192.0.2.{n + 1} -all\nmx-host={name}.{ZONE},mx{n}.{ZONE},10\n")
            file.write(f"cname=www.{name}.{ZONE},{name}.{ZONE}\n")
        # Too long for a datagram without EDNS.
        file.writelines(f"host-record=nhieu.{ZONE},198.51.100.{n}\n" for n in range(1, 100))
    return ["dnsmasq", "--keep-in-foreground", f"--conf-file={work}/dnsmasq.conf"]


class Mail(socketserver.StreamRequestHandler):
    """Takes letters and throws them away; goes over to TLS if asked."""

    def handle(self):
        self.say("220 mail ready")
        while line := self.rfile.readline().strip().upper():
            verb = line.split(b" ")[0]
            if verb == b"EHLO":
                self.say("250-mail", "250-8BITMIME", "250 STARTTLS")
            elif verb == b"DATA":
                self.say("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.say("250 taken")
            elif verb == b"STARTTLS":
                self.say("220 go on")
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
                self.setup()
            elif verb == b"QUIT":
                return self.say("221 bye")
            else:
                self.say("250 ok")

    def say(self, *lines):
        self.wfile.write("".join(line + "\r\n" for line in lines).encode())


def mail_server(work):
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True
    server = Server((SERVER[0], 25), Mail)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(f"{work}/cert.pem", f"{work}/key.pem")
    server.serve_forever()


def sshd(work):
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{work}/host")
    os.makedirs("/run/sshd", exist_ok=True)
    return [shutil.which("sshd"), "-D", "-f", "/dev/null", "-o", f"HostKey={work}/host", "-o", f"PidFile={work}/sshd.pid"]


def servers(work):
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/C=VN/O=So Thong tin/CN=cong.{ZONE}",
        "-keyout", f"{work}/key.pem", "-out", f"{work}/cert.pem")
    tls = ["openssl", "s_server", "-quiet", "-www", "-cert", f"{work}/cert.pem", "-key", f"{work}/key.pem", "-alpn", "http/1.1,khien"]
    all_of = {80: nginx(work), 53: dnsmasq(work), 25: [sys.executable, __file__, "--mail", work],
              8443: [*tls, "-accept", "8443", "-tls1_3"], 9443: [*tls, "-accept", "9443", "-tls1_2"]}
    if shutil.which("sshd"):
        all_of[22] = sshd(work)
    return all_of


# --- clients


def web(chance, files, number):
    """Returns what curl asks for on one connection, as its configuration."""
    lines = ["silent", "insecure", "globoff"]
    host = f"{chance.choice(NAMES)}.{ZONE}"
    address = chance.choice(SERVER)
    secure = chance.random() < 0.15
    scheme, port = ("https", 443) if secure else ("http", 80)
    lines += [f'connect-to = "{host}:{port}:{f"[{address}]" if ":" in address else address}:{port}"', f'user-agent = "{chance.choice(AGENTS)}"']
    if secure:
        lines.append(chance.choice(["tlsv1.3", 'tls-max = "1.2"', "http1.1"]))
    how = chance.choices(["plain", "compressed", "range", "head", "missing", "upload", "form", "old", "moved"], [9, 4, 1, 1, 1, 1, 1, 1, 1])[0]
    lines += {"compressed": ["compressed"], "range": ['range = "100-2099"'], "head": ["head"], "old": ["http1.0"]}.get(how, [])
    small = [name for name in files if not name.startswith("lon-")]
    for n in range(chance.choice([1, 1, 2, 6])):
        target = {"missing": f"khong-co/{number}-{n}.php", "upload": f"nop/{number}-{n}.bin", "form": f"nop/{number}-{n}",
                  "moved": f"cu/{number}"}.get(how, f"{chance.choice(small)}?luot={number}&n={n}")
        lines += [f'url = "{scheme}://{host}/{target}"', 'output = "/dev/null"']
        if how == "upload":
            lines.append(f'upload-file = "www/{chance.choice(small)}"')
    if how == "form":
        lines.append(f'form = "ho-so=@www/{chance.choice(small)};filename=ho-so-{number}.pdf"')
    return "\n".join(lines)


def download(chance, number):
    address = chance.choice(SERVER)
    name = f"lon-{number % 3}.iso"
    host = f"[{address}]" if ":" in address else address
    return f'silent\nurl = "http://{host}/{name}?luot={number}"\noutput = "/dev/null"\n'


def questions(chance, count, number):
    """Returns lines for `dig -f`."""
    lines = []
    for n in range(count):
        name, kind = chance.choice(NAMES), chance.choice(["A", "A", "A", "AAAA", "TXT", "MX", "ANY"])
        asked = chance.choices([f"{name}.{ZONE}", f"www.{name}.{ZONE}", f"khong-co-{number}-{n}.{ZONE}", f"nhieu.{ZONE}"], [6, 2, 2, 1])[0]
        if asked.startswith("nhieu"):
            kind = "A"
        how = chance.choice(["", "", "", "+tcp", "+noedns", "+noedns +ignore"])
        lines.append(f"@{chance.choice(SERVER)} {asked} {kind} {how} +tries=1 +time=20")
    return "\n".join(lines) + "\n"


def letters(work, seed, count):
    """Sends letters by smtplib, one in four over TLS."""
    chance = random.Random(seed)
    for n in range(count):
        letter = email.message.EmailMessage()
        letter["From"], letter["To"] = f"can-bo-{n}@{ZONE}", f"van-thu@{chance.choice(NAMES)}.{ZONE}, luu@{ZONE}"
        letter["Subject"] = f"Công văn số {seed}-{n}" if n % 2 else f"Report {seed}-{n}"
        letter.set_content(text(chance, 900))
        for part in range(chance.randrange(3)):
            body = chance.randbytes(int(chance.lognormvariate(9.5, 1)))
            letter.add_attachment(body, maintype="application", subtype="pdf", filename=f"phu-luc-{seed}-{n}-{part}.pdf")
        with smtplib.SMTP(SERVER[0], 25, local_hostname=f"may-{n}.{ZONE}") as session:
            if n % 4 == 3:
                session.starttls(context=ssl._create_unverified_context())
            session.send_message(letter)


def one_round(networks, work, files, seed, large):
    """Has all clients ask once; what they ask follows from the seed."""
    chance = random.Random(seed)

    def asks(*command, given=None):
        child = subprocess.Popen(networks.command(1, *command), cwd=work, stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if given:
            child.stdin.write(given.encode())
            child.stdin.close()
        return child
    waited = [asks("dig", "-f", "/dev/stdin", given=questions(chance, 120 if large else 30, seed)),
              asks(sys.executable, __file__, "--letters", work, str(seed), "8" if large else "6")]
    for n in range(36 if large else 24):
        waited.append(asks("curl", "-K", "-", given=web(chance, files, seed * 1_000 + n)))
        if len(waited) >= 8:
            waited.pop(0).wait(600)
    for n in range(3 if large else 1):
        waited.append(asks("curl", "-K", "-", given=download(chance, seed + n)))
    for n in range(4):
        port, address = (8443, 9443)[n % 2], SERVER[n // 2]
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        waited.append(asks("openssl", "s_client", "-connect", host, "-servername", f"{chance.choice(NAMES)}-{seed}.{ZONE}", "-alpn", "khien",
                           given="GET / HTTP/1.0\r\n\r\n"))
    if not large:
        waited += [asks("ping", "-c", "2", "-i", "0.2", address) for address in SERVER]
        if shutil.which("ssh-keyscan"):
            waited.append(asks("ssh-keyscan", "-T", "2", SERVER[0]))
    for child in waited:
        child.wait(600)


# --- the file


def answers(networks, port):
    probe = f"import socket; socket.create_connection(('{SERVER[0]}', {port}), 1)"
    return subprocess.run(networks.command(0, sys.executable, "-c", probe), stderr=subprocess.DEVNULL).returncode == 0


def until(what, fits, seconds=120):
    end = time.monotonic() + seconds
    while not fits():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come within {seconds} s")
        time.sleep(0.05)


def counted(networks):
    """Returns the packets and bytes that went over the cable."""
    said = subprocess.run(networks.command(0, "cat", "/proc/net/dev"), check=True, capture_output=True, text=True).stdout
    fields = re.search(r"kt0:\s*(.*)", said)[1].split()
    return int(fields[1]) + int(fields[9]), int(fields[0]) + int(fields[8])


def written(tcpdump):
    """Returns how many packets tcpdump wrote or missed until now."""
    tcpdump.send_signal(signal.SIGUSR1)
    said = tcpdump.stderr.readline()
    return sum(number_of(said, what) for what in ("captured", "dropped by kernel"))


def number_of(said, what):
    return int(re.search(rf"(\d+) packets? {what}", said)[1])


def make(args):
    begun, chance = time.monotonic(), random.Random(args.seed)
    if args.packets <= LARGE:
        # On one processor segments overtake each other less.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with contextlib.ExitStack() as stack:
        # Programs of the servers may run as others and have to come in.
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="khien-traffic-"))
        os.chmod(work, 0o755)
        files = site(f"{work}/www", chance)
        networks = stack.enter_context(Networks())

        def starts(command, **options):
            child = subprocess.Popen(networks.command(0, *command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
            stack.callback(child.wait)
            stack.callback(child.terminate)
            return child
        all_of = servers(work)
        for command in all_of.values():
            starts(command, stderr=subprocess.DEVNULL)
        for port in all_of:
            until(f"a server on port {port}", lambda: answers(networks, port))
        tcpdump = starts(["tcpdump", "-i", "kt0", "-s", "0", "-B", "131072", "-Z", "root", "-n", "-w", args.file], stderr=subprocess.PIPE, text=True)
        heard = ""
        while "listening" not in heard:
            if not (line := tcpdump.stderr.readline()):
                sys.exit(f"tcpdump: {heard}")
            heard += line
        first, rounds = counted(networks), 0
        while True:
            one_round(networks, work, files, args.seed + rounds, args.packets > LARGE)
            rounds += 1
            packets, size = (now - then for now, then in zip(counted(networks), first))
            if packets >= args.packets and size >= args.megabytes * 1e6 or time.monotonic() - begun > args.seconds:
                break
        # What the last servers say at their end.
        time.sleep(0.3)
        # On a busy machine tcpdump lags behind, and at its end it would not read what still waits for it.
        gone = counted(networks)[0] - first[0]
        until("the last packet", lambda: written(tcpdump) >= gone)
        tcpdump.send_signal(signal.SIGINT)
        said = tcpdump.communicate(timeout=60)[1]
    captured, dropped = (number_of(said, what) for what in ("captured", "dropped by kernel"))
    print(f"{args.file}: {captured} packets, {os.path.getsize(args.file) / 1e6:.0f} MB, {rounds} rounds, {time.monotonic() - begun:.0f} s, "
          f"{dropped} dropped", flush=True)
    if dropped:
        sys.exit(f"{dropped} packets are not in the file: ask for fewer, or try again when the machine has less to do")
    if packets < args.packets or size < args.megabytes * 1e6:
        sys.exit(f"there were only {packets} packets and {size / 1e6:.0f} MB after {args.seconds} s")


def main():
    if sys.argv[1:2] == ["--mail"]:
        return mail_server(sys.argv[2])
    if sys.argv[1:2] == ["--letters"]:
        return letters(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--packets", type=int, default=2_000)
    asked.add_argument("--megabytes", type=int, default=1)
    asked.add_argument("--seed", type=int, default=20261123)
    asked.add_argument("--seconds", type=int, default=900)
    asked.add_argument("file", metavar="FILE")
    args = asked.parse_args()
    args.file = os.path.abspath(args.file)
    if missing := [name for name in NEEDS if not shutil.which(name)]:
        sys.exit(f"missing: {', '.join(missing)}")
    if os.geteuid() != 0:
        sys.exit("network namespaces need root")
    make(args)


if __name__ == "__main__":
    main()
