// Members of groups that do what standard input says, a line each; many in one process:
//
//   consumer NAME GROUP [key=value ...]     a consumer, which polls and commits every 300 ms
//   topics NAME TOPIC[,TOPIC ...]           it subscribes to these
//   pattern NAME PATTERN                    it subscribes to what the brokers (or, by the classic
//                                           protocol, it) find to fit
//   commit NAME OFFSET STEP                 it holds still, and commits this again and again, each
//                                           time so much more
//   application NAME ID FOLDER [key=value ...]
//                                           a Kafka Streams application: ID-plain is copied, and
//                                           ID-keyed is counted by key, in parts of their own
//   feed NAME TOPIC[,TOPIC ...]             a producer of ten records a second to each
//   close NAME                              it leaves in order
//
// What happens to one goes to standard output: `NAME closed`, `NAME failed ERROR: MESSAGE`.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Pattern;

import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.Stores;

public final class Members {
    private interface Member {
        void order(String[] words);
    }

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        Map<String, Member> members = new HashMap<>();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            String name = words[1];
            Properties properties = new Properties();
            properties.put("bootstrap.servers", bootstrap);
            properties.put("client.id", name);
            switch (words[0]) {
                case "consumer" -> {
                    set(properties, words, 3);
                    properties.put("group.id", words[2]);
                    members.put(name, new Consumer(name, properties));
                }
                case "application" -> {
                    set(properties, words, 4);
                    properties.put("state.dir", words[3]);
                    members.put(name, new Application(name, words[2], properties));
                }
                case "feed" -> members.put(name, new Feed(properties, words[2].split(",")));
                default -> members.get(name).order(line.split(" ", 3));
            }
        }
        System.exit(0);
    }

    private static void set(Properties properties, String[] words, int from) {
        for (int at = from; at < words.length; at++) {
            String[] pair = words[at].split("=", 2);
            properties.put(pair[0], pair[1]);
        }
    }

    private static void say(String text) {
        System.out.println(text);
        System.out.flush();
    }

    private static final class Consumer extends Thread implements Member {
        private final String name;
        private final Properties properties;
        private final ConcurrentLinkedQueue<String[]> orders = new ConcurrentLinkedQueue<>();

        Consumer(String name, Properties properties) {
            this.name = name;
            this.properties = properties;
            properties.putIfAbsent("auto.commit.interval.ms", "300");
            properties.putIfAbsent("auto.offset.reset", "earliest");
            properties.putIfAbsent("metadata.max.age.ms", "1000");
            properties.put("key.deserializer", StringDeserializer.class.getName());
            properties.put("value.deserializer", StringDeserializer.class.getName());
            start();
        }

        @Override
        public void order(String[] words) {
            orders.add(words);
        }

        @Override
        public void run() {
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties)) {
                long held = -1;
                boolean isSubscribed = false;
                long step = 0;
                for (boolean isOpen = true; isOpen; ) {
                    for (String[] order = orders.poll(); order != null; order = orders.poll()) {
                        switch (order[0]) {
                            case "topics" -> {
                                consumer.subscribe(List.of(order[2].split(",")));
                                isSubscribed = true;
                            }
                            case "pattern" -> {
                                if ("consumer".equals(properties.get("group.protocol"))) {
                                    consumer.subscribe(new SubscriptionPattern(order[2]));
                                } else {
                                    consumer.subscribe(Pattern.compile(order[2]));
                                }
                                isSubscribed = true;
                            }
                            case "commit" -> {
                                held = Long.parseLong(order[2].split(" ")[0]);
                                step = Long.parseLong(order[2].split(" ")[1]);
                            }
                            case "close" -> isOpen = false;
                            default -> throw new IllegalArgumentException(order[0]);
                        }
                    }
                    // What a pattern fits is known only after a poll.
                    if (!isSubscribed) {
                        Thread.sleep(20);
                        continue;
                    }
                    if (held >= 0) {
                        consumer.pause(consumer.assignment());
                    }
                    consumer.poll(Duration.ofMillis(100));
                    if (held >= 0 && !consumer.assignment().isEmpty()) {
                        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                        for (TopicPartition partition : consumer.assignment()) {
                            offsets.put(partition, new OffsetAndMetadata(held));
                        }
                        consumer.commitSync(offsets);
                        held = Math.max(0, held + step);
                    }
                }
            } catch (Exception error) {
                say(name + " failed " + error.getClass().getSimpleName() + ": " + error.getMessage());
                return;
            }
            say(name + " closed");
        }
    }

    private static final class Feed extends Thread implements Member {
        private final Properties properties;
        private final String[] topics;
        private volatile boolean isOpen = true;

        Feed(Properties properties, String[] topics) {
            this.properties = properties;
            this.topics = topics;
            properties.put("key.serializer", StringSerializer.class.getName());
            properties.put("value.serializer", StringSerializer.class.getName());
            start();
        }

        @Override
        public void order(String[] words) {
            isOpen = false;
        }

        @Override
        public void run() {
            try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties)) {
                for (int count = 0; isOpen; count++) {
                    for (String topic : topics) {
                        producer.send(new ProducerRecord<>(topic, "key " + count, "value"));
                    }
                    Thread.sleep(100);
                }
            } catch (InterruptedException stopped) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static final class Application implements Member {
        private final String name;
        private final KafkaStreams streams;

        Application(String name, String id, Properties properties) {
            this.name = name;
            properties.put("application.id", id);
            properties.putIfAbsent("group.protocol", "streams");
            properties.putIfAbsent("commit.interval.ms", "300");
            properties.putIfAbsent("num.stream.threads", "1");
            properties.put("default.key.serde", Serdes.StringSerde.class.getName());
            properties.put("default.value.serde", Serdes.StringSerde.class.getName());
            StreamsBuilder builder = new StreamsBuilder();
            builder.<String, String>stream(id + "-plain").to(id + "-out");
            builder.<String, String>stream(id + "-keyed")
                .groupByKey()
                .count(Materialized.as(Stores.inMemoryKeyValueStore("counts")));
            streams = new KafkaStreams(builder.build(), properties);
            streams.setUncaughtExceptionHandler(error -> {
                say(name + " failed " + error.getClass().getSimpleName() + ": " + error.getMessage());
                return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.REPLACE_THREAD;
            });
            streams.start();
        }

        @Override
        public void order(String[] words) {
            streams.close(CloseOptions.timeout(Duration.ofSeconds(20))
                .withGroupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
            say(name + " closed");
        }
    }
}
