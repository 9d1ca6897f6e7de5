import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/** The stock Java client; see README.md for the commands. */
public class Stock {
    public static void main(String[] a) throws Exception {
        if (a[0].equals("produce")) {
            produce(a[1], a[2], a[3], Integer.parseInt(a[4]), Integer.parseInt(a[5]));
        } else if (a[0].equals("transact")) {
            transact(a[1]);
        } else if (a[0].equals("through")) {
            through(a[1], a[2], a[3], Integer.parseInt(a[4]));
        } else {
            group(a[1], a[2], a[3], Integer.parseInt(a[4]), Integer.parseInt(a[5]));
        }
        System.exit(0);
    }

    static void produce(String boot, String topic, String codec, int from, int count) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        p.put("acks", "all");
        p.put("compression.type", codec);
        p.put("linger.ms", "20");
        p.put("delivery.timeout.ms", "30000");
        p.put("request.timeout.ms", "10000");
        try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = from; i < from + count; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, "k" + i, "" + i)));
            }
            for (var s : sent) s.get();
        }
        System.out.println("produced " + count);
    }

    /** Begins a transaction; prints after how long that was refused. */
    static void transact(String boot) {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        p.put("transactional.id", "refused");
        try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            long begun = System.nanoTime();
            try {
                producer.initTransactions();
                System.out.println("begun");
            } catch (Exception e) {
                System.out.println("refused " + (System.nanoTime() - begun) / 1_000_000 + " " + e);
            }
        }
    }

    static void group(String boot, String topic, String group, int count, int members) throws Exception {
        Queue<Integer> values = new ConcurrentLinkedQueue<>();
        int[] perMember = new int[members];
        CountDownLatch assigned = new CountDownLatch(members);
        long deadline = System.nanoTime() + 60_000_000_000L;
        List<Thread> threads = new ArrayList<>();
        for (int m = 0; m < members; m++) {
            int member = m;
            Thread t = new Thread(() -> {
                Properties p = new Properties();
                p.put("bootstrap.servers", boot);
                p.put("group.id", group);
                p.put("group.protocol", "classic");
                p.put("auto.offset.reset", "earliest");
                p.put("enable.auto.commit", "false");
                try (var c = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
                    c.subscribe(List.of(topic));
                    boolean counted = false;
                    long quietSince = 0;
                    while (System.nanoTime() < deadline) {
                        var records = c.poll(Duration.ofMillis(100));
                        if (!counted && !c.assignment().isEmpty()) { counted = true; assigned.countDown(); }
                        for (var r : records) { values.add(Integer.parseInt(r.value())); perMember[member]++; }
                        if (!records.isEmpty()) { c.commitSync(); quietSince = 0; }
                        boolean complete = values.size() >= count && assigned.getCount() == 0;
                        if (!complete) { quietSince = 0; continue; }
                        if (quietSince == 0) quietSince = System.nanoTime();
                        if (System.nanoTime() - quietSince > 1_000_000_000L) break;
                    }
                }
            });
            threads.add(t);
            t.start();
        }
        for (Thread t : threads) t.join();
        for (int m = 0; m < members; m++) System.out.println("member " + m + " " + perMember[m]);
        StringBuilder line = new StringBuilder("values");
        values.stream().sorted().forEach(v -> line.append(' ').append(v));
        System.out.println(line);
    }

    /** Produces and consumes until standard input ends, and until what was acknowledged has been read. */
    static void through(String boot, String topic, String group, int members) throws Exception {
        Set<Integer> acked = ConcurrentHashMap.newKeySet(), seen = ConcurrentHashMap.newKeySet();
        Queue<String> failed = new ConcurrentLinkedQueue<>();
        var stopped = new CountDownLatch(1);
        var flushed = new CountDownLatch(1);
        thread(() -> { while (System.in.read() >= 0) {} stopped.countDown(); });
        thread(() -> {
            Properties p = new Properties();
            p.put("bootstrap.servers", boot);
            p.put("acks", "all");
            try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
                for (int i = 0; !stopped.await(20, TimeUnit.MILLISECONDS); i++) {
                    int n = i;
                    producer.send(new ProducerRecord<>(topic, "k" + n, "" + n), (m, e) -> {
                        if (e == null) acked.add(n); else failed.add(n + ":" + e.getClass().getSimpleName());
                    });
                }
            }
            flushed.countDown();
        });
        var complete = new CountDownLatch(1);
        var allCommitted = new CountDownLatch(members);
        List<Thread> consumers = new ArrayList<>();
        for (int m = 0; m < members; m++) {
            consumers.add(thread(() -> {
                Properties p = new Properties();
                p.put("bootstrap.servers", boot);
                p.put("group.id", group);
                p.put("group.protocol", "classic");
                p.put("auto.offset.reset", "earliest");
                p.put("enable.auto.commit", "false");
                try (var c = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
                    c.subscribe(List.of(topic));
                    boolean committed = false;
                    while (complete.getCount() > 0 || !committed) {
                        var records = c.poll(Duration.ofMillis(100));
                        for (var r : records) seen.add(Integer.parseInt(r.value()));
                        try {
                            c.commitSync();
                            committed = true;
                        } catch (CommitFailedException | org.apache.kafka.common.errors.RetriableException e) {
                            // The group rebalances, or its coordinator moves: the next commit says as much.
                            committed = false;
                        }
                    }
                    // Nobody leaves, which begins a rebalance, before all have committed.
                    allCommitted.countDown();
                    allCommitted.await();
                }
            }));
        }
        while (!flushed.await(100, TimeUnit.MILLISECONDS) || !seen.containsAll(acked)) {
            System.out.println("at " + acked.size() + " " + seen.size());
        }
        complete.countDown();
        for (Thread c : consumers) c.join();
        print("failed", failed);
        print("acked", acked);
        print("seen", seen);
    }

    static void print(String name, Collection<?> values) {
        StringBuilder line = new StringBuilder(name);
        for (var v : values) line.append(' ').append(v);
        System.out.println(line);
    }

    interface Work { void run() throws Exception; }

    /** An error ends the program. */
    static Thread thread(Work work) {
        Thread t = new Thread(() -> {
            try {
                work.run();
            } catch (Throwable e) {
                e.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
        t.setDaemon(true);
        t.start();
        return t;
    }
}
