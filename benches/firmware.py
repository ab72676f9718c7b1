"""Asks the firmware and the plain loop in turn, over QEMU's user network; `benches/firmware` builds both and calls this."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROUNDS, SECONDS = 3, 2.0
GREETING = struct.pack(">IIIIBBH", 20, 0x700C, 7, 1, 1, 2, 0)
SAMPLES = 100
PAGE = "# HELP bench_value Of the bench.\n# TYPE bench_value gauge\n" + "".join(
    f'bench_value{{place="{n}"}} {n * 1.25}\n' for n in range(SAMPLES)
) + "bench_one 1\n"
LINES = PAGE.count("\n")


class Neighbour:
    """Whose page is scraped: as fast as may be."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(PAGE)}\r\n\r\n"
        self.answer = (head + PAGE).encode()
        self.served = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.listener.accept()
            with peer:
                try:
                    asked = b""
                    while not asked.endswith(b"\r\n\r\n"):
                        piece = peer.recv(4096)
                        if not piece:
                            break
                        asked += piece
                    peer.sendall(self.answer)
                    self.served += 1
                except OSError:
                    pass


class Board:
    """One program on the board."""

    def __init__(self, program, settings):
        command = ["host-embedded/firmware.sh", "run", "lm3s6965evb", "--bin", program, "--built", *settings]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.ports = {}
        for line in self.process.stdout:
            if found := re.match(r"PORT (\d+) -> 127\.0\.0\.1:(\d+)", line):
                self.ports[int(found[1])] = int(found[2])
            if "address: " in line:
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def connect(self, port):
        sock = socket.create_connection(("127.0.0.1", self.ports[port]), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def page(self):
        """The bytes of one page, over a connection of its own."""
        with self.connect(9100) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: chip\r\nConnection: close\r\n\r\n")
            got = 0
            while piece := sock.recv(65536):
                got += len(piece)
            return got


def exactly(sock, n):
    got = b""
    while len(got) < n:
        piece = sock.recv(n - len(got))
        if not piece:
            raise ConnectionError("ended")
        got += piece
    return got


def pdu(sock):
    head = exactly(sock, 12)
    return head + exactly(sock, struct.unpack(">I", head[:4])[0] - 12)


def pmids(sock, root):
    """The ids of all metrics below a name."""
    name = root.encode()
    pad = b"~" * (-len(name) % 4)
    body = struct.pack(">II", 0, len(name)) + name + pad
    sock.sendall(struct.pack(">III", 12 + len(body), 0x7010, 0) + body)
    names = pdu(sock)
    sock.sendall(struct.pack(">III", len(names), 0x700E, 0) + names[12:])
    answer = pdu(sock)
    status, count = struct.unpack(">iI", answer[12:20])
    return [answer[20 + 4 * n:24 + 4 * n] for n in range(count)]


def fetch(ids):
    profile = struct.pack(">IIIIIII", 28, 0x7002, 0, 0, 0, 0, 0)
    head = struct.pack(">IIIIIII", 28 + 4 * len(ids), 0x7003, 0, 0, 0, 0, len(ids))
    return profile + head + b"".join(ids)


def rate(what):
    """How often a second it can be done, again and again; a connection that is refused is begun anew."""
    until, done, start = time.monotonic() + SECONDS, 0, time.monotonic()
    while time.monotonic() < until:
        try:
            what()
            done += 1
        except OSError:
            time.sleep(0.001)
    return done / (time.monotonic() - start)


def asking(sock, request, n):
    def once():
        sock.sendall(request)
        exactly(sock, n)
    return once


def measure(settings, program):
    """The best of some rates: pages, fetches, scrapes."""
    with Board(program, settings["pages"]) as board:
        pages = rate(lambda: board.page())
    with Board(program, settings["fetches"]) as board, board.connect(44321) as sock:
        fetches = rate(asking(sock, *settings["fetch"](sock)))
    with Board(program, settings["scrapes"]) as board, board.connect(44321) as sock:
        scrapes = rate(asking(sock, *settings["scrape"](sock)))
    return pages, fetches, scrapes * LINES


def agent(neighbour):
    """What to tell the appliance, and what to ask it."""
    own = ["ip=10.0.2.15/24"]

    def greeted(sock):
        pdu(sock)
        sock.sendall(GREETING)

    def all_of(root):
        def prepare(sock):
            greeted(sock)
            request = fetch(pmids(sock, root))
            sock.sendall(request)
            return request, len(pdu(sock))
        return prepare

    def one(sock):
        greeted(sock)
        # The first fetch has the neighbour scraped, whose names are known from then on.
        first = fetch([struct.pack(">I", 144 << 22 | 1 << 10)])
        sock.sendall(first)
        pdu(sock)
        request = fetch(pmids(sock, "openmetrics.bench.bench_one"))
        sock.sendall(request)
        return request, len(pdu(sock))

    scrapes = [*own, f"scrape=bench@10.0.2.2:{neighbour.port}/metrics"]
    return {"pages": own, "fetches": own, "scrapes": scrapes, "fetch": all_of("device"), "scrape": one}


def plain(neighbour, page, fetched, scraped):
    sizes = lambda request, answer: [f"request={len(request)}", f"answer={answer}"]
    return {
        "pages": [f"page={page}"],
        "fetches": sizes(*fetched),
        "scrapes": [*sizes(*scraped), f"scrape=10.0.2.2:{neighbour.port}"],
        "fetch": lambda _: fetched,
        "scrape": lambda _: scraped,
    }


def main():
    neighbour = Neighbour()
    ours = agent(neighbour)
    with Board("appliance", ours["scrapes"]) as board:
        with board.connect(44321) as sock:
            scraped = ours["scrape"](sock)
    with Board("appliance", ours["pages"]) as board:
        page = board.page()
        with board.connect(44321) as sock:
            fetched = ours["fetch"](sock)
    theirs = plain(neighbour, page, fetched, scraped)
    print(f"page of {page} B; fetch of {len(fetched[0])} B, answer of {fetched[1]} B; {LINES} lines scraped, {len(PAGE)} B")
    best = {"appliance": (0, 0, 0), "plain": (0, 0, 0)}
    for _ in range(ROUNDS):
        for program, settings in (("appliance", ours), ("plain", theirs)):
            best[program] = tuple(map(max, best[program], measure(settings, program)))
    print(f"{'a second':16}{'appliance':>12}{'plain':>12}{'ratio':>8}")
    for what, ours, theirs in zip(("pages", "fetches", "lines scraped"), best["appliance"], best["plain"]):
        print(f"{what:16}{ours:12.0f}{theirs:12.0f}{ours / theirs:8.2f}")


if __name__ == "__main__":
    sys.exit(main())
