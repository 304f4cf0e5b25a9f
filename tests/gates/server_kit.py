"""What the gates that begin a server of their own share: the server, a plain client, and the other client that notices."""

import functools
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GATES = Path(os.environ.get("CB_GATES", Path(tempfile.gettempdir()) / "callboard-gates"))
CACHE = GATES / "abuse"
# The slowest answer that anybody else may get, in seconds: machines that gates run on are shared.
SLOWEST = 2.0
# What the server may take in memory, in MiB, beyond what it began with, and what a case says that it needs.
MEMORY = 24
faults, begun = [], []


def check(is_so, what):
    if not is_so:
        faults.append(what)
        print(f"  NOT SO: {what}")


@functools.cache
def binary():
    if "CB_BINARY" in os.environ:
        return os.environ["CB_BINARY"]
    if shutil.which("cargo") is None:
        print("skipped: no cargo, and no CB_BINARY")
        sys.exit(0)
    subprocess.run(["cargo", "build", "--quiet", "--release", "--features", "server", "--bin", "callboard"], cwd=ROOT, check=True)
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/callboard")


def redis_py():
    """redis-py, installed into a folder of the gates' own; where it can't be had, ends."""
    home = GATES / "python"
    if not home.exists():
        venv.create(home, with_pip=True)
    if subprocess.run([home / "bin" / "pip", "install", "--quiet", "redis==8.1.0"], capture_output=True).returncode != 0:
        print("skipped: redis-py can't be installed")
        sys.exit(0)
    sys.path.insert(0, str(next((home / "lib").glob("python*/site-packages"))))
    import redis

    return redis


class Server:
    """One that was begun here."""

    def __init__(self, *options, files=None, file_size=None, data=None, begins=True):
        self.options, self.files, self.file_size, self.data = options, files, file_size, data
        self.begin(begins)

    def begin(self, begins=True):
        CACHE.mkdir(parents=True, exist_ok=True)
        keep = ["--data", self.data] if self.data else ["--memory"]
        command = [binary(), "serve", "--listen", "0", *keep, *self.options]
        files = self.files or resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if self.file_size:
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_size, resource.RLIM_INFINITY))

        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=open(CACHE / "server.log", "a") if begins else subprocess.PIPE,
            text=True, preexec_fn=limit,
        )
        begun.append(self)
        if not begins:
            return
        line = self.process.stdout.readline()
        assert "listens at" in line, f"it does not begin: {line!r}"
        self.port = int(line.rsplit(":", 1)[1])
        self.base = self.memory()

    def memory(self):
        return self.told("VmRSS")

    def told(self, what):
        """Of its memory, in MiB."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:
            return 0.0
        return int((re.search(rf"{what}:\s+(\d+)", text) or [0, 0])[1]) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(30)
        check(how == signal.SIGKILL or code == 0, f"the server ends with {code}")


class Client:
    def __init__(self, server, timeout=10.0, of="127.0.0.1"):
        port = server if isinstance(server, int) else server.port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, source_address=(of, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, *args):
        self.send(request(*args))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(line)
        mark, rest = line[:1], line[1:-2]
        if mark in b"$=" and rest != b"-1":
            return self.file.read(int(rest) + 2)[:-2]
        if mark in b"*~>%" and rest != b"-1":
            return [self.reply() for _ in range(int(rest) * (2 if mark == b"%" else 1))]
        return line[:-2]

    def rest(self):
        """All that comes until the server ends it."""
        heard = b""
        try:
            while more := self.socket.recv(1 << 16):
                heard += more
        except ConnectionResetError:
            pass
        except TimeoutError:
            check(False, f"the server does not end it, after {heard[:60]!r}")
        return heard

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


def request(*args):
    args = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in args)


def other(port):
    """The other client: asks, until it is to tell how that went."""
    client, took, at = Client(port, 30.0), [], 0
    print("asks", flush=True)
    while True:
        began = time.perf_counter()
        at += 1
        answer = client.ask("XADD", "other", "MAXLEN", "100", "*", "n", at) if at % 2 else client.ask("PING")
        assert not answer.startswith(b"-"), answer
        took.append(time.perf_counter() - began)
        if select.select([sys.stdin], [], [], 0.002)[0]:
            if not sys.stdin.readline():
                return
            took.sort()
            print(json.dumps([len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1]]), flush=True)
            took.clear()


def there(server, stream):
    client = Client(server, 30.0)
    entries = client.ask("XRANGE", stream, "-", "+")
    client.close()
    return [int(fields[1]) for _, fields in entries]


def settled(server, stream):
    """What is there once nothing is added any more."""
    last, now = None, there(server, stream)
    while now != last:
        time.sleep(0.2)
        last, now = now, there(server, stream)
    return now


def cpu(server):
    """Seconds of the processor that it has had."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Beside:
    """The other client, in a process of its own: what Python does here is none of its waiting."""

    def __init__(self, server):
        command = [sys.executable, __file__, str(server.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def told(self):
        """Ends it: how many it asked; the median, the 99th percentile and the slowest, in seconds."""
        try:
            self.process.stdin.write("tell\n")
            self.process.stdin.close()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            check(False, "the other client was let down")
            return [0, 0, 0, 0]
        finally:
            self.process.wait(60)


def run(case, keeps):
    """One case: a server for it, the other client beside it, and what must hold afterwards."""
    data = tempfile.mkdtemp(prefix="callboard-gate-") if keeps else None
    server = Server("--max-clients", "11000", data=data)
    beside, told = [Beside(server)], []

    def again():
        told.append(beside.pop().told())
        server.end(signal.SIGKILL)
        server.begin()
        beside.append(Beside(server))

    server.again, began = again, time.time()
    text, more, took = "broken off", 0, 0.0
    try:
        said = case(server)
        text, more = said if isinstance(said, tuple) else (said, 0)
        # So that there is something to compare.
        time.sleep(max(0.0, began + 1 - time.time()))
        asked = time.perf_counter()
        check(Client(server, SLOWEST).ask("PING") == b"+PONG", "a new client is answered")
        took = time.perf_counter() - asked
    except Exception as error:
        check(False, f"{case.__name__}: {error!r}")
    told.append(beside.pop().told())
    slowest = max(one[3] for one in told)
    many, half, most, _ = told[-1]
    check(slowest < SLOWEST, f"the other client waited {slowest:.2f} s")
    peak, bound = server.told("VmHWM"), server.base + MEMORY + more
    check(0 < peak < bound, f"it took {peak:.0f} MiB, and not below {bound:.0f}")
    print(
        f"{case.__name__:12} {'--data  ' if keeps else '--memory'} {text}; PING {took * 1e3:.1f} ms; other: {many} asked, {half * 1e3:.1f} ms, "
        f"p99 {most * 1e3:.1f}, slowest {slowest * 1e3:.0f}; at most {peak:.0f} of {bound:.0f} MiB", flush=True,
    )
    if server.process.poll() is None:
        server.end()
    else:
        check(False, f"the server has ended with {server.process.returncode}")
    if data:
        shutil.rmtree(data)


if __name__ == "__main__":
    other(int(sys.argv[1]))
