"""What `full_disk.sh` does once there is a disk that gets full.

full_disk.py tmpfs DIR FSYNC       on a small file system that is mounted at DIR
full_disk.py limit DIR BYTES       with RLIMIT_FSIZE: from some time on no file in DIR may be written beyond that; and none is begun with it

Writers add numbered entries, each for itself, and remember what was answered; a consumer reads, acknowledges and remembers. Once all of them heard
MISCONF it must hold, there and after SIGKILL and a new begin, full as it is:
- what is there is what was answered: all of that, and nothing that was refused;
- what was acknowledged is not pending;
- reads are answered, and what writes hears MISCONF, though the clients connect anew and try.
Then there is room (a file is deleted, or the limit is lifted), and without a new begin: writes go on within seconds, and when streams are trimmed
they go on for many times what the disk holds. At last it ends in order, and all is there when it begins again.
"""

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
from server_kit import begun, Client, Server, check, faults

KIND, DIR, HOW = sys.argv[1:4]
WRITERS = 4
ENTRY = 5_000
# So soon there is to be a write that is done, once there is room: it is tried every second.
SOON = 5.0


class Told:
    """What clients heard."""

    def __init__(self):
        self.added = [{} for _ in range(WRITERS)]  # number: id
        self.read, self.acked, self.refused, self.cut = {}, set(), 0, 0
        self.next = [0] * WRITERS
        self.stop = threading.Event()


def write(server, told, at):
    """Adds until it is refused."""
    client = Client(server, 30.0)
    while not told.stop.is_set():
        told.next[at] += 1
        number = told.next[at]
        pad = "x" * (ENTRY if number % 10 else 20)
        try:
            answer = client.ask("XADD", f"s{at}", "*", "n", number, "pad", pad)
        except (EOFError, ConnectionError):
            check(False, f"writer {at} was cut off without a word")
            return
        if answer.startswith(b"-"):
            check(answer.startswith(b"-MISCONF"), f"writer {at} heard {answer!r}")
            told.refused += 1
            return
        told.added[at][number] = answer.decode()


def consume(server, told):
    """Reads and acknowledges until that is refused."""
    client = Client(server, 30.0)
    while not told.stop.is_set():
        streams = [f"s{at}" for at in range(WRITERS)]
        try:
            answer = client.ask("XREADGROUP", "GROUP", "g", "c", "COUNT", 10, "STREAMS", *streams, *[">"] * WRITERS)
            if isinstance(answer, bytes):
                if answer == b"*-1":
                    continue
                check(answer.startswith(b"-MISCONF"), f"the consumer heard {answer!r}")
                return
            for stream, entries in answer:
                for id, _ in entries:
                    answer = client.ask("XACK", stream, "g", id)
                    if answer.startswith(b"-"):
                        check(answer.startswith(b"-MISCONF"), f"the consumer heard {answer!r}")
                        return
                    told.acked.add((stream.decode(), id.decode()))
        except (EOFError, ConnectionError):
            check(False, "the consumer was cut off without a word")
            return


def fill(server, told):
    """All of them, until each was refused."""
    told.stop.clear()
    consumer = threading.Thread(target=consume, args=(server, told))
    threads = [threading.Thread(target=write, args=(server, told, at)) for at in range(WRITERS)]
    [thread.start() for thread in [consumer, *threads]]
    deadline = time.time() + 60
    [thread.join(max(0.0, deadline - time.time())) for thread in threads]
    check(not any(thread.is_alive() for thread in threads), "the disk does not get full")
    told.stop.set()
    [thread.join() for thread in [consumer, *threads]]


def look(server, told, when, exact=True):
    """Holds what is there against what was heard."""
    client, entries_in_all = Client(server, 30.0), 0
    for at in range(WRITERS):
        there = {}
        entries = client.ask("XRANGE", f"s{at}", "-", "+")
        if isinstance(entries, bytes):
            check(False, f"{when}: XRANGE hears {entries!r}")
            continue
        for id, fields in entries:
            there[int(fields[1])] = id.decode()
        entries_in_all += len(there)
        lost = [n for n, id in told.added[at].items() if there.get(n) != id]
        more = [n for n in there if n not in told.added[at]]
        check(not lost, f"{when}: of writer {at} {len(lost)} are missing that were answered, as {lost[:5]}")
        check(not more or not exact, f"{when}: of writer {at} {more[:5]} are there that were refused")
        pending = client.ask("XPENDING", f"s{at}", "g", "-", "+", 1_000_000)
        back = [id for id, *_ in pending if (f"s{at}", id.decode()) in told.acked]
        check(not back, f"{when}: {back[:5]} were acknowledged, and are pending")
    answer = client.ask("PING")
    check(answer == b"+PONG", f"{when}: PING hears {answer!r}")
    client.close()
    return entries_in_all


def refuses(server, when):
    """What writes hears why not, however often it is tried, from clients that are not cut off for it."""
    heard = set()
    for _ in range(20):
        try:
            client = Client(server, 30.0)
            heard.add(client.ask("XADD", "s0", "*", "n", 0, "pad", "x" * ENTRY)[:8])
            heard.add(client.ask("XACK", "s0", "g", "9-9")[:8])
            client.close()
        except (EOFError, ConnectionError):
            heard.add(b"cut")
    check(b"-MISCONF" in heard, f"{when}: writes hear {heard}")


def goes_on(server, when):
    """How long it takes until a write is done."""
    began = time.time()
    while time.time() < began + SOON:
        try:
            client = Client(server, 30.0)
            answer = client.ask("XADD", "late", "*", "f", "x" * ENTRY)
            client.close()
            if not answer.startswith(b"-"):
                return time.time() - began
        except (EOFError, ConnectionError):
            pass
        time.sleep(0.02)
    check(False, f"{when}: nothing is written, {SOON:.0f} s later")
    return SOON


def trimmed(server, megabytes):
    """Writes on, far more than there is room for, in streams that are kept short."""
    client, before = Client(server, 30.0), 0
    for n in range(megabytes * 1_000_000 // 50_000):
        answer = client.ask("XADD", "short", "MAXLEN", 20, "*", "f", "x" * 50_000)
        if answer.startswith(b"-"):
            check(False, f"refused after {n * 50_000 / 1e6:.0f} MB, though only 1 MB is kept: {answer!r}")
            return
    client.close()


def main():
    data, ballast = os.path.join(DIR, "data"), Path(DIR) / "ballast"
    if KIND == "tmpfs":
        ballast.write_bytes(bytes(96 << 20))
        server = Server("--fsync", HOW, data=data)
    else:
        refused = Server(data=os.path.join(DIR, "none"), file_size=int(HOW), begins=False)
        said = refused.process.stderr.read()
        check(refused.process.wait() == 2 and "File too large" in said, f"{refused.process.returncode}, {said!r}: too small a limit to begin with")
        server = Server(data=data)
        server.file_size = int(HOW)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (int(HOW), resource.RLIM_INFINITY))
    told, boss = Told(), Client(server)
    for at in range(WRITERS):
        answer = boss.ask("XGROUP", "CREATE", f"s{at}", "g", "0", "MKSTREAM")
        check(answer == b"+OK", f"a group is made: {answer!r}")
    boss.close()
    fill(server, told)
    check(server.process.poll() is None, f"the server has ended with {server.process.poll()}")
    first = look(server, told, "full")
    refuses(server, "full")
    look(server, told, "full, and after some tries")
    server.end(signal.SIGKILL)
    server.begin()
    look(server, told, "begun anew while it is full")
    # There may be a little room again: until there is none.
    fill(server, told)
    second = look(server, told, "full again")
    refuses(server, "full again")
    if KIND == "tmpfs":
        ballast.unlink()
    else:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    took = goes_on(server, "with room")
    look(server, told, "with room")
    boss = Client(server, 30.0)
    for at in range(WRITERS):
        kept = [id.decode() for id, _ in boss.ask("XREVRANGE", f"s{at}", "+", "-", "COUNT", 100)]
        boss.ask("XTRIM", f"s{at}", "MAXLEN", 100)
        told.added[at] = {n: id for n, id in told.added[at].items() if id in kept}
    trimmed(server, 150)
    last = look(server, told, "trimmed")
    server.end()
    server.file_size = None
    server.begin()
    look(server, told, "ended in order, and begun again")
    server.end()
    print(
        f"{KIND} {HOW}: {first} entries answered when it was full, {second} after SIGKILL and a new begin, {len(told.acked)} acknowledged, "
        f"{told.refused} writers refused; with room written again after {took:.2f} s; {last} at last; {len(faults)} faults", flush=True,
    )


try:
    main()
finally:
    for server in begun:
        server.process.kill()
        server.process.wait()
sys.exit(1 if faults else 0)
