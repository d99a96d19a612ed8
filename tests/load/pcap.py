#!/usr/bin/env python3
"""Measures `khien pcap scan` over a large file of real traffic, beside others that read the same file in the same run.

    tests/load/pcap.py [--packets N] [--megabytes N] [--rounds N] [--file FILE]

Makes the file with traffic.py beside this one (as root; see there what that needs), or takes one that is there. Processor time is
that of a program and all that it starts, memory that of its largest process. khien writes a record for each flow, DNS message, TLS
handshake, HTTP exchange, letter and carried file; with rules it scans streams and carried files, too, and judges by lists and
detectors. Others that are not installed are left out: tshark, tcpdump, suricata (which Debian 12 does not have).
"""

import argparse, os, shutil, statistics, subprocess, sys, tempfile

from measure import goal, program, run

HERE = os.path.dirname(os.path.abspath(__file__))
SURICATA = """%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [dns, tls, http, smtp, files, flow]}
app-layer: {protocols: {tls: {enabled: yes}, http: {enabled: yes}, smtp: {enabled: yes}, dns: {tcp: {enabled: yes}, udp: {enabled: yes}}}}
"""


def readers(file, work):
    """Returns what is run, by name."""
    khien, events = [program(), "--lang", "en", "pcap", "scan", file], ["--events", f"{work}/events"]
    all_of = {"khien, records": [*khien, "--no-rules", *events], "khien, records and stream rules": [*khien, *events]}
    if shutil.which("tshark"):
        all_of["tshark, no output"] = ["tshark", "-n", "-q", "-r", file, "-z", "io,stat,0"]
    if shutil.which("tcpdump"):
        all_of["tcpdump -w"] = ["tcpdump", "-n", "-r", file, "-w", "/dev/null"]
    if shutil.which("suricata"):
        with open(f"{work}/suricata.yaml", "w", encoding="ascii") as settings:
            settings.write(SURICATA)
        all_of["suricata, one thread, no rules"] = ["suricata", "-c", f"{work}/suricata.yaml", "-S", "/dev/null", "--runmode", "single",
                                                    "-l", work, "-r", file]
    else:
        print("suricata is not on PATH and is left out")
    return all_of


def packets_in(file):
    """Counts by khien's own summary; `capinfos` is not everywhere."""
    said = subprocess.run([program(), "--lang", "en", "pcap", "scan", "--no-rules", file], capture_output=True, text=True).stderr
    return int(said.split(": ", 1)[1].split(" packets", 1)[0])


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--packets", type=int, default=600_000)
    asked.add_argument("--megabytes", type=int, default=400)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--file")
    args = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="khien-load-") as work:
        file = args.file
        if not file:
            file = os.path.join(work, "traffic.pcap")
            made = [sys.executable, f"{HERE}/traffic.py", "--packets", str(args.packets), "--megabytes", str(args.megabytes), file]
            subprocess.run(made, check=True)
        packets, size = packets_in(file), os.path.getsize(file)
        print(f"\n{packets} packets, {size / 1e6:.0f} MB; {args.rounds} rounds, one after another\n")
        spent = {}
        for _ in range(args.rounds):
            for name, command in readers(file, work).items():
                spent.setdefault(name, []).append(run(command))
        print(f"{'':34}{'CPU s':>8}{'wall s':>8}{'packets / CPU s':>17}{'MB resident':>13}")
        rates = {}
        for name, rounds in spent.items():
            cpu, wall, memory = (statistics.median(each) for each in zip(*rounds))
            rates[name] = (packets / max(cpu, 0.01), memory / 1024)
            print(f"{name:34}{cpu:8.2f}{wall:8.2f}{rates[name][0]:17.0f}{rates[name][1]:13.0f}")
        print()
        plain, ruled = rates["khien, records"], rates["khien, records and stream rules"]
        goal("packets of a file for each CPU second: flows, DNS, HTTP and TLS written out", plain[0], 300_000, least=True)
        goal("the same: memory", plain[1], 64, "MB")
        goal("packets of a file for each CPU second with stream rules", ruled[0], 150_000, least=True)
        goal("the same: memory of the largest process", ruled[1], 64, "MB")
        for name, rate in rates.items():
            if name.startswith(("suricata", "tshark")):
                goal(f"packets for each CPU second beside {name.split(',')[0]}", plain[0] / rate[0], 1 if name[0] == "s" else 3, "times", least=True)


if __name__ == "__main__":
    main()
