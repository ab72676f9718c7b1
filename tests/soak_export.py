"""The soak behind tests/soak-export: a Prometheus of four jobs, an exporter, a pmcd in trouble.

Each minute one agent crashes and comes again, another is taken out of pmcd's configuration and put in again, and pmcd itself
is killed and started. Scrapes may fail from its end until it is there again and while it lets all clients wait, and at no
other time, but that few may run out of time.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import peers

sys.path.insert(0, os.path.join(peers.HERE, "tests/export"))
import judge

AGENTS = ["pmcd", "linux", "proc", "sample", "mmv", "awkward"]
JOBS = {
    "pcp": {"naming": ["pcp"]},
    "prometheus": {"naming": ["prometheus"]},
    "info": {"info": ["true"]},
    "proc": {"names": ["proc,kernel,hinv,mem"]},
}
# What each scrape has, whatever the agents do. The sample agent is left alone: started again under clients that pmcd has
# already, it crashes of itself, and pmcd 6.0 that starts two dead agents at once loses a third.
ALWAYS = ["hinv_ncpu", "kernel_all_load", "mem_physmem", "kernel_all_uptime"]
TIMEOUT = 1.0  # seconds that a scrape may take
# The share of its scrapes that a job may lose to time alone: all runs on one machine, that others use too.
TIMED_OUT = 0.05
GRACE = 3.0  # seconds after pmcd is there again, for the scrape that had begun before and the agents' start
# Prometheus' own counters of samples that it had to drop.
DROPPED = ["duplicate_timestamp", "out_of_order", "out_of_bounds"]


class Prometheus:
    """A Prometheus of our own, scraping these jobs each second."""

    def __init__(self, dir, authority):
        self.port = peers.free_port()
        jobs = [
            {"job_name": job, "params": params, "static_configs": [{"targets": [authority]}]} for job, params in JOBS.items()
        ]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "%ds" % TIMEOUT}, "scrape_configs": jobs}
        with open(os.path.join(dir, "prometheus.yml"), "w") as file:
            json.dump(config, file)  # JSON is YAML
        command = ["prometheus", "--config.file=%s/prometheus.yml" % dir, "--storage.tsdb.path=%s/tsdb" % dir]
        command += ["--web.listen-address=127.0.0.1:%d" % self.port, "--query.lookback-delta=5s", "--query.max-samples=500000000"]
        with open(os.path.join(dir, "prometheus.log"), "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        peers.wait_for("Prometheus", self.is_ready)

    def is_ready(self):
        try:
            return self.text("/-/ready")
        except OSError:
            return None

    def text(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path), timeout=120) as answer:
            return answer.read().decode()

    def query(self, query, at):
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": "%.3f" % at})
        return json.loads(self.text(path))["data"]["result"]

    def dropped(self):
        """Samples that it dropped, by why."""
        found = {}
        for line in self.text("/metrics").splitlines():
            name = line.split(" ")[0]
            if name.startswith("prometheus_target_scrapes_") and any(why in name for why in DROPPED + ["exceeded"]):
                found[name] = float(line.split(" ")[1])
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Samples(threading.Thread):
    """What the exporter uses."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.rows = pid, []

    def run(self):
        while True:
            used = peers.usage(self.pid)
            if not used:
                return
            self.rows.append((time.time(), *used))
            time.sleep(1)


class Pulse(threading.Thread):
    """When pmcd let its own clients wait, as it does while it starts an agent, or had lost the agent that is held to values.

    It greets whoever connects. And pmcd 6.0 that is told of another configuration under load loses a healthy agent at times.
    """

    def __init__(self, site, away):
        super().__init__(daemon=True)
        self.site, self.away, self.waits, self.lost = site, away, 0, 0

    def run(self):
        while True:
            begun = time.time()
            is_there = self.greets()
            if not is_there or time.time() - begun > 0.3:
                self.waits += 1
                self.away.append((begun, time.time() + 0.5))
            if is_there and not self.site.agent("pmdalinux"):
                self.lost += 1
                self.away.append((begun - 1, time.time() + 1))
            time.sleep(0.2)

    def greets(self):
        try:
            with socket.create_connection(("127.0.0.1", self.site.port), timeout=30) as connection:
                return bool(connection.recv(20))
        except OSError:
            return False


def sleep_until(at):
    time.sleep(max(0, at - time.time()))


def minute(site, begun, length, away, restarts):
    """One round of trouble in this many seconds; puts down when pmcd was away."""
    at = lambda part: sleep_until(begun + part * length)
    at(0.2)
    os.kill(site.agent("awkward"), signal.SIGKILL)
    at(0.3)
    site.hangup()
    at(0.4)
    site.configure([agent for agent in AGENTS if agent != "proc"])
    site.hangup()
    at(0.5)
    site.configure(AGENTS)
    site.hangup()
    at(0.6)
    gone = time.time()
    site.kill()
    time.sleep(3)
    site.start()
    away.append((gone, time.time() + GRACE))
    restarts.append(gone)
    at(1)


def judge_scrapes(prometheus, job, begun, ended, away, faults):
    """Failed scrapes and lost samples of a job; gives what to print."""
    window = "[%ds]" % (ended - begun)
    ups = prometheus.query('up{job="%s"}%s' % (job, window), ended)[0]["values"]
    is_away = lambda at: any(since - 1 <= at <= until for since, until in away)
    failed = [at for at, value in ups if value == "0"]
    took = prometheus.query('scrape_duration_seconds{job="%s"}%s' % (job, window), ended)[0]["values"]
    slow = {at for at, value in took if float(value) >= TIMEOUT}
    wrong = [at for at in failed if not is_away(at)]
    late = [at for at in wrong if at in slow]
    if len(late) > TIMED_OUT * len(ups):
        faults.append("%s: %d scrapes took too long, after %s s" % (job, len(late), ["%.1f" % (at - begun) for at in late[:10]]))
    wrong = [at for at in wrong if at not in slow]
    if wrong:
        faults.append("%s: %d scrapes failed, after %s s" % (job, len(wrong), ["%.1f" % (at - begun) for at in wrong[:10]]))
    good = {at for at, value in ups if value == "1"}
    lost, double = [], 0
    for name in ALWAYS:
        series = prometheus.query('{job="%s",__name__=~"%s.*",__name__!~".*_created"}%s' % (job, name, window), ended)
        if not series:
            faults.append("%s: has no %s" % (job, name))
        names = {one["metric"]["__name__"] for one in series}
        for metric in names:
            each = [one for one in series if one["metric"]["__name__"] == metric]
            times = [at for one in each for at, _ in one["values"]]
            per_scrape = {}
            for at in times:
                per_scrape[at] = per_scrape.get(at, 0) + 1
            usual = max(per_scrape.values())
            lost += [(at, name) for at in good if per_scrape.get(at, 0) < usual and not is_away(at)]
            double += len(times) - sum(len({at for at, _ in one["values"]}) for one in each)
    if lost or double:
        when = sorted({"%s %.1f" % (name, at - begun) for at, name in lost})
        faults.append("%s: %d samples lost, %d twice: %s" % (job, len(lost), double, when[:20]))
    return "%-12s %8d %8d %8d %8d %8d %10d" % (job, len(ups), len(failed), len(wrong), len(lost), double, len(late))


def judge_values(site, prometheus, faults):
    """What Prometheus has last is what libpcp gives, where that stands still; who differs is looked at again."""
    collector = judge.Collector("127.0.0.1:%d" % site.port)
    wrong = None
    for _ in range(judge.LOOKS):
        compared, differing = look_at_values(collector, prometheus)
        wrong = differing if wrong is None else {key: fault for key, fault in differing.items() if key in wrong}
        if not wrong:
            break
    faults.extend(list(wrong.values())[:10])
    if wrong or compared < 1000:
        faults.append("%d values compared, %d wrong" % (compared, len(wrong)))
    return "%d values compared with libpcp's, %d wrong" % (compared, len(wrong))


def look_at_values(collector, prometheus):
    """How many values were compared, and those that differ, by metric and instance."""
    before = collector.fetch()
    time.sleep(2.5)
    at = time.time()
    stored = {}
    for one in prometheus.query('{job="pcp"}', at):
        metric = one["metric"]
        stored.setdefault(metric["__name__"], {})[metric.get("instid", "")] = one["value"][1]
    after = collector.fetch()
    names = {}
    for name in before:
        names[name.replace(".", "_")] = names.get(name.replace(".", "_"), 0) + 1
    compared, differing = 0, {}
    for name, values in before.items():
        flat, desc = name.replace(".", "_"), collector.descs[name]
        if repr(values) != repr(after.get(name)) or names[flat] > 1 or desc.type == collector.c.PM_TYPE_STRING:
            continue
        if judge.TOUCHED.match(name):
            continue
        found = stored.get(flat) or stored.get(flat + "_total") or {}
        singular = desc.indom == collector.c.PM_INDOM_NULL
        for inst, value in values.items():
            if not singular and inst not in collector.instances(desc.indom):
                continue
            text = found.get("" if singular else str(inst))
            if text is None and name.startswith("awkward.still.counter."):
                continue  # a counter that OpenMetrics does not allow
            compared += 1
            if not is_same(collector.c, desc, text, value):
                differing[name, inst] = "%s[%s] is %r and Prometheus has %s" % (name, inst, value, text)
    return compared, differing


def is_same(c, desc, text, value):
    """Whether Prometheus' text is libpcp's value."""
    have = float(text) if text is not None else None
    if desc.type == c.PM_TYPE_FLOAT and have is not None and have == have and abs(have) != float("inf"):
        return judge.same_number(desc.type, c, text, value)
    return have == float(value) or have is not None and have != have and value != value


def judge_memory(rows, faults):
    """Memory and descriptors in the second half against those of the first quarter's end."""
    early, late = rows[len(rows) // 4: len(rows) // 2], rows[len(rows) * 3 // 4:]
    rss = [max(row[1] for row in part) / 2**20 for part in (early, late)]
    fds = [max(row[2] for row in part) for part in (early, late)]
    if rss[1] > rss[0] * 1.2 + 4:
        faults.append("memory grows: %.1f MB, then %.1f MB" % tuple(rss))
    if fds[1] > fds[0] + 4:
        faults.append("descriptors leak: %d, then %d" % tuple(fds))
    return "RSS %.1f MB in the second quarter, %.1f MB in the last; descriptors %d and %d" % (*rss, *fds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600.0)
    parser.add_argument("--pmbridge", required=True)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    # Whoever ends it ends its peers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faults, away, restarts = [], [], []
    site = peers.Site(AGENTS)
    export = prometheus = None
    try:
        site.start()
        peers.wait_for("the awkward agent", lambda: site.pminfo("awkward"))
        export = peers.Export(asked.pmbridge, site.port, site.path("export.log"))
        urllib.request.urlopen(export.url, timeout=60).read()
        samples = Samples(export.process.pid)
        prometheus = Prometheus(site.dir, export.url.split("/")[2])
        samples.start()
        pulse = Pulse(site, away)
        pulse.start()
        begun = time.time()
        rounds = max(1, round(asked.seconds / 60))
        for i in range(rounds):
            minute(site, begun + i * asked.seconds / rounds, asked.seconds / rounds, away, restarts)
        ended = time.time()
        values = judge_values(site, prometheus, faults)
        print("%-12s %8s %8s %8s %8s %8s %10s" % ("job", "scrapes", "failed", "wrongly", "lost", "double", "late"))
        for job in JOBS:
            print(judge_scrapes(prometheus, job, begun + 1, ended, away, faults))
        print(values)
        dropped = {name: number for name, number in prometheus.dropped().items() if number}
        if dropped:
            faults.append("Prometheus dropped samples: %s" % dropped)
        print(judge_memory(samples.rows, faults))
        if export.process.poll() is not None:
            faults.append("pmbridge export has ended: %s" % export.said()[-2000:])
        print("pmcd let clients wait %d times, and was without its linux agent for %.1f s" % (pulse.waits, pulse.lost * 0.2))
        print("%d lines logged" % len(export.said().splitlines()))
    finally:
        for one in (prometheus, export):
            if one:
                one.stop()
        site.kill()
    for fault in faults:
        print("FAULT " + fault)
    print("tests/soak-export: %.0f s, %d restarts of pmcd, %s" % (ended - begun, len(restarts), "FAILED" if faults else "passed"))
    if faults or asked.keep:
        print("kept %s" % site.dir)
    else:
        shutil.rmtree(site.dir)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
