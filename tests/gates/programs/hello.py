"""FastStream, taskiq and walrus say hello over a server. Usage: hello.py PORT"""

import asyncio
import sys

PORT = int(sys.argv[1])
URL = f"redis://localhost:{PORT}"


async def faststream():
    from faststream.redis import RedisBroker, StreamSub

    broker, heard = RedisBroker(URL), asyncio.Queue()

    @broker.subscriber(stream=StreamSub("fast", group="g", consumer="c"))
    async def hear(text: str):
        await heard.put(text)

    async with broker:
        await broker.start()
        for n in range(3):
            await broker.publish(f"hello {n}", stream="fast")
        got = [await asyncio.wait_for(heard.get(), 10) for _ in range(3)]
    assert got == ["hello 0", "hello 1", "hello 2"], got
    print("FastStream: 3 messages through a stream's group")


async def taskiq():
    from taskiq import InMemoryBroker  # noqa: F401: the package is there
    from taskiq_redis import RedisStreamBroker

    broker, done = RedisStreamBroker(URL), []

    @broker.task
    async def hello(name: str) -> None:
        done.append(name)

    await broker.startup()
    for name in ["anvil", "rope"]:
        await hello.kiq(name)
    seen = 0
    async for message in broker.listen():
        await hello.original_func(*broker.formatter.loads(message.data).args)
        await message.ack()
        seen += 1
        if seen == 2:
            break
    await broker.shutdown()
    assert done == ["anvil", "rope"], done
    print("taskiq: 2 tasks through RedisStreamBroker")


def walrus():
    from walrus import Database

    db = Database(port=PORT)
    group = db.consumer_group("walrus-group", ["walrus-a", "walrus-b"])
    group.create()
    group.set_id("$")
    group.walrus_a.add({"n": "1"})
    group.walrus_b.add({"n": "2"})
    read = group.read(count=10, block=1000)
    assert [name for name, _ in read] == [b"walrus-a", b"walrus-b"], read
    for name, entries in read:
        stream = getattr(group, name.decode().replace("-", "_"))
        assert stream.ack(*[id for id, _ in entries]) == 1
        assert stream.pending() == [], stream.pending()
    print("walrus: a group over two streams")


asyncio.run(faststream())
asyncio.run(taskiq())
walrus()
