"""Peers for programs in Python: a private pmcd, one with many agents, exporters, and what processes use."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AWKWARD = os.path.join(HERE, "data/awkward")
PMDAS = "/var/lib/pcp/pmdas"
AGENTS = {
    "pmcd": "2\tdso\tpmcd_init\t%s/pmcd/pmda_pmcd.so" % PMDAS,
    "linux": "60\tpipe\tbinary\t%s/linux/pmdalinux -l {log}" % PMDAS,
    "proc": "3\tpipe\tbinary\t%s/proc/pmdaproc -d 3 -l {log}" % PMDAS,
    "sample": "29\tpipe\tbinary\t%s/sample/pmdasample -d 29 -l {log}" % PMDAS,
    "mmv": "70\tdso\tmmv_init\t%s/mmv/pmda_mmv.so" % PMDAS,
    "awkward": "245\tpipe\tbinary\t/usr/bin/python3 %s/awkward.py 245 {log} {many}" % AWKWARD,
}
STUBS = {
    "sample": '#define SAMPLE 29\nroot {\n\tsample\n}\n#include "%s/sample/pmns"\n' % PMDAS,
    "awkward": "root {\n\tawkward\t245:*:*\n}\n",
}


class Pmcd:
    """A pmcd in a directory of its own, over many lives; `prefix` is a command to run it under, as in a network namespace."""

    def __init__(self, name, parts=(), prefix=()):
        self.dir = tempfile.mkdtemp(prefix="pmbridge-%s-" % name)
        os.chmod(self.dir, 0o755)  # agents give root up
        for part in ("var/config/pmda", "run", "log", "tmp", *parts):
            os.makedirs(self.path(part))
        os.symlink("/var/lib/pcp/pmns", self.path("var/pmns"))
        self.prefix, self.process, self.lives = list(prefix), None, 0
        self.env = dict(os.environ, LC_ALL="C.UTF-8")
        for variable, part in (("VAR", "var"), ("RUN", "run"), ("LOG", "log"), ("TMP", "tmp")):
            self.env["PCP_%s_DIR" % variable] = self.path(part)
        self.port = free_port()

    def path(self, name):
        return os.path.join(self.dir, name)

    def launch(self):
        self.lives += 1
        command = self.prefix + ["/usr/lib/pcp/bin/pmcd", "-f", "-A", "-i", "127.0.0.1", "-p", str(self.port), "-U", "root"]
        command += ["-s", self.path("run/pmcd.socket"), "-c", self.path("pmcd.conf"), "-n", self.path("pmns")]
        command += ["-l", self.path("log/pmcd%d.log" % self.lives)]
        self.process = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Site(Pmcd):
    """A pmcd with these agents."""

    def __init__(self, agents, many=2000, mapped=(3, 4), prefix=()):
        super().__init__("export", ["tmp/mmv"], prefix)
        self.many = many
        self.configure(agents)
        if "mmv" in agents:
            writer = ["/usr/bin/python3", os.path.join(AWKWARD, "mmv.py"), "mapped", str(mapped[0]), str(mapped[1])]
            subprocess.run(writer, env=self.env, check=True)

    def configure(self, agents):
        with open(self.path("pmcd.conf"), "w") as conf:
            for agent in agents:
                log = self.path("log/%s.log" % agent)
                conf.write("%s\t%s\n" % (agent, AGENTS[agent].format(log=log, many=self.many)))
        stubs = []
        for agent in agents:
            stub = "/var/lib/pcp/pmns/root_%s" % agent
            if agent in STUBS:
                stub = self.path("root_%s" % agent)
                with open(stub, "w") as file:
                    file.write(STUBS[agent])
            stubs.append(stub)
        merge = ["/usr/lib/pcp/bin/pmnsmerge", "-f"] + stubs + [self.path("pmns")]
        subprocess.run(merge, cwd="/var/lib/pcp/pmns", check=True)

    def start(self):
        self.launch()
        wait_for("pmcd", lambda: self.pminfo("pmcd.version"))

    def pminfo(self, *arguments):
        command = self.prefix + ["pminfo", "-h", "127.0.0.1:%d" % self.port, *arguments]
        return subprocess.run(command, env=self.env, capture_output=True).returncode == 0

    def hangup(self):
        self.process.send_signal(signal.SIGHUP)

    def agent(self, name):
        """The process id of an agent, while there is one."""
        for pid in children(self.process.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as file:
                    if name.encode() in file.read():
                        return pid
            except OSError:
                pass  # gone meanwhile
        return None

    def kill(self):
        """Ends pmcd as a crash would."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Export:
    """pmbridge export beside a pmcd on this port."""

    def __init__(self, binary, port, log, arguments=(), prefix=()):
        self.log = log
        with open(log, "wb") as file:
            command = list(prefix) + [binary, "export", "--pmcd", "127.0.0.1:%d" % port]
            command += ["--web.listen-address", "127.0.0.1:0", *arguments]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self.url = wait_for("the address of pmbridge export", self.address)

    def address(self):
        if self.process.poll() is not None:
            raise SystemExit("pmbridge export ended: %s" % self.said())
        found = re.search(r"http://\S+/metrics", self.said())
        return found and found[0]

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def wait_for(what, condition, patience=60):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit("gave up waiting for %s" % what)


def usage(pid):
    """Resident bytes, descriptors and threads, nothing where the process has gone."""
    try:
        with open("/proc/%d/status" % pid) as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        return int(fields["VmRSS"].split()[0]) * 1024, len(os.listdir("/proc/%d/fd" % pid)), int(fields["Threads"])
    except (OSError, KeyError):
        return None
