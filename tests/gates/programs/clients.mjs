// ioredis and node-redis: publish, consume in a group, crash, and be redelivered. Usage: node clients.mjs PORT
import { createRequire } from "node:module";
import { strict as assert } from "node:assert";

const require = createRequire(process.cwd() + "/");
const port = Number(process.argv[2]);
let checks = 0;
const check = (is, wanted) => {
  assert.deepEqual(is, wanted);
  checks += 1;
};

async function ioredis() {
  const Redis = require("ioredis");
  const one = new Redis(port);
  await one.xgroup("CREATE", "io", "g", "$", "MKSTREAM");
  const ids = [];
  for (let n = 0; n < 3; n++) ids.push(await one.xadd("io", "*", "n", String(n)));
  const read = await one.xreadgroup("GROUP", "g", "alice", "COUNT", 2, "STREAMS", "io", ">");
  check(read[0][1].map(([id]) => id), ids.slice(0, 2));
  check(await one.xack("io", "g", ids[0]), 1);
  // She falls ill with one in hand.
  one.disconnect();
  const two = new Redis(port);
  const taken = await two.xautoclaim("io", "g", "bob", 0, "0");
  check(taken[1].map(([id]) => id), [ids[1]]);
  const rest = await two.xreadgroup("GROUP", "g", "bob", "BLOCK", 1000, "STREAMS", "io", ">");
  check(rest[0][1].map(([id]) => id), [ids[2]]);
  check(await two.xack("io", "g", ids[1], ids[2]), 2);
  check((await two.xpending("io", "g"))[0], 0);
  const listener = new Redis(port);
  const heard = new Promise((done) => listener.on("message", (channel, text) => done([channel, text])));
  await listener.subscribe("calls");
  check(await two.publish("calls", "half past seven"), 1);
  check(await heard, ["calls", "half past seven"]);
  const results = await two.multi().xadd("io", "*", "n", "4").xlen("io").exec();
  check([results[0][0], results[1]], [null, [null, 4]]);
  listener.disconnect();
  two.disconnect();
}

async function nodeRedis() {
  const { createClient } = require("redis");
  const connect = async () => await createClient({ url: `redis://localhost:${port}` }).connect();
  const one = await connect();
  await one.xGroupCreate("node", "g", "$", { MKSTREAM: true });
  const ids = [];
  for (let n = 0; n < 3; n++) ids.push(await one.xAdd("node", "*", { n: String(n) }));
  const read = await one.xReadGroup("g", "alice", { key: "node", id: ">" }, { COUNT: 2 });
  check(read[0].messages.map((message) => message.id), ids.slice(0, 2));
  check(await one.xAck("node", "g", ids[0]), 1);
  one.destroy();
  const two = await connect();
  const taken = await two.xAutoClaim("node", "g", "bob", 0, "0");
  check(taken.messages.map((message) => message.id), [ids[1]]);
  const rest = await two.xReadGroup("g", "bob", { key: "node", id: ">" }, { BLOCK: 1000 });
  check(rest[0].messages.map((message) => ({ ...message.message })), [{ n: "2" }]);
  check(await two.xAck("node", "g", [ids[1], ids[2]]), 2);
  check((await two.xPending("node", "g")).pending, 0);
  const listener = await connect();
  const heard = new Promise((done) => listener.subscribe("node calls", (text) => done(text)).then(() => two.publish("node calls", "curtain")));
  check(await heard, "curtain");
  check((await two.multi().xAdd("node", "*", { n: "4" }).xLen("node").exec())[1], 4);
  listener.destroy();
  two.destroy();
}

await ioredis();
await nodeRedis();
console.log(`ioredis and node-redis: ${checks} checks, all so`);
