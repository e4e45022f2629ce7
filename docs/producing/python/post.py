"""Tells a community and a user, by writing to Kafka.

python post.py <brokers> <community> <user> <id>
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from confluent_kafka import Producer

brokers, community, user, event = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

# Idempotence brings acks=all: a record is there once and on all replicas, or its delivery fails.
producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})


def rfc3339(time):
    return time.isoformat(timespec="milliseconds")  # in UTC: …+00:00


def delivered(error, record):
    if error is not None:
        sys.exit(f"not delivered to {record.topic()}: {error}")
    print(f"{record.topic()}, partition {record.partition()}, offset {record.offset()}")


def post(topic, key, value, headers=()):
    # Never the client's own partitioner: whoever reads looks in this partition, and in no other.
    partitions = producer.list_topics(topic, timeout=10).topics[topic].partitions
    producer.produce(
        topic,
        key=str(key),
        value=json.dumps(value),
        partition=key % len(partitions),
        headers=list(headers),
        on_delivery=delivered,
    )


now = datetime.now(timezone.utc)
post("peal.events", community, {
    "version": 1,
    "event": event,
    "kind": "order.shipped",
    "community": community,
    "at": rfc3339(now),
    "data": {"from": "python"},
})
post("peal.notifications", user, {
    "id": f"{event}-letter:{user}",
    "event": f"{event}-letter",
    "kind": "letter.sent",
    "at": rfc3339(now),
    "data": {"from": "python"},
}, [("expires", rfc3339(now + timedelta(days=1)))])

if producer.flush(30) > 0:
    sys.exit("Kafka has not answered for 30 s: what it did not answer for is there or not")
