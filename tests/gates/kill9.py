#!/usr/bin/env python3
"""Kills `callboard serve --data` again and again while clients write and consume, and looks for what is missing.

Usage: tests/gates/kill9.py [ROUNDS] [FIRST_SEED]   (default: 200 rounds)
Builds the server unless CB_BINARY names one, and installs redis-py into a folder of its own. CB_FSYNC: always, if it is not named.

In each round some writers add numbered entries, and a group's consumers read and acknowledge them, or let them go, each for itself; at a random moment the
server gets SIGKILL, and is begun anew. Then it must hold:
- every entry whose XADD was answered, in the order of its writer, with its fields, once;
- no entry pending whose XACK was answered, and none handed out again after that;
- every entry that is neither acknowledged nor pending is a dead letter, once, or still to be read.
Each round goes on with the data of the one before.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from server_kit import binary, redis_py

redis = redis_py()
from redis.backoff import NoBackoff
from redis.retry import Retry

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1
PORT = int(os.environ.get("CB_PORT", "21998"))
FSYNC = os.environ.get("CB_FSYNC", "always")
STREAMS = ["orders", "calls"]
WRITERS = CONSUMERS = 3
# What is older is trimmed between rounds, so that they stay short.
KEPT = 3000


def begin(data):
    server = subprocess.Popen(
        [binary(), "serve", "--listen", str(PORT), "--data", data, "--fsync", FSYNC], stdout=subprocess.PIPE, text=True
    )
    line = server.stdout.readline()
    assert "listens at" in line, f"it does not begin: {line!r}"
    return server


def connect():
    # What is not answered is not sent again: it may have been done.
    never = Retry(NoBackoff(), 0)
    return redis.Redis(port=PORT, decode_responses=True, socket_timeout=30, retry=never)


class Books:
    """What clients were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.added = {stream: {} for stream in STREAMS}  # id: (writer, number)
        self.acked = {stream: {} for stream in STREAMS}  # id: when that was confirmed
        self.asked_ack = {stream: set() for stream in STREAMS}
        self.dead = {stream: set() for stream in STREAMS}
        self.next = [0] * WRITERS
        self.faults = []

    def fault(self, text):
        with self.lock:
            self.faults.append(text)


def write(books, writer, dice, stop):
    client = connect()
    try:
        while not stop.is_set():
            stream, many = dice.choice(STREAMS), dice.choice([1, 1, 1, 5])
            pipe = client.pipeline(transaction=dice.random() < 0.5)
            numbers = []
            for _ in range(many):
                books.next[writer] += 1
                numbers.append(books.next[writer])
                pipe.xadd(stream, {"w": writer, "n": numbers[-1], "pad": "x" * dice.choice([1, 100, 3000])})
            ids = pipe.execute()
            with books.lock:
                books.added[stream].update({id: (writer, n) for id, n in zip(ids, numbers)})
    except (redis.ConnectionError, redis.TimeoutError):
        pass


def consume(books, name, dice, stop):
    client = connect()
    try:
        while not stop.is_set():
            asked = time.monotonic()
            read = client.xreadgroup("g", name, {s: ">" for s in STREAMS}, count=dice.choice([1, 5, 20]), block=50)
            # And what others let go of: nobody has had anything else for so long.
            free = dice.choice(STREAMS)
            read = list(read) + [(free, client.xautoclaim(free, "g", name, 10**9, count=5)[1])]
            for stream, entries in read:
                ids = [id for id, _ in entries]
                with books.lock:
                    # What another one acknowledged meanwhile it may have been handed before that.
                    again = [id for id in ids if books.acked[stream].get(id, asked) < asked]
                if again:
                    books.fault(f"{stream}: handed out after its acknowledgement: {sorted(again)[:3]}")
                # Some are left in hand, or let go of.
                left = [id for id in ids if dice.random() < 0.2]
                ids = [id for id in ids if id not in left]
                if left and dice.random() < 0.7:
                    mode = dice.choice(["SILENT", "FAIL", "FATAL"])
                    client.execute_command("XNACK", stream, "g", mode, "IDS", len(left), *left)
                if not ids:
                    continue
                with books.lock:
                    books.asked_ack[stream].update(ids)
                client.xack(stream, "g", *ids)
                with books.lock:
                    books.acked[stream].update(dict.fromkeys(ids, time.monotonic()))
    except (redis.ConnectionError, redis.TimeoutError):
        pass


def number(id):
    millis, seq = id.split("-")
    return int(millis), int(seq)


def look(books, floors):
    """Holds what is there against what was told."""
    client, entries_in_all = connect(), 0
    for stream in STREAMS:
        entries = client.xrange(stream)
        entries_in_all += len(entries)
        there = {id: (int(fields["w"]), int(fields["n"])) for id, fields in entries}
        for id, whose in books.added[stream].items():
            if number(id) >= floors[stream] and there.get(id) != whose:
                books.fault(f"{stream}: {id} of {whose} was confirmed, and is {there.get(id)}")
        last = {}
        for id, (writer, n) in there.items():
            if n <= last.get(writer, 0):
                books.fault(f"{stream}: {id} of writer {writer} is number {n}, behind {last[writer]}")
            last[writer] = n
        books.added[stream].update(there)
        pending, start = {}, "-"
        while True:
            some = client.xpending_range(stream, "g", start, "+", 1000)
            pending.update({one["message_id"]: one for one in some})
            if len(some) < 1000:
                break
            start = "(" + some[-1]["message_id"]
        dead = [fields["dead.id"] for _, fields in client.xrange(f"{stream}.g.dead")]
        books.dead[stream] = set(dead)
        if len(books.dead[stream]) < len(dead):
            books.fault(f"{stream}: {len(dead)} dead letters of {len(books.dead[stream])} entries")
        if both := books.dead[stream].intersection(pending):
            books.fault(f"{stream}: dead letters, and pending: {sorted(both)[:3]}")
        back = books.acked[stream].keys() & pending.keys()
        if back:
            books.fault(f"{stream}: acknowledged and confirmed, and pending: {sorted(back)[:3]}")
        group = client.xinfo_groups(stream)[0]
        at = number(group["last-delivered-id"])
        for id in there:
            handed = number(id) <= at
            if handed and id not in pending and id not in books.asked_ack[stream] and id not in books.dead[stream]:
                books.fault(f"{stream}: {id} was handed out, and is neither pending nor dead nor was it ever acknowledged")
            if not handed and (id in pending or id in books.acked[stream]):
                books.fault(f"{stream}: {id} is not handed out, and {'pending' if id in pending else 'acknowledged'}")
        # The consumers of the round before are gone: somebody takes over what they held.
        client.xautoclaim(stream, "g", "c0", 0, count=1000)
        if len(entries) > KEPT:
            client.xtrim(stream, maxlen=KEPT, approximate=False)
            floors[stream] = number(client.xrange(stream, count=1)[0][0])
    return entries_in_all


def main():
    data = tempfile.mkdtemp(prefix="callboard-kill9-")
    books, floors = Books(), {stream: (0, 0) for stream in STREAMS}
    server, began = begin(data), time.time()
    for stream in STREAMS:
        connect().xgroup_create(stream, "g", "0", mkstream=True)
    # In one of them what nobody acknowledges comes again by itself, and not for ever.
    connect().execute_command("CB.GROUP", "SET", STREAMS[0], "g", "ACKTIMEOUT", 100, "MAXDELIVERIES", 3)
    told = 0
    for round in range(SEED, SEED + ROUNDS):
        dice, stop = random.Random(round), threading.Event()
        threads = [threading.Thread(target=write, args=(books, w, random.Random(f"{round} w{w}"), stop)) for w in range(WRITERS)]
        threads += [
            threading.Thread(target=consume, args=(books, f"c{c}", random.Random(f"{round} c{c}"), stop)) for c in range(CONSUMERS)
        ]
        [thread.start() for thread in threads]
        time.sleep(dice.uniform(0.05, 0.6))
        server.send_signal(signal.SIGKILL)
        server.wait()
        stop.set()
        [thread.join() for thread in threads]
        server = begin(data)
        there = look(books, floors)
        if books.faults:
            print(f"round {round}: {len(books.faults)} faults; the data is in {data}")
            print("\n".join(books.faults[:20]))
            server.kill()
            sys.exit(1)
        told = there
    server.terminate()
    server.wait()
    assert server.returncode == 0, f"it ends with {server.returncode}"
    shutil.rmtree(data)
    added, acked, dead = (sum(len(one) for one in all.values()) for all in (books.added, books.acked, books.dead))
    assert dead or ROUNDS < 5, "there were no dead letters"
    print(f"{ROUNDS} rounds with --fsync {FSYNC} in {time.time() - began:.0f} s: {added} entries added, {acked} acknowledged, {dead} dead letters, {told} there; nothing lost, nothing back")


main()
