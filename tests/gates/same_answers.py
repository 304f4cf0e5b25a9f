#!/usr/bin/env python3
"""Asks a real redis-server and `callboard serve` the same, by chance, and compares each reply; prints what differs.

Usage: tests/gates/same_answers.py [SEEDS [FIRST]]; default: 200 seeds from 0, of 400 commands each, in RESP2 and RESP3 by turns.
Builds the server unless CB_BINARY names one. Without redis-server it says so and ends with 0. What tells times, and how Redis builds its trees, is left out.
"""

import random
import re
import shutil
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from server_kit import binary

STEPS = 400
ENDS = "18446744073709551615-18446744073709551615"


class Connection:
    """A client that gives replies as they are: bytes with their mark, lists, maps."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)
        self.file = self.socket.makefile("rb")

    def ask(self, *args):
        args = [str(arg).encode() for arg in args]
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in args)
        self.socket.sendall(b"*%d\r\n%s" % (len(args), parts))
        return self.reply()

    def reply(self):
        line = self.file.readline()[:-2]
        mark, rest = line[:1], line[1:]
        if mark in b"$=":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if mark in b"*~>":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        if mark == b"%":
            return ["map"] + [self.reply() for _ in range(2 * int(rest))]
        return line


def commands(rnd):
    """One command: of few keys, groups, consumers and ids, so that they meet; sometimes a wrong one."""

    def chance(part):
        return rnd.random() < part

    def ident():
        usual = [f"{rnd.randint(0, 6)}-{rnd.randint(0, 4)}", str(rnd.randint(0, 6)), "0", "2-1"]
        return ENDS if chance(0.01) else "x" if chance(0.02) else rnd.choice(usual)

    def bound():
        return rnd.choice(["-", "+", ident(), "(" + ident(), ident()])

    def number():
        return "x" if chance(0.02) else -1 if chance(0.05) else rnd.choice([0, 1, 2, 3, 4, 5])

    def maybe(part, *args):
        return list(args) if chance(part) else []

    def trim():
        if chance(0.1):
            return rnd.choice([["LIMIT", number()], [], ["FOO"]])
        kind = rnd.choice(["MAXLEN", "MINID"])
        threshold = number() if kind == "MAXLEN" else ident()
        sign = rnd.choice([[], ["="], ["~"]])
        return [kind, *sign, threshold, *maybe(0.25, "LIMIT", number()), *maybe(0.03, "MAXLEN", 3)]

    key, group, consumer = rnd.choice("abc"), rnd.choice("gh"), rnd.choice("xy")
    keys = [rnd.choice("abc") for _ in range(rnd.choice([1, 1, 1, 2]))]
    ids = [ident() for _ in range(rnd.randint(1, 3))]
    new_id = rnd.choice([ident(), ident(), f"{rnd.randint(0, 7)}-*", f"{rnd.randint(5, 30)}-{rnd.randint(0, 5)}"])
    some = maybe(0.3, "COUNT", number())
    choices = {
        30: lambda: ["XADD", key, *maybe(0.1, "NOMKSTREAM"), *(trim() if chance(0.25) else []), new_id, "f",
                     *maybe(0.95, "v")],
        4: lambda: ["XLEN", key],
        7: lambda: [rnd.choice(["XRANGE", "XREVRANGE"]), key, bound(), bound(), *some],
        7.1: lambda: ["XDEL", key, *ids],
        3: lambda: ["XTRIM", key, *trim()],
        2: lambda: ["XSETID", key, ident(), *rnd.choice([
            [], ["ENTRIESADDED", number(), "MAXDELETEDID", ident()], ["ENTRIESADDED", number()], ["FOO"]])],
        4.1: lambda: ["XREAD", *some, "STREAMS", *keys, *(rnd.choice([ident(), "$", "0", ">"]) for _ in keys)],
        8: lambda: ["XGROUP", "CREATE", key, group, rnd.choice([ident(), "$", "0"]), *maybe(0.5, "MKSTREAM"),
                    *maybe(0.2, "ENTRIESREAD", number())],
        2.1: lambda: ["XGROUP", "SETID", key, group, rnd.choice([ident(), "$", "-", "+"]),
                      *maybe(0.3, "ENTRIESREAD", number())],
        1: lambda: ["XGROUP", "DESTROY", key, group],
        2.2: lambda: ["XGROUP", rnd.choice(["CREATECONSUMER", "DELCONSUMER"]), key, group, consumer],
        12: lambda: ["XREADGROUP", "GROUP", group, consumer, *some, *maybe(0.2, "NOACK"), "STREAMS", *keys,
                     *(rnd.choice([">", ">", ">", ident(), "$", "0"]) for _ in keys)],
        4.2: lambda: ["XACK", key, group, *ids],
        5: lambda: ["XPENDING", key, group, *rnd.choice([
            [], [bound(), bound(), number()], [bound(), bound(), number(), consumer],
            ["IDLE", 0, bound(), bound(), number()], ["IDLE", 100000, "-", "+", 10], ["-", "+"], ["IDLE", 1, "-", "+"]])],
        5.1: lambda: ["XCLAIM", key, group, consumer, rnd.choice([0, 0, 100000, -1]), *ids, *rnd.choice([
            [], ["JUSTID"], ["FORCE"], ["FORCE", "JUSTID"], ["RETRYCOUNT", number()], ["IDLE", number()],
            ["TIME", number()], ["LASTID", ident()], ["FOO"], ["FORCE", "RETRYCOUNT", 3]])],
        4.3: lambda: ["XAUTOCLAIM", key, group, consumer, rnd.choice([0, 0, 100000, "x"]), bound(), *rnd.choice([
            [], ["COUNT", number()], ["JUSTID"], ["COUNT", 1, "JUSTID"]])],
        5.2: lambda: ["XINFO", rnd.choice(["STREAM", "GROUPS"]), key],
        1.1: lambda: ["XINFO", "CONSUMERS", key, group],
        1.2: lambda: ["XINFO", "STREAM", key, "FULL", *some],
        0.5: lambda: ["DEL", key],
        0.2: lambda: ["SET", key, "v"],
        0.3: lambda: ["RENAME", key, rnd.choice("abc")],
        0.4: lambda: ["TYPE", key],
        # What is changed and read in one piece.
        0.6: lambda: ["MULTI"],
        0.7: lambda: ["EXEC"],
    }
    return rnd.choices(list(choices.values()), weights=list(choices))[0]()


# Of later versions, and not of the one that is asked.
LATER = b"nacked-count"
UNSTEADY = (b"radix-tree-nodes", b"radix-tree-keys", b"idle", b"seen-time")


def steady(command, reply):
    """The reply without what depends on the instant, or on how Redis builds its trees."""
    if isinstance(reply, bytes) and re.fullmatch(rb":\d{11,}", reply):
        return b":time"
    if not isinstance(reply, list):
        return reply
    reply = [steady(command, part) for part in reply]
    if command[0] == "XPENDING" and len(reply) == 4 and isinstance(reply[2], bytes) and reply[2][:1] == b":":
        reply[2] = b":idle"
    shown = zip([None, *reply], reply)
    return [part for before, part in shown if before not in UNSTEADY and LATER not in (before, part)]


def differs(seed, ports):
    """The first command that is answered otherwise, as a text."""
    rnd, both, said = random.Random(seed), [Connection(port) for port in ports], []
    for one in both:
        if seed % 2:
            one.ask("HELLO", 3)
        one.ask("FLUSHALL")
        one.ask("CONFIG", "SET", "stream-node-max-entries", [2, 3, 100, 1][seed % 4])
    inside = False
    for step in range(STEPS):
        command = commands(rnd)
        said.append(command)
        inside = command[0] == "MULTI" or (inside and command[0] != "EXEC")
        replies = [steady(["XPENDING"] if command[0] == "EXEC" else command, one.ask(*command)) for one in both]
        if replies[0] != replies[1]:
            before = "\n".join(f"    {one}" for one in said[-8:-1])
            return f"seed {seed}, step {step}: {command}\n  redis {replies[0]}\n  here  {replies[1]}\n  after\n{before}"
    return None


def start(command, log):
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    port = int(command[command.index("--port") + 1] if "--port" in command else command[-1].split(":")[-1])
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{command[0]} does not listen")


def main():
    seeds, first = ([int(arg) for arg in sys.argv[1:]] + [200, 0][len(sys.argv) - 1:])[:2]
    redis = shutil.which("redis-server")
    if redis is None:
        print("skipped: no redis-server")
        return
    ports = [22001, 22002]
    with open("/dev/null", "w") as log:
        here = [binary(), "serve", "--listen", f"127.0.0.1:{ports[1]}"]
        servers = []
        try:
            for command in ([redis, "--save", "", "--port", str(ports[0])], here):
                servers.append(start(command, log))
            found = [text for seed in range(first, first + seeds) if (text := differs(seed, ports))]
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    for text in found[:5]:
        print(text)
    print(f"{seeds * STEPS} commands of {seeds} seeds: {len(found)} seeds were answered otherwise")
    sys.exit(1 if found else 0)


main()
