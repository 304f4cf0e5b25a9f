#!/usr/bin/env python3
"""Lets a client library that many use work with `callboard serve`: publish, consume in a group, crash, and be redelivered.

Usage: tests/gates/clients.py
Builds the server unless CB_BINARY names one, and installs redis-py into a folder of its own. Without the network or cargo it says so and ends with
0. Each step asserts; at the end it prints how many there were.
"""

import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from server_kit import binary, redis_py

PORT = 22003
checks = 0


def check(is_so, what):
    global checks
    checks += 1
    if not is_so:
        sys.exit(f"not so: {what}")


def groups(redis, protocol):
    """A consumer takes two entries and is gone; its understudy takes over what it did not acknowledge."""
    client = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
    client.flushall()
    client.xgroup_create("orders", "billing", id="$", mkstream=True)
    ids = [client.xadd("orders", {"item": f"anvil {n}"}) for n in range(4)]
    check(ids == sorted(ids, key=lambda one: [int(part) for part in one.split("-")]), "ids grow")
    alice = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
    read = alice.xreadgroup("billing", "alice", {"orders": ">"}, count=2)
    # redis-py answers with a map in RESP3, whose values are lists of lists.
    entries = read[0][1] if isinstance(read, list) else next(iter(read.values()))
    entries = entries[0] if entries and isinstance(entries[0], list) else entries
    check([entry[0] for entry in entries] == ids[:2], "alice has the first two")
    check(client.xack("orders", "billing", ids[0]) == 1, "one is acknowledged")
    alice.close()
    pending = client.xpending("orders", "billing")
    check(pending["pending"] == 1 and pending["min"] == ids[1], "the other one is pending")
    claimed = client.xautoclaim("orders", "billing", "bob", min_idle_time=0)
    check([entry[0] for entry in claimed[1]] == [ids[1]], "bob takes it over")
    line = client.xpending_range("orders", "billing", "-", "+", 10)[0]
    check((line["consumer"], line["times_delivered"]) == ("bob", 2), "it says so, and how often")
    check(client.xack("orders", "billing", ids[1]) == 1, "bob is done")
    info = client.xinfo_groups("orders")[0]
    check((info["pending"], info["lag"]) == (0, 2), "two are left to read")
    check(client.xlen("orders") == 4, "all are kept")
    with client.pipeline(transaction=True) as pipe:
        pipe.xadd("orders", {"a": 1})
        pipe.xlen("orders")
        check(pipe.execute()[1] == 5, "a transaction answers in order")


def waiting(redis, protocol):
    """Who waits is told, and not asked to poll."""
    heard = []

    def wait():
        client = redis.Redis(port=PORT, protocol=protocol)
        heard.append(client.xread({"news": "$"}, block=10_000))

    thread = threading.Thread(target=wait)
    thread.start()
    client = redis.Redis(port=PORT, protocol=protocol)
    while client.info("clients")["blocked_clients"] == 0:
        time.sleep(0.01)
    client.xadd("news", {"what": "curtain"})
    thread.join(10)
    check(not thread.is_alive() and "curtain" in str(heard), "whoever waits hears it")
    began = time.monotonic()
    check(not client.xread({"news": "$"}, block=50) and time.monotonic() - began >= 0.05, "or nothing, in time")


def policy(redis, protocol):
    """Nobody has code for redelivery, and yet it comes again; and at last to where somebody looks at it."""
    client = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
    client.xgroup_create("work", "w", id="0", mkstream=True)
    told = client.execute_command("CB.GROUP", "SET", "work", "w", "ACKTIMEOUT", 50, "MAXDELIVERIES", 2)
    check(told in (True, "OK", b"OK"), "a group is told")
    poison = client.xadd("work", {"job": "poison"})
    for consumer in ("alice", "bob"):
        read = redis.Redis(port=PORT, protocol=protocol).xreadgroup("w", consumer, {"work": ">"}, block=10_000)
        check("poison" in str(read), f"{consumer} has it, and goes with it in hand")
    letters = client.xread({"work.w.dead": "0"})
    check(not letters, "twice is as often as it may be, and nobody has claimed it since")
    client.xgroup_create("work.w.dead", "undertaker", id="0", mkstream=True)

    def wait():
        redis.Redis(port=PORT, protocol=protocol).xreadgroup("w", "carol", {"work": ">"}, block=10_000)

    thread = threading.Thread(target=wait)
    thread.start()
    letter = client.xreadgroup("undertaker", "u", {"work.w.dead": ">"}, block=10_000)
    check(poison in str(letter) and "dead.reason" in str(letter), "somebody is handed the dead letter")
    check(client.xpending("work", "w")["pending"] == 0, "its group is done with it")
    client.xadd("work", {"job": "the next one"})
    thread.join(10)
    check(not thread.is_alive(), "and goes on")


def pubsub(redis, protocol):
    client = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
    listener = client.pubsub()
    listener.subscribe("calls")
    check(listener.get_message(timeout=5)["type"] == "subscribe", "it listens")
    check(client.publish("calls", "half past seven") == 1, "one hears it")
    check(listener.get_message(timeout=5)["data"] == "half past seven", "as it was said")
    listener.close()


def main():
    redis = redis_py()
    command = [binary(), "serve", "--listen", f"127.0.0.1:{PORT}"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        check(b"listens at" in server.stdout.readline(), "the server listens")
        for protocol in (2, 3):
            for part in (groups, waiting, policy, pubsub):
                part(redis, protocol)
    finally:
        server.terminate()
        server.wait()
    check(server.returncode == 0, "the server ends in order")
    print(f"redis-py {redis.__version__}, RESP2 and RESP3: {checks} checks, all so")


main()
