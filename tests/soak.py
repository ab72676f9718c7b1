"""The soak behind tests/soak: endpoints, edits, restarts, and what the PMDA makes of them.

Every value served is TOKEN * 1000 + I, where TOKEN is a clock that ticks five times a second and I the number of the
series. A value whose token is older than the request that fetched it is stale, and so wrong. The run is a row of lives
of pmcd: short ones in the first half, one long life in the second, in which memory is measured.
"""
import argparse
import http.server
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from ctypes import c_uint

import cpmapi as c
from pcp import pmapi

from peers import Pmcd, children, free_port, usage, wait_for

STEADY, SERIES, CHURNING, FRESH, EDITED = 4, 50, 2, 25, 6
SICK = ["error", "close", "hang", "drip", "truncated", "garbage", "empty"]
START = time.monotonic()


def token():
    return int((time.monotonic() - START) * 5)


class Endpoints(http.server.ThreadingHTTPServer):
    """All endpoints, on one port: /steadyN, /churnN, /flap, /hung, /drip, /editedN."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.url = "http://127.0.0.1:%d/" % self.server_address[1]
        self.mood = {"flap": "well", "hung": "well", "drip": "well"}
        self.gets = {}
        self.fresh = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that goes away is no news

    def page(self, name):
        """A document of this endpoint as it is now."""
        now = token()
        lines = ["# TYPE %s_value gauge" % name]
        lines += ['%s_value{i="%d"} %d' % (name, i, now * 1000 + i) for i in range(SERIES)]
        if name.startswith("churn"):
            with self.lock:
                first = self.fresh
                self.fresh += FRESH
            lines.append("# TYPE %s_request_total counter" % name)
            lines += ['%s_request_total{id="%016x",kind="some"} %d' % (name, first + i, i) for i in range(FRESH)]
        return ("\n".join(lines) + "\n").encode()


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.strip("/")
        with self.server.lock:
            self.server.gets[name] = self.server.gets.get(name, 0) + 1
        mood = self.server.mood.get(name, "well")
        body = self.server.page(name)
        if mood == "error":
            return self.send(503, b"not now\n")
        if mood == "close":
            return self.end()
        if mood == "garbage":
            body = b"<html>\n" + os.urandom(500) + b"\n"
        if mood == "empty":
            body = b""
        if mood in ("hang", "drip", "truncated"):
            return self.never_whole(name, mood, body)
        return self.send(200, body)

    def never_whole(self, name, mood, body):
        if mood != "hang":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
        if mood == "truncated":
            self.wfile.write(body[: len(body) // 2])
            return self.end()
        until = time.monotonic() + 30
        for byte in body:
            if self.server.mood.get(name) != mood or time.monotonic() > until:
                break
            if mood == "drip":
                self.wfile.write(bytes([byte]))
            time.sleep(0.2)
        return self.end()

    def send(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end(self):
        self.close_connection = True


class Site(Pmcd):
    """A private pmcd with the PMDA, its sources and its pmlogger, over many lives of pmcd."""

    def __init__(self, command, endpoints):
        super().__init__("soak", ("config.d", "archives"))
        try:
            shutil.chown(self.path("var/config/pmda"), "pcp")
        except (LookupError, PermissionError):
            pass
        self.endpoints = endpoints
        self.pmlogger = None
        self.write("pmns", "root {\n\topenmetrics\t144:*:*\n}\n")
        arguments = "-c %s -d 144 -l %s" % (self.path("config.d"), self.path("pmda.log"))
        self.write("pmcd.conf", "openmetrics\t144\tpipe\tbinary notready\t%s %s\n" % (command, arguments))
        for i in range(STEADY):
            self.source("steady%d" % i)
        for i in range(CHURNING):
            self.source("churn%d" % i)
        for name in endpoints.mood:
            self.source(name)
        self.write("config.d/dead.url", "http://127.0.0.1:%d/metrics\n" % free_port())
        self.write("page.txt", endpoints.page("file"))
        self.write("config.d/file.url", "file://%s\n" % self.path("page.txt"))
        self.write("config.d/script.sh", "#!/bin/sh\ncat %s\n" % self.path("page.txt"))
        os.chmod(self.path("config.d/script.sh"), 0o755)

    def write(self, name, content):
        """Replaces a file at once, as an editor does; threads may at the same time."""
        new = self.path("new%d" % threading.get_ident())
        with open(new, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(new, 0o644)
        os.rename(new, self.path(name))

    def source(self, name, endpoint=None, more=""):
        self.write("config.d/%s.url" % name, "%s%s\n%s" % (self.endpoints.url, endpoint or name, more))

    def run_pmcd(self):
        """Starts pmcd, and finds its PMDA."""
        self.launch()
        self.context = wait_for("pmcd", self.connect)
        self.pmda = wait_for("the PMDA", lambda: (children(self.process.pid) or [None])[0])

    def start(self):
        """Starts pmcd and pmlogger, once the sources that are well show."""
        self.run_pmcd()
        well = ["steady%d" % i for i in range(STEADY)] + ["churn%d" % i for i in range(CHURNING)]
        wait_for("the names of the steady sources", lambda: all(self.names("openmetrics." + name) for name in well))
        self.log_config()
        self.pmlogger = subprocess.Popen(
            ["pmlogger", "-h", "127.0.0.1:%d" % self.port, "-c", self.path("pmlogger.conf")]
            + ["-l", self.path("log/pmlogger.log"), self.path("archives/life%d" % self.lives)],
            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def log_config(self):
        names = ["openmetrics.steady%d" % i for i in range(STEADY)] + ["openmetrics.flap", "openmetrics.control"]
        self.write("pmlogger.conf", "log mandatory on 2 sec { %s }\n" % " ".join(names))

    def connect(self):
        try:
            return pmapi.pmContext(c.PM_CONTEXT_HOST, "127.0.0.1:%d" % self.port)
        except pmapi.pmErr:
            return None

    def names(self, root):
        found = []
        try:
            self.context.pmTraversePMNS(root, lambda name: found.append(name.decode() if isinstance(name, bytes) else name))
        except pmapi.pmErr:
            pass
        return found

    def is_whole(self):
        """Whether pmcd still has the PMDA that it started."""
        return self.process.poll() is None and self.pmda in children(self.process.pid)

    def stop(self):
        """Ends pmcd; gives what was left of the PMDA ten seconds later."""
        for process in (self.pmlogger, self.process):
            if process and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        for _ in range(100):
            if not os.path.exists("/proc/%d" % self.pmda):
                return []
            time.sleep(0.1)
        os.kill(self.pmda, signal.SIGKILL)
        return ["the PMDA outlived pmcd in life %d" % self.lives]


class Watch:
    """Fetches sources, holds their values against the clock, and keeps the score."""

    def __init__(self, site):
        self.site = site
        self.fetches = self.values = self.wrong = 0
        self.slowest = 0.0
        self.pmids = {}
        self.notes = []

    def note(self, text):
        self.wrong += 1
        if len(self.notes) < 20:
            self.notes.append("%.0f s: %s" % (time.monotonic() - START, text))

    def fetch(self, source, endpoint=None, by_token=True):
        """Fetches a source that is well; nothing where all of its values are right, else what is wrong."""
        endpoint = endpoint or source
        name = "openmetrics.%s.%s_value" % (source, endpoint)
        before, begun = token(), time.monotonic()
        try:
            context = self.site.context
            pmid = context.pmLookupName((name,))[0]
            result = context.pmFetch((c_uint * 1)(pmid))
        except pmapi.pmErr as error:
            return "%s: %s" % (name, error)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.fetches += 1
        if self.pmids.setdefault(name, pmid) != pmid:
            self.note("%s was %x and is %x" % (name, self.pmids[name], pmid))
        after = token()
        try:
            return self.judge(name, result, (before, after) if by_token else None)
        finally:
            context.pmFreeResult(result)

    def judge(self, name, result, tokens):
        count = result.contents.get_numval(0)
        if count != SERIES:
            return "%s: %d values of %d" % (name, count, SERIES)
        seen = set()
        for i in range(count):
            value = self.double(result, i)
            seen.add(value % 1000)
            if tokens and not tokens[0] <= value // 1000 <= tokens[1]:
                return "%s: %d is of %d, not of %d to %d" % (name, value, value // 1000, *tokens)
            self.values += 1
        return None if seen == set(range(SERIES)) else "%s: not each series once" % name

    def double(self, result, i):
        format, vlist = result.contents.get_valfmt(0), result.contents.get_vlist(0, i)
        return int(self.site.context.pmExtractValue(format, vlist, c.PM_TYPE_DOUBLE, c.PM_TYPE_DOUBLE).d)


class Trouble(threading.Thread):
    """Changes moods of endpoints and files of config.d, from a seed, until it is told to rest."""

    def __init__(self, site, seed):
        super().__init__(daemon=True)
        self.site, self.random, self.resting = site, random.Random(seed), threading.Event()
        self.edits = self.moods = 0
        self.present = {}

    def run(self):
        while not self.resting.wait(self.random.uniform(0.5, 2.0)):
            self.mood()
            self.edit()
            self.site.write("page.txt", self.site.endpoints.page("file"))

    def mood(self):
        mood = self.site.endpoints.mood
        mood["flap"] = self.random.choice(["well", "well"] + SICK)
        if self.random.random() < 0.2:
            mood["hung"] = "hang" if mood["hung"] == "well" else "well"
        if self.random.random() < 0.2:
            mood["drip"] = "drip" if mood["drip"] == "well" else "well"
        self.moods += 1

    def edit(self):
        """Adds, removes or edits a source, rightly or wrongly; some in folders of their own."""
        i = self.random.randrange(EDITED)
        name = "edited%d" % i if i % 2 else "folder%d.edited%d" % (i, i)
        path = "config.d/%s.url" % name.replace(".", "/")
        self.edits += 1
        if name in self.present and self.random.random() < 0.4:
            os.unlink(self.site.path(path))
            if "/" in path[len("config.d/"):]:
                os.rmdir(os.path.dirname(self.site.path(path)))
            del self.present[name]
            return
        os.makedirs(os.path.dirname(self.site.path(path)), exist_ok=True)
        more = self.random.choice(["", "# a comment\n", "FILTER: EXCLUDE METRIC no_such\n", "HEADER: X-Soak: 1\n", "nonsense\n"])
        first = self.random.choice(["", "# a comment\n"])
        endpoint = "edited%d" % i
        self.site.write(path, "%s%s%s\n%s" % (first, self.site.endpoints.url, endpoint, more))
        self.present[name] = endpoint

    def rest(self):
        """Makes all well."""
        self.resting.set()
        self.join()
        for name in self.site.endpoints.mood:
            self.site.endpoints.mood[name] = "well"


class Samples(threading.Thread):
    """What the PMDA uses, each ten seconds or so, by life of pmcd."""

    def __init__(self, site, every):
        super().__init__(daemon=True)
        self.site, self.every, self.lives = site, every, {}

    def run(self):
        while True:
            time.sleep(self.every)
            used = usage(self.site.pmda)
            if used:
                row = (time.monotonic() - START, self.site.endpoints.fresh) + used
                self.lives.setdefault(self.site.lives, []).append(row)


def live(site, watch, until):
    """Fetches and looks about until then, as clients of a site do; false where the PMDA was dropped."""
    steady = ["steady%d" % i for i in range(STEADY)]
    churning = ["churn%d" % i for i in range(CHURNING)]
    turn = 0
    while time.monotonic() < until:
        for source in steady + churning:
            wrong = watch.fetch(source)
            if wrong:
                watch.note(wrong)
        host = ["-h", "127.0.0.1:%d" % site.port]
        tool = [["pminfo", "-f", "openmetrics"], ["pminfo", "-dtTl", "openmetrics.flap"], ["pmprobe", "-i", "openmetrics.churn0"]]
        tool = tool[turn % len(tool)]
        turn += 1
        subprocess.run([tool[0]] + host + tool[1:], env=site.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        if not site.is_whole():
            watch.note("the PMDA has gone in life %d" % site.lives)
            return False
        time.sleep(0.3)
    return True


def finale(site, watch, trouble):
    """All is well at last: whether each source shows right values, within two minutes of back-off."""
    trouble.rest()
    sources = {name: name for name in ["steady%d" % i for i in range(STEADY)] + ["churn%d" % i for i in range(CHURNING)]}
    sources.update({name: name for name in site.endpoints.mood}, **trouble.present)
    wrong = {}
    until = time.monotonic() + 120
    while time.monotonic() < until:
        wrong = {source: watch.fetch(source, endpoint) for source, endpoint in sources.items()}
        site.write("page.txt", site.endpoints.page("file"))
        wrong.update({source: watch.fetch(source, "file", by_token=False) for source in ("file", "script")})
        wrong = {source: why for source, why in wrong.items() if why}
        if not wrong:
            break
        time.sleep(1)
    for i in range(EDITED):
        name = "edited%d" % i if i % 2 else "folder%d.edited%d" % (i, i)
        if name not in trouble.present and watch.fetch(name, "edited%d" % i, by_token=False) is None:
            wrong[name] = "%s has values and no file" % name
    for why in wrong.values():
        watch.note("at the end: " + why)
    return len(sources) + 2


def report(site, watch, trouble, samples, wells, leftovers):
    """The table, and what of it is not as it has to be."""
    faults = list(leftovers)
    if watch.wrong:
        faults += watch.notes
    last = samples.lives.get(site.lives, [])
    print("\nlife  minutes  samples    RSS MB start   end   max  descriptors start  end  max  threads max")
    for life, rows in sorted(samples.lives.items()):
        mb = [row[2] / 2**20 for row in rows]
        fds = [row[3] for row in rows]
        minutes = (rows[-1][0] - rows[0][0]) / 60
        print("%4d %8.1f %8d %18.1f %5.1f %5.1f %18d %4d %4d %12d" % (
            life, minutes, len(rows), mb[0], mb[-1], max(mb), fds[0], fds[-1], max(fds), max(row[4] for row in rows)))
    if len(last) >= 4:
        settled = last[len(last) // 4:]
        dead = settled[-1][1] - settled[0][1]
        grown = settled[-1][2] - settled[0][2]
        each = grown / dead if dead else 0.0
        print("last life, after its first quarter: %+d KB for %d new instances, %.1f bytes each" % (grown // 1024, dead, each))
        if grown > 8 << 20 and each > 200:
            faults.append("memory grows: %.0f bytes for each new instance" % each)
        print("RSS MB over it: " + " ".join("%.1f" % (row[2] / 2**20) for row in last[:: max(1, len(last) // 16)]))
        half = len(settled) // 2
        early, late = max(row[3] for row in settled[:half]), max(row[3] for row in settled[half:])
        print("descriptors at most %d in its first half, %d in its second" % (early, late))
        if late > early + 8:
            faults.append("descriptors leak: %d, then %d" % (early, late))
    else:
        faults.append("only %d samples in the last life" % len(last))
    log = os.path.getsize(site.path("pmda.log"))
    minutes = (time.monotonic() - START) / 60
    if log > 100_000 * (minutes + 1):
        faults.append("the log has %d bytes" % log)
    print("%d restarts, %d fetches, %d values, %d wrong; slowest fetch %.2f s" % (
        site.lives - 1, watch.fetches, watch.values, watch.wrong, watch.slowest))
    print("%d changes of mood, %d edits of config.d, %d scrapes answered, %d labels that never came again" % (
        trouble.moods, trouble.edits, sum(site.endpoints.gets.values()), site.endpoints.fresh))
    print("%d sources well at the end; log of the last life %d bytes" % (wells, log))
    return faults


def check_archives(site):
    """What pmlogcheck has against the archives."""
    found = []
    for life in range(1, site.lives + 1):
        archive = site.path("archives/life%d" % life)
        checked = subprocess.run(["pmlogcheck", archive], env=site.env, capture_output=True, text=True)
        if checked.returncode:
            found.append("pmlogcheck of life %d: %s" % (life, checked.stderr.strip()[:300]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=30.0)
    parser.add_argument("--pmda", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the directory with logs and archives")
    asked = parser.parse_args()
    os.environ["PMCD_REQUEST_TIMEOUT"] = "60"
    length = asked.minutes * 60
    site = Site(asked.pmda, Endpoints())
    watch, trouble = Watch(site), Trouble(site, asked.seed)
    samples = Samples(site, min(10.0, max(0.5, length / 120)))
    leftovers, wells = [], 0
    begun = time.monotonic()
    # Lives of at most four minutes fill the first half.
    lives = max(2, int(length / 2 / 240))
    try:
        site.start()
        trouble.start()
        samples.start()
        for life in range(lives):
            live(site, watch, begun + (life + 1) * length / 2 / lives)
            leftovers += site.stop()
            site.start()
        live(site, watch, begun + length)
        wells = finale(site, watch, trouble)
    finally:
        if site.process:
            leftovers += site.stop()
    faults = report(site, watch, trouble, samples, wells, leftovers + check_archives(site))
    for fault in faults:
        print("FAULT " + fault)
    print("tests/soak: %.1f minutes, seed %d, %s" % ((time.monotonic() - begun) / 60, asked.seed, "FAILED" if faults else "passed"))
    if asked.keep or faults:
        print("kept %s" % site.dir)
    else:
        shutil.rmtree(site.dir)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
