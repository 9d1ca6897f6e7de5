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


def endless():
    """Sends numbers until SIGTERM; prints what was acknowledged as the verifiable producer does."""
    import json
    import signal
    from confluent_kafka import Producer

    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())

    def report(error, message):
        event = {"value": message.value().decode(), "partition": message.partition(), "offset": message.offset()}
        event["name"] = "producer_send_error" if error else "producer_send_success"
        if error:
            event["error"] = error.str()
        print(json.dumps(event), flush=True)

    producer = Producer(
        {
            "bootstrap.servers": BOOT,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "batch.num.messages": 10,
            "socket.timeout.ms": 3000,
            "message.timeout.ms": 900000,
            "reconnect.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 3000,
        }
    )
    number = 0
    while not stopped.is_set():
        try:
            producer.produce(TOPIC, value=f"rdkafka-{number}", on_delivery=report)
            number += 1
        except BufferError:
            pass
        producer.poll(0.003)
    producer.flush(60)


class Member:
    """One consumer of the group: poll() gives values and commits then, has_assignment() tells whether it owns partitions."""

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
            yield from (int(m.value()) for m in messages)
            if messages:
                self.commit()
            return
        batches = self.consumer.poll(timeout_ms=100)
        yield from (int(r.value) for batch in batches.values() for r in batch)
        if batches:
            self.commit()

    def commit(self):
        self.consumer.commit(**({"asynchronous": False} if LIBRARY == "rdkafka" else {}))

    def has_assignment(self):
        return bool(self.consumer.assignment())


def group(name, count, members):
    values, per_member, assigned = [], [0] * members, [False] * members
    deadline = time.monotonic() + 60

    def run(n):
        member = Member(name)
        quiet_since = None
        while time.monotonic() < deadline:
            got = list(member.poll())
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


def sender(acked, failed):
    """Two functions: send(n) and end()."""
    if LIBRARY == "rdkafka":
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": BOOT, "acks": "all", "enable.idempotence": True, "linger.ms": 5})

        def send(n):
            def delivered(error, _):
                failed.append(f"{n}:{error.name()}") if error else acked.add(n)

            producer.produce(TOPIC, key=f"k{n}", value=str(n), on_delivery=delivered)
            producer.poll(0)

        return send, lambda: producer.flush(120)
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=BOOT, acks="all", enable_idempotence=True)

    def send(n):
        future = producer.send(TOPIC, key=f"k{n}".encode(), value=str(n).encode())
        future.add_callback(lambda _: acked.add(n))
        future.add_errback(lambda e: failed.append(f"{n}:{type(e).__name__}"))

    return send, lambda: producer.close(120)


def is_passing(error):
    """Whether a commit failed because the group rebalances or its coordinator moves."""
    if LIBRARY == "rdkafka":
        from confluent_kafka import KafkaError as E

        code = error.args[0].code()
        fenced = (E.ILLEGAL_GENERATION, E.REBALANCE_IN_PROGRESS, E.UNKNOWN_MEMBER_ID, E._NO_OFFSET, E._STATE)
        moved = (E.NOT_COORDINATOR, E.COORDINATOR_LOAD_IN_PROGRESS, E.COORDINATOR_NOT_AVAILABLE)
        return code in fenced + moved or code in (E._TRANSPORT, E._TIMED_OUT, E.REQUEST_TIMED_OUT, E._WAIT_COORD)
    from kafka.errors import CommitFailedError

    return isinstance(error, CommitFailedError) or getattr(error, "retriable", False)


def through(name, members):
    """Produces and consumes until standard input ends, and until what was acknowledged has been read."""
    acked, seen, failed = set(), set(), []
    stopped, complete = threading.Event(), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    errors, all_committed = [], threading.Barrier(members)

    def produce_all():
        send, end = sender(acked, failed)
        n = 0
        while not stopped.wait(0.02):
            send(n)
            n += 1
        end()

    def consume():
        member = Member(name)
        committed = False
        while not (complete.is_set() and committed):
            try:
                committed = False
                for value in member.poll():
                    seen.add(value)
                committed = True
                if complete.is_set():
                    member.commit()
            except Exception as error:
                if not is_passing(error):
                    raise
                # Nothing was read since the last commit.
                committed = LIBRARY == "rdkafka" and error.args[0].name() == "_NO_OFFSET"
        # Nobody leaves, which begins a rebalance, before all have committed.
        all_committed.wait(60)
        member.consumer.close()

    def guarded(work):
        def run():
            try:
                work()
            except BaseException as error:
                errors.append(repr(error))
                complete.set()
                stopped.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    producing = guarded(produce_all)
    consuming = [guarded(consume) for _ in range(members)]
    while not errors and (producing.is_alive() or not acked <= seen):
        print("at", len(acked), len(seen), flush=True)
        time.sleep(0.1)
    complete.set()
    for t in consuming + [producing]:
        t.join()
    if errors:
        raise SystemExit("\n".join(errors))
    print("failed", *failed)
    print("acked", *acked)
    print("seen", *seen)


if COMMAND == "produce":
    produce(sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
elif COMMAND == "transact":
    transact()
elif COMMAND == "through":
    through(sys.argv[5], int(sys.argv[6]))
elif COMMAND == "endless":
    endless()
else:
    group(sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
