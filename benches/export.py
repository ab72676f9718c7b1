"""The measuring behind benches/export: cases of series, each with pmproxy and pmbridge export one after the other.

A case is a private pmcd whose mmv agent fills up what its other agents have. Costs of a scrape come from bench_export.py, one
scraper on one connection; the bare fetch is libpcp's pmFetch of the metrics on the page; under load, pmproxy may end, and then
its best until then counts.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from ctypes import c_uint

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests"))
import peers

PMPROXY = "/usr/lib/pcp/bin/pmproxy"
# Metrics and instances of the mmv agent, names that are asked for, scrapes; the number of series is counted on the page.
CASES = [
    ("1400", (1, 1), ["kernel", "mem", "network", "disk", "filesys"], 40),
    ("2000", (14, 30), [], 40),
    ("20000", (20, 950), [], 15),
]
CPU = {"1400": 40, "2000": 40, "20000": 25}
LOADED = "2000"


class Exporter:
    """One of the two beside a pmcd on the default port."""

    def __init__(self, who, site, binary):
        self.who, self.site, self.binary = who, site, binary
        self.start()

    def start(self):
        if self.who == "pmbridge":
            self.export = peers.Export(self.binary, self.site.port, self.site.path("export.log"))
            self.process, self.url = self.export.process, self.export.url
        else:
            port = peers.free_port()
            command = [PMPROXY, "-f", "-t", "-U", "root", "-i", "127.0.0.1", "-p", str(port), "-l", self.site.path("pmproxy.log")]
            command += ["-s", self.site.path("run/pmproxy.socket")]
            self.process = subprocess.Popen(command, env=self.site.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.url = "http://127.0.0.1:%d/metrics" % port
        peers.wait_for("a page of %s" % self.who, lambda: page(self.url))

    def again(self):
        self.stop()
        self.start()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def get(connection, url):
    """The length of one page and what connection is left, read as fast as Python can."""
    authority, path = url.split("/", 3)[2:]
    host, port = authority.split(":")
    if connection is None:
        connection = socket.create_connection((host, int(port)), timeout=60)
    connection.sendall(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    got = bytearray()
    while b"\r\n\r\n" not in got:
        piece = connection.recv(1 << 18)
        if not piece:
            raise OSError("no head")
        got += piece
    head, _, rest = bytes(got).partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise OSError(head.split(b"\r\n")[0].decode())
    fields = head.lower()
    if b"content-length:" in fields:
        total = int(fields.split(b"content-length:")[1].split(b"\r\n")[0])
        length = len(rest)
        while length < total:
            piece = connection.recv(1 << 18)
            if not piece:
                raise OSError("cut")
            length += len(piece)
        return length, connection
    tail, length = rest[-5:], len(rest)
    while tail != b"0\r\n\r\n":
        piece = connection.recv(1 << 18)
        if not piece:
            raise OSError("cut")
        tail, length = (tail + piece)[-5:], length + len(piece)
    return length, connection


def page(url):
    try:
        return get(None, url)[0]
    except OSError:
        return None


def scrape_costs(asked, exporter, count):
    """What bench_export.py says of sequential scrapes."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as results:
        command = [sys.executable, asked.bench, "--pid", str(exporter.process.pid), "--n", str(count), "--conc", "", "--keepalive"]
        aux = [exporter.site.process.pid] + peers.children(exporter.site.process.pid)
        command += ["--aux", "pmcd=" + "+".join(map(str, aux)), "--label", exporter.who, "--json", results.name, exporter.url + exporter.query]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = results.read().splitlines()
        if not lines:
            raise SystemExit("%s: %s" % (exporter.who, done.stderr[-500:]))
        return json.loads(lines[-1])


def bare_fetch(port, roots, count):
    """Seconds of libpcp's pmFetch of all metrics that have numbers, the median; and of a page, turn by turn."""
    import cpmapi as c
    from pcp import pmapi
    context = pmapi.pmContext(c.PM_CONTEXT_HOST, "127.0.0.1:%d" % port)
    names = []
    for root in roots:
        context.pmTraversePMNS(root, lambda name: names.append(name.decode() if isinstance(name, bytes) else name))
    pmids = [pmid for pmid in context.pmLookupName(tuple(names), 1) if pmid >> 22 & 511 != 511]
    all_of_them = (c_uint * len(pmids))(*pmids)
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        result = context.pmFetch(all_of_them)
        times.append(time.perf_counter() - begun)
        context.pmFreeResult(result)
    return statistics.median(times)


def latency(url, count):
    connection, times = None, []
    for _ in range(count):
        begun = time.perf_counter()
        _, connection = get(connection, url)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def load(exporter, workers, seconds):
    """Pages a second of this many scrapers until the end, or until the exporter's."""
    done, lock = [], threading.Lock()
    begun = time.perf_counter()

    def work():
        connection, times = None, []
        while time.perf_counter() - begun < seconds and exporter.process.poll() is None:
            try:
                _, connection = get(connection, exporter.url)
                times.append(time.perf_counter())
            except OSError:
                connection = None
                time.sleep(0.01)
        with lock:
            done.extend(times)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = (max(done) if done else time.perf_counter()) - begun
    return len(done) / took, exporter.process.poll() is None


def wrk(exporter, workers, seconds):
    """The same by wrk, which is faster than Python; nothing where it is not installed."""
    if not shutil.which("wrk"):
        return 0.0
    said = subprocess.run(["wrk", "-t2", "-c%d" % workers, "-d%d" % seconds, exporter.url], capture_output=True, text=True).stdout
    rates = [line.split()[1] for line in said.splitlines() if line.startswith("Requests/sec")]
    return 0.0 if "Non-2xx" in said or not rates else float(rates[0])


missed = []


def mark(what, ratio, least, more=""):
    met = ratio >= least
    if not met:
        missed.append(what)
    print("  %-6s %s: %.1fx (at least %.1fx)%s" % ("MET" if met else "MISSED", what, ratio, least, more))


def one_case(asked, name, mapped, names, count):
    site = peers.Site(["pmcd", "linux", "mmv"], mapped=mapped)
    site.port = 44321  # pmproxy's default, and in this namespace nobody's
    # Quick neighbours: two exporters, one after the other.
    shown, fetch = {}, None
    try:
        site.start()
        for who in ("pmproxy", "pmbridge"):
            exporter = Exporter(who, site, asked.pmbridge)
            exporter.query = "?names=" + ",".join(names) if names else ""
            try:
                measured = scrape_costs(asked, exporter, count)
                measured["get_s"] = latency(exporter.url + exporter.query, count)
                if who == "pmbridge":
                    fetch = bare_fetch(site.port, names or [""], count)
                    measured["get_s"] = min(measured["get_s"], latency(exporter.url + exporter.query, count))
                if name == LOADED:
                    measured["crowd"] = loads(exporter, asked.seconds)
            finally:
                exporter.stop()
            shown[who] = measured
    finally:
        site.remove()
    tell(name, shown, fetch)


def loads(exporter, seconds):
    """The best pages a second under load, and whether it lived through all of them."""
    best, lived = 0.0, []
    for workers in (1, 2, 4, 8, 64) if exporter.who == "pmproxy" else (64,):
        rate, is_alive = load(exporter, workers, seconds)
        if exporter.who == "pmbridge":
            rate = max(rate, wrk(exporter, workers, seconds))
        best = max(best, rate)
        lived.append("%d: %.1f/s%s" % (workers, rate, "" if is_alive else ", then it died"))
        if exporter.who == "pmproxy":
            exporter.again()
    return best, lived


def tell(name, shown, fetch):
    for who, measured in shown.items():
        seq, aux = measured["seq"], measured["seq"]["aux_cpu_s_per_scrape"]["pmcd"]
        print("%6s %-9s %6d series %8d bytes  CPU %8.3f ms + pmcd %7.3f ms  page %8.3f ms  RSS %6.1f MB" % (
            name, who, measured["series"], measured["bytes"], seq["cpu_s_per_scrape"] * 1e3, aux * 1e3,
            measured["get_s"] * 1e3, measured["rss_kb_after_seq"] / 1024))
    old, new = shown["pmproxy"], shown["pmbridge"]
    if new["series"] < old["series"] * 0.98:
        missed.append("series")
        print("  MISSED series: %d of %d" % (new["series"], old["series"]))
    mark("CPU per scrape, %s" % name, old["seq"]["cpu_s_per_scrape"] / max(new["seq"]["cpu_s_per_scrape"], 1e-6), CPU[name])
    print("         bare pmFetch %.3f ms" % (fetch * 1e3))
    mark("latency of two bare fetches over that of a page, %s" % name, 2 * fetch / new["get_s"], 1.0, " = %.2f fetches" % (new["get_s"] / fetch))
    mark("resident memory, %s" % name, old["rss_kb_after_seq"] / new["rss_kb_after_seq"], 2)
    if "crowd" in new:
        for who in shown:
            print("         load of %s: %s" % (who, "; ".join(shown[who]["crowd"][1])))
        rates = [run["crowd"][0] * run["series"] for run in (old, new)]
        mark("series a second with 64 scrapers", rates[1] / max(rates[0], 1e-9), 50, " = %.0f and %.0f" % tuple(rates))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pmbridge", required=True)
    parser.add_argument("--bench", required=True, help="bench_export.py")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--case", action="append")
    asked = parser.parse_args()
    for name, *case in CASES:
        if not asked.case or name in asked.case:
            one_case(asked, name, *case)
    print("benches/export: %s" % ("MISSED %s" % "; ".join(missed) if missed else "all marks met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
