"""librdkafka (confluent-kafka) and kafka-python; see README.md. First argument: rdkafka or pure."""
import sys
import threading
import time

LIBRARY, COMMAND, BOOT, TOPIC = sys.argv[1:5]


def produce(codec, start, count):
    if LIBRARY == "rdkafka":
        from confluent_kafka import Producer

        failures = []
        producer = Producer(
            {"bootstrap.servers": BOOT, "acks": "all", "enable.idempotence": True, "compression.type": codec, "linger.ms": 20}
        )
        for i in range(start, start + count):
            producer.produce(TOPIC, key=f"k{i}", value=str(i), on_delivery=lambda e, _: failures.append(e) if e else None)
        left = producer.flush(30)
        if failures or left:
            raise SystemExit(f"not delivered: {failures[:1]} {left}")
    else:
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=BOOT, acks="all", compression_type=None if codec == "none" else codec, linger_ms=20
        )
        sent = [producer.send(TOPIC, key=f"k{i}".encode(), value=str(i).encode()) for i in range(start, start + count)]
        for s in sent:
            s.get(timeout=30)
        producer.close()
    print("produced", count)


def transact():
    """Begins a transaction; prints after how long that was refused, and whether for good."""
    from confluent_kafka import KafkaException, Producer

    producer = Producer({"bootstrap.servers": BOOT, "transactional.id": "refused"})
    begun = time.monotonic()
    try:
        producer.init_transactions(30)
        print("begun")
    except KafkaException as e:
        ms = int((time.monotonic() - begun) * 1000)
        print("refused", ms, "fatal" if e.args[0].fatal() else "not fatal", e.args[0].str())


class Member:
    """One consumer of the group: poll() gives values, has_assignment() tells whether it owns partitions."""

    def __init__(self, group):
        if LIBRARY == "rdkafka":
            from confluent_kafka import Consumer

            self.consumer = Consumer(
                {"bootstrap.servers": BOOT, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
            )
            self.consumer.subscribe([TOPIC])
        else:
            from kafka import KafkaConsumer

            self.consumer = KafkaConsumer(
                TOPIC, bootstrap_servers=BOOT, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
            )

    def poll(self):
        if LIBRARY == "rdkafka":
            messages = [m for m in self.consumer.consume(100, 0.1) if m.error() is None]
            if messages:
                self.consumer.commit(asynchronous=False)
            return [int(m.value()) for m in messages]
        batches = self.consumer.poll(timeout_ms=100)
        if batches:
            self.consumer.commit()
        return [int(r.value) for batch in batches.values() for r in batch]

    def has_assignment(self):
        return bool(self.consumer.assignment())


def group(name, count, members):
    values, per_member, assigned = [], [0] * members, [False] * members
    deadline = time.monotonic() + 60

    def run(n):
        member = Member(name)
        quiet_since = None
        while time.monotonic() < deadline:
            got = member.poll()
            assigned[n] = assigned[n] or member.has_assignment()
            values.extend(got)
            per_member[n] += len(got)
            if got or len(values) < count or not all(assigned):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 1:
                break
        member.consumer.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(members)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n, records in enumerate(per_member):
        print("member", n, records)
    print("values", *sorted(values))


if COMMAND == "produce":
    produce(sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
elif COMMAND == "transact":
    transact()
else:
    group(sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
