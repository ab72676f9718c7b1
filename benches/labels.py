"""CPU of a PMDA for label look-ups: 6000 names in 100 sources, of which 300 are asked for. One JSON line.

bench.py times who asks, for whom five trips through pmcd are most of it; here the PMDA's own CPU is read.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests"))
import soak

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--pmda", required=True)
parser.add_argument("--endpoint", required=True, help="endpoint.py")
parser.add_argument("--label", required=True)
parser.add_argument("-E", type=int, default=100)
parser.add_argument("-S", type=int, default=500)
asked = parser.parse_args()


class Nothing:
    """No endpoints of the soak's own."""

    mood, url = {}, ""

    def page(self, _):
        return b""


class Bench(soak.Site):
    """A pmcd with the sources of endpoint.py alone, and no pmlogger."""

    def begin(self, port):
        for name in os.listdir(self.path("config.d")):
            os.unlink(self.path("config.d/" + name))
        for i in range(asked.E):
            self.write("config.d/src%04d.url" % i, "http://127.0.0.1:%d/m/%d\n" % (port, i))
        self.run_pmcd()


def cpu(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


endpoint = subprocess.Popen([sys.executable, asked.endpoint, "-E", str(asked.E), "-S", str(asked.S)], stdout=subprocess.PIPE, text=True)
site = Bench(asked.pmda, Nothing())
try:
    ready = re.search(r"names_per_endpoint=(\d+).* port=(\d+)", endpoint.stdout.readline())
    site.begin(int(ready[2]))
    expected = int(ready[1]) * asked.E
    wanted = lambda: [name for name in site.names("openmetrics") if ".control." not in name]
    names = soak.wait_for("%d names" % expected, lambda: (lambda found: len(found) >= expected and found)(wanted()), 300)
    pmids = list(site.context.pmLookupName(tuple(names), 1))
    sample = pmids[:: max(1, len(pmids) // 300)]
    # Some rounds of the cheap one, since the kernel counts CPU in hundredths of a second.
    before, begun, asks = cpu(site.pmda), time.monotonic(), 0
    while asks < len(sample) or cpu(site.pmda) - before < 0.3 and time.monotonic() - begun < 20:
        site.context.pmLookupLabels(sample[asks % len(sample)])
        asks += 1
    used, wall = cpu(site.pmda) - before, time.monotonic() - begun
    print(json.dumps({"label": asked.label, "names": len(names), "label_cpu_us": used / asks * 1e6, "label_wall_us": wall / asks * 1e6}))
finally:
    site.stop()
    endpoint.terminate()
    endpoint.wait()
