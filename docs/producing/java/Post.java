import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringSerializer;

/** Tells a community and a user, by writing to Kafka: {@code Post <brokers> <community> <user> <id>}. */
class Post {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], event = args[3];
        long community = Long.parseLong(args[1]), user = Long.parseLong(args[2]);
        // Idempotence brings acks=all: a record is there once and on all replicas, or its delivery fails.
        Map<String, Object> config = Map.of("bootstrap.servers", brokers, "enable.idempotence", true);
        Instant now = Instant.now();
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            post(producer, "peal.events", community, """
                {"version":1,"event":"%s","kind":"order.shipped","community":%d,"at":"%s","data":{"from":"java"}}"""
                .formatted(event, community, now));
            String expires = now.plus(Duration.ofDays(1)).toString();
            post(producer, "peal.notifications", user, """
                {"id":"%1$s-letter:%2$d","event":"%1$s-letter","kind":"letter.sent","at":"%3$s","data":{"from":"java"}}"""
                .formatted(event, user, now), new RecordHeader("expires", expires.getBytes(UTF_8)));
        }
    }

    static void post(KafkaProducer<String, String> producer, String topic, long key, String value, Header... headers)
            throws Exception {
        // Never the client's own partitioner: whoever reads looks in this partition, and in no other.
        int partition = (int) (key % producer.partitionsFor(topic).size());
        var record = new ProducerRecord<>(topic, partition, Long.toString(key), value, List.of(headers));
        var sent = producer.send(record).get();
        System.out.println(topic + ", partition " + sent.partition() + ", offset " + sent.offset());
    }
}
