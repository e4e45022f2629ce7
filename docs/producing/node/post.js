// Tells a community and a user, by writing to Kafka.
//
// node post.js <brokers> <community> <user> <id>

import { Kafka, Partitioners } from "kafkajs";

const [brokers, community, user, event] = process.argv.slice(2);

const kafka = new Kafka({ clientId: "orders", brokers: brokers.split(",") });
// Idempotent, with acks: -1: a record is there once and on all replicas, or send() fails.
const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
const admin = kafka.admin();

async function post(topic, key, value, headers = {}) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  // Never the client's own partitioner: whoever reads looks in this partition, and in no other.
  const partition = key % topics[0].partitions.length;
  const message = { key: String(key), value: JSON.stringify(value), partition, headers };
  const [sent] = await producer.send({ topic, messages: [message], acks: -1 });
  console.log(`${topic}, partition ${partition}, offset ${sent.baseOffset}`);
}

await Promise.all([admin.connect(), producer.connect()]);
const now = Date.now();
const rfc3339 = (time) => new Date(time).toISOString();
await post("peal.events", Number(community), {
  version: 1,
  event,
  kind: "order.shipped",
  community: Number(community),
  at: rfc3339(now),
  data: { from: "node" },
});
const letter = {
  id: `${event}-letter:${user}`,
  event: `${event}-letter`,
  kind: "letter.sent",
  at: rfc3339(now),
  data: { from: "node" },
};
await post("peal.notifications", Number(user), letter, { expires: rfc3339(now + 24 * 3600 * 1000) });
await Promise.all([admin.disconnect(), producer.disconnect()]);
