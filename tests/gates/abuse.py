#!/usr/bin/env python3
"""Does to `callboard serve` what no client should, and looks whether anybody else notices.

Usage: tests/gates/abuse.py [CASE ..]   (default: all; each against a server in memory and one with --data)
Needs no packages. Builds the server unless CB_BINARY names one. CB_SEED=N: other random bytes. What is stated is in `server_kit.py`.

Beside each case another client adds and pings, in a process of its own. After it a new client must be answered in time, the other one's slowest
answer and the server's memory must be below what is stated. A line per case: its counts, what the other client saw, the memory and its bound.
"""

import os
import random
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from server_kit import CACHE, MEMORY, Client, Server, binary, check, cpu, faults, request, run, settled, there

SEED = int(os.environ.get("CB_SEED", "1"))
ARGS, LINE = 1 << 20, 64 << 10


# What it says is the same each time: all is in a database of its own, which is emptied first.
SESSION = [
    request("SELECT", 9), request("FLUSHDB"), b"PING\r\n", request("SET", "k", "some value"), b'GET "k"\r\n',
    request("XADD", "s", "1-1", "f", "v"), request("XADD", "s", "1-2", "f", b"\xff\x00\r\n"), request("XGROUP", "CREATE", "s", "g", "0"),
    request("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"), request("XACK", "s", "g", "1-1"), b"\r\n", b"*0\r\n", request("MULTI"),
    request("XADD", "s", "1-3", "f", "v"), request("XLEN", "s"), request("EXEC"), request("XRANGE", "s", "-", "+"), request("NOSUCH"),
    request("XPENDING", "s", "g"), request("SUBSCRIBE", "news"), request("PING"),
]
SILENT = (b"\r\n", b"*0\r\n")


def replies_of(server):
    """What is replied to each part of the session."""
    client, replies = Client(server), []
    for part in SESSION:
        client.send(part)
        if part in SILENT:
            replies.append(b"")
            continue
        time.sleep(0.01)
        replies.append(client.socket.recv(1 << 16))
    client.close()
    return replies


def prefixes(server):
    """A session that ends behind each of its bytes, in order and by RST: what was whole is answered, and nothing else."""
    whole, replies, cuts = b"".join(SESSION), replies_of(server), 0
    for cut in range(len(whole) + 1):
        client = Client(server, of="127.0.0.2")
        client.send(whole[:cut])
        client.half_close()
        done, end = 0, 0
        while done < len(SESSION) and end + len(SESSION[done]) <= cut:
            end += len(SESSION[done])
            done += 1
        heard, wanted = client.rest(), b"".join(replies[:done])
        check(heard == wanted, f"cut at {cut}: {heard!r}, and not {wanted!r}")
        client.close()
        client = Client(server, of="127.0.0.3")
        client.send(whole[:cut])
        client.reset()
        cuts += 2
    return f"{cuts} sessions cut"


def single_bytes(server):
    wanted, client = b"".join(replies_of(server)), Client(server)
    for byte in b"".join(SESSION):
        client.send(bytes([byte]))
    client.half_close()
    heard = client.rest()
    check(heard == wanted, f"{heard!r}, and not {wanted!r}")
    return f"{len(b''.join(SESSION))} writes of a byte"


def lengths(server):
    """What is announced and never sent takes no memory; what is above a limit is refused at once."""
    # With --data no more than an entry may have.
    bulk = int(Client(server).ask("CONFIG", "GET", "proto-max-bulk-len")[1])
    check(bulk == 512 << 20 or server.data and bulk >= 15 << 20, f"a bulk may have {bulk} bytes")
    numbers = [0, 1, bulk - 1, bulk, bulk + 1, ARGS, ARGS + 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64, -1, -2, -(2**63), -(2**63) - 1]
    held, refused, before = [], 0, server.memory()
    for number in numbers:
        for head, least, most in ((b"*1\r\n$%d\r\n", 0, bulk), (b"*%d\r\n", -(2**63), ARGS), (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n", 0, bulk)):
            for _ in range(10):
                client = Client(server)
                client.send(head % number)
                if least <= number <= most:
                    held.append(client)
                else:
                    heard = client.rest()
                    refused += 1
                    check(b"ERR Protocol error: invalid" in heard, f"{head % number!r}: {heard!r}")
                    client.close()
    grown = server.memory() - before
    check(grown < 16, f"{len(held)} announcements take {grown:.0f} MiB")
    # What has come is held, and little more than that.
    for client in held[:8]:
        client.close()
    large = [Client(server) for _ in range(8)]
    for client in large:
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n" % bulk + bytes(1 << 20))
    time.sleep(0.3)
    grown = server.memory() - before
    check(grown < 16 + 8 * 2, f"8 MiB that came take {grown:.0f} MiB")
    [client.close() for client in held[8:] + large]
    return f"{len(held)} announced and held, {refused} refused"


def headers(server):
    """Brackets that seem to nest, and lines without an end."""
    table = [
        (b"*1\r\n" * 100_000, b"expected '$', got '*'"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", b"expected '$', got '*'"),
        (b"*" + b"1" * (LINE + 9), b"too big mbulk count string"),
        (b"*1\r\n$" + b"1" * (LINE + 9), b"too big bulk count string"),
        (b"x" * (LINE + 9), b"too big inline request"),
        (b'SET a "x\r\n', b"unbalanced quotes"),
        (b"*2\r\n$3\r\nGET\r\n+a\r\n", b"expected '$', got '+'"),
        (b"*x\r\n", b"invalid multibulk length"),
        (b"*1\r\n$4\r\nPINGPONG", b"invalid bulk length"),
    ]
    unheard = 0
    for sent, wanted in table * 20:
        client, heard = Client(server), b""
        try:
            client.send(sent)
            heard = client.rest()
        except (BrokenPipeError, ConnectionResetError):
            pass
        # What it had not read yet when it ended may cost the client the answer.
        unheard += heard == b""
        check(heard == b"" or wanted in heard, f"{sent[:40]!r}: {heard!r}")
        client.close()
    client = Client(server)
    client.send(b"*0\r\n" * 100_000 + b"\r\n" * 100_000 + b"ECHO " + b"x" * (LINE - 6) + b"\r\n")
    check(client.reply() == b"x" * (LINE - 6), "the longest line")
    client.close()
    return f"{len(table) * 20} refused, {unheard} of them unheard"


def manners(server):
    """Commands that are none, and greetings that are none."""
    client, asked = Client(server), 0
    for n in range(3000):
        check(client.ask(f"nosuch{n}", "x" * (n % 300)).startswith(b"-ERR unknown command"), "unknown")
    check(client.ask(b"y" * 1_000_000, b"z" * 1_000_000).startswith(b"-ERR unknown command"), "a large name")
    for args, wanted in [
        (["HELLO", 3], b"server"), (["HELLO", 3], b"server"), (["HELLO", 2], b"server"), (["HELLO"], b"server"), (["HELLO", 1], b"-NOPROTO"),
        (["HELLO", 4], b"-NOPROTO"), (["HELLO", "x"], b"-ERR"), (["HELLO", ""], b"-ERR"), (["HELLO", 2**64], b"-ERR"), (["HELLO", -3], b"-NOPROTO"),
        (["HELLO", 3, "AUTH"], b"-ERR"), (["HELLO", 3, "AUTH", "a"], b"-ERR"), (["HELLO", 3, "SETNAME", "a b"], b"-ERR"), (["HELLO", 3, b"\xff"], b"-ERR"),
        (["AUTH", "x"], b"-ERR"), (["EXEC"], b"-ERR"), (["DISCARD"], b"-ERR"), (["CLIENT", "REPLY", "x"], b"-ERR"), (["PING"], b"+PONG"),
    ]:
        answer = client.ask(*args)
        answer = answer[0] if isinstance(answer, list) else answer
        check(answer.startswith(wanted), f"{args}: {answer[:80]!r}")
        asked += 1
    client.close()
    secret = CACHE / "secret"
    secret.write_text("curtain\n")
    own = Server("--password-file", str(secret), data=None)
    client = Client(own)
    for args in [["PING"], ["XADD", "s", "*", "f", "v"], ["FLUSHALL"], ["SUBSCRIBE", "a"], ["MULTI"], ["CONFIG", "GET", "requirepass"], ["CLIENT", "LIST"]]:
        check(client.ask(*args).startswith(b"-NOAUTH"), f"{args} before AUTH")
    check(client.ask("AUTH", "wrong").startswith(b"-WRONGPASS"), "a wrong password")
    check(client.ask("HELLO", 3, "AUTH", "default", "wrong").startswith(b"-WRONGPASS"), "a wrong one, in HELLO")
    for sent, wanted in [(b"*11\r\n", b"unauthenticated multibulk"), (b"*1\r\n$16385\r\n", b"unauthenticated bulk")]:
        guest = Client(own)
        guest.send(sent)
        check(wanted in guest.rest(), f"{sent!r} before AUTH")
        guest.close()
    check(client.ask("AUTH", "curtain") == b"+OK" and client.ask("PING") == b"+PONG", "the right one")
    client.close()
    own.end()
    return f"3001 unknown commands, {asked} odd ones, 11 before AUTH"


def loris(server):
    """Hundreds that say a byte now and then."""
    clients, text = [Client(server) for _ in range(500)], request("SET", "k", "x" * 200)
    began, at = time.time(), 0
    while time.time() < began + 5 and at < len(text):
        for client in clients:
            client.send(text[at:at + 1])
        at += 1
        time.sleep(0.01)
    [client.close() for client in clients]
    return f"500 clients, {500 * at} bytes in {time.time() - began:.1f} s"


def never_reads(server):
    """Who asks and does not read is not answered; who listens and does not read is sent away."""
    boss, large = Client(server), 1 << 20
    boss.ask("SET", "large", b"x" * large)
    for n in range(100):
        boss.ask("XADD", "long", "*", "f", "x" * 10_000)
    peers = []
    for ask in [request("GET", "large")] * 10 + [request("XRANGE", "long", "-", "+")] * 10:
        peer = Client(server)
        # What lies with the system is not with the server, and may be megabytes.
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
        peer.socket.setblocking(False)
        sent = 0
        try:
            # Twice at least, since one reply fits in the buffers between.
            while sent < 4 << 20:
                sent += peer.socket.send(ask * 1000)
        except BlockingIOError:
            pass
        check(sent < 4 << 20, f"{sent} bytes of requests are taken from one who does not read")
        peers.append(peer)
    time.sleep(0.5)
    held = server.memory() - server.base
    check(held < 20 * 3 + MEMORY, f"20 peers make it hold {held:.0f} MiB")
    boss.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    listeners = [Client(server) for _ in range(10)]
    [listener.ask("SUBSCRIBE", "news") for listener in listeners]
    heard = [boss.ask("PUBLISH", "news", b"y" * 100_000) for _ in range(400)]
    check(heard[0] == b":10" and heard[-1] == b":0", f"listeners: {heard[0]!r} at first, {heard[-1]!r} at last")
    [client.close() for client in [boss, *peers, *listeners]]
    return f"20 who ask, 10 who listen; {held:.0f} MiB held", 60


def idle(server):
    """As many connections as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        hard = soft
    many = min(10_000, hard - 200)
    if many < 10_000:
        print(f"  only {many} connections: no more descriptors may be had")
    before, began = server.descriptors(), time.time()
    clients = [Client(server, of=f"127.0.0.{4 + n % 50}") for n in range(many)]
    took = time.time() - began
    for client in clients[::100]:
        check(client.ask("PING") == b"+PONG", "one of many is answered")
    deadline = time.time() + 10
    while server.descriptors() < before + many and time.time() < deadline:
        time.sleep(0.05)
    held = server.memory() - server.base
    check(server.descriptors() >= before + many, f"{server.descriptors()} descriptors, and not {before + many}")
    check(Client(server).ask("PING") == b"+PONG", "a new one beside them is answered")
    [client.close() for client in clients]
    deadline = time.time() + 10
    while server.descriptors() > before + 2 and time.time() < deadline:
        time.sleep(0.05)
    check(server.descriptors() <= before + 2, f"{server.descriptors()} descriptors are left, of {before}")
    return f"{many} connections in {took:.1f} s, {held:.0f} MiB, {held * 1024 / many:.1f} KiB each", many * 32 >> 10


def reconnects(server):
    """A thousand a second: each asks, is answered, and goes."""
    began, done = time.perf_counter(), 0
    while done < 5000:
        client = Client(server, of=f"127.0.0.{60 + done % 100}")
        check(client.ask("PING") == b"+PONG", "it is answered")
        client.close()
        done += 1
        time.sleep(max(0.0, began + done / 1000 - time.perf_counter()))
    return f"{done} at {done / (time.perf_counter() - began):.0f}/s"


def half_close(server):
    """Who has said all, and said so, is answered."""
    for n in range(200):
        client = Client(server)
        client.send(request("XADD", "half", "*", "n", n) + request("XLEN", "half"))
        client.half_close()
        heard = client.rest()
        check(heard.endswith(b"\r\n:%d\r\n" % (n + 1)), f"{n}: {heard!r}")
        client.close()
    return "200 answered"


def resets(server):
    """RST in the middle of an XADD, and of pipelines: what is there is a beginning of it, in order."""
    dice, entry = random.Random(SEED), request("XADD", "torn", "*", "n", 1)
    for cut in range(1, len(entry)):
        client = Client(server)
        client.send(entry[:cut])
        client.reset()
    check(settled(server, "torn") == [], "half an entry is there")
    kept = 0
    for n in range(100):
        stream, client = f"torn{n}", Client(server)
        pipe = b"".join(request("XADD", stream, "*", "n", at) for at in range(200))
        client.send(pipe[:dice.randrange(1, len(pipe))])
        client.reset()
    for n in range(100):
        found = settled(server, f"torn{n}") if n == 0 else there(server, f"torn{n}")
        kept += len(found)
        check(found == list(range(len(found))), f"torn{n}: {found[:9]}")
    return f"{len(entry) - 1} cut entries, 100 cut pipelines with {kept} entries there"


def pipeline(server):
    """10,000 XADDs, and away: a beginning of them is there; after a half close all of them."""
    pipe, found = b"".join(request("XADD", "%s", "*", "n", at) for at in range(10_000)), []
    for round, wait in enumerate([False, False, True]):
        stream = b"p%d" % round
        client = Client(server, 60.0)
        sending = threading.Thread(target=lambda: client.send(pipe.replace(b"$2\r\n%s", b"$2\r\n" + stream)))
        sending.start()
        heard = client.file.read(1) if wait else b""
        if not wait:
            sending.join()
            client.close()
        else:
            heard += b"".join(client.file.readline() for _ in range(20_000))
            sending.join()
            client.half_close()
            check(client.rest() == b"" and heard.count(b"\r\n") == 20_000, "each is answered")
            client.close()
        found.append(settled(server, stream))
        check(found[-1] == list(range(len(found[-1]))), f"{stream}: not in order")
    check(len(found[2]) == 10_000, f"{len(found[2])} of 10,000")
    return f"{[len(some) for some in found]} of 10,000 each", 16


def garbage(server):
    """What is no client: noise, TLS, a browser."""
    dice, ended = random.Random(SEED), 0
    hello = bytes.fromhex("16030100c8010000c40303") + dice.randbytes(190)
    http = [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n", b"POST / HTTP/1.1\r\n\r\nFLUSHALL\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    Client(server).ask("SET", "witness", "x")
    for n in range(600):
        sent = dice.choice([hello, *http]) if n % 3 == 0 else dice.randbytes(dice.randrange(1, 5000))
        client = Client(server)
        try:
            client.send(sent)
            client.half_close()
        except OSError:
            pass
        client.rest()
        client.close()
        ended += 1
    check(Client(server).ask("GET", "witness") == b"x", "nobody had it deleted")
    return f"{ended} ended"


def not_utf8(server):
    """Bytes that are no text, in each argument of each command; names of such are kept."""
    odd, boss, asked = b"\xff\xfe\x00\x80\r\n", Client(server), 0
    for name in boss.ask("COMMAND", "LIST"):
        for many in range(8):
            client = Client(server)
            client.send(request("SELECT", 9) + request(*name.split(b"|"), *[odd] * many) + request("PING", odd))
            client.half_close()
            heard = client.rest()
            check(heard.startswith(b"+OK\r\n") and heard.count(b"\r\n") >= 2, f"{name!r} of {many}: {heard[:80]!r}")
            client.close()
            asked += 1
    boss.ask("XADD", odd, "1-1", odd, odd)
    boss.ask("XGROUP", "CREATE", odd, odd, "0")
    boss.ask("XREADGROUP", "GROUP", odd, odd, "STREAMS", odd, ">")
    if server.data:
        boss.close()
        server.again()
        boss = Client(server)
    check(boss.ask("XRANGE", odd, "-", "+") == [[b"1-1", [odd, odd]]], "an entry of odd bytes")
    check(boss.ask("XPENDING", odd, odd)[3] == [[odd, b"1"]], "a consumer of odd bytes")
    boss.close()
    return f"{asked} commands"


def memory_limit(server):
    """Writers without end, where memory has one; and more clients than may be."""
    own = Server("--memory-limit", "20mb", "--max-clients", "20", data=None)
    client, n = Client(own), 0
    while not (answer := client.ask("XADD", f"s{n % 7}", "*", "f", "x" * 10_000)).startswith(b"-") and n < 10_000:
        n += 1
    check(answer.startswith(b"-OOM"), f"after {n}: {answer!r}")
    check(client.ask("XLEN", "s0").startswith(b":"), "it still reads")
    grown = own.memory() - own.base
    check(grown < 40, f"20 MiB of keys take {grown:.0f} MiB")
    clients = [Client(own) for _ in range(19)]
    [client.ask("PING") for client in clients]
    refused = sum(b"max number of clients" in Client(own).rest() for _ in range(50))
    check(refused == 50, f"{refused} of 50 refused")
    check(client.ask("PING") == b"+PONG", "who is there goes on")
    own.end()
    return f"{n} entries in 20 MiB ({grown:.0f} MiB more), {refused} clients refused"


def descriptors(server):
    """No descriptor is left: who is there goes on, with entries that need new files; others are told, and served when there are some again."""
    data = tempfile.mkdtemp(prefix="callboard-abuse-") if server.data else None
    own = Server(*(["--fsync", "no"] if data else []), files=64, data=data)
    first, crowd, refused = Client(own, 30.0), [], 0
    first.ask("PING")
    for _ in range(150):
        client = Client(own)
        try:
            is_served = client.ask("PING") == b"+PONG"
        except (EOFError, OSError):
            is_served = False
        refused += not is_served
        (crowd.append if is_served else Client.close)(client)
    check(len(crowd) > 16, f"only {len(crowd)} are served")
    entry, added, why, before = b"x" * 1_000_000, 0, b"", cpu(own)
    for n in range(200):
        answer = first.ask("XADD", "s", "MAXLEN", "20", f"1-{n + 1}", "f", entry)
        added += not answer.startswith(b"-")
        why = answer if answer.startswith(b"-") else why
    check(added == 200, f"{added} of 200 entries are added where no descriptor is left: {why!r}")
    check(all(client.ask("PING") == b"+PONG" for client in crowd), "who was there goes on")
    time.sleep(0.5)
    before = cpu(own)
    time.sleep(1)
    busy = cpu(own) - before
    check(busy < 0.3, f"it is busy for {busy:.0%} of the time with nobody")
    taken = own.descriptors()
    [client.close() for client in crowd]
    began = time.time()
    while True:
        try:
            if Client(own).ask("PING") == b"+PONG":
                break
        except (EOFError, OSError):
            pass
        if time.time() > began + 5:
            check(False, "nobody is served again")
            break
        time.sleep(0.01)
    took = time.time() - began
    own.end()
    if data:
        shutil.rmtree(data)
    return f"{taken} of 64 in use, {refused} of 150 refused, {added} MB added meanwhile, served again after {took * 1e3:.0f} ms"


CASES = [
    prefixes, single_bytes, lengths, headers, manners, loris, never_reads, idle, reconnects, half_close, resets, pipeline, garbage, not_utf8,
    memory_limit, descriptors,
]


binary()
began = time.time()
chosen = [case for case in CASES if case.__name__ in sys.argv[1:] or not sys.argv[1:]]
for case in chosen:
    run(case, keeps=False)
    run(case, keeps=True)
print(f"{2 * len(chosen)} cases in {time.time() - began:.0f} s, {len(faults)} faults")
sys.exit(1 if faults or not chosen else 0)
