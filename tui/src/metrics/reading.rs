//! What a page's names mean: the JMX exporter's, with the rules that come with it for Kafka, with
//! those of Strimzi and Confluent, and without rules; Redpanda's public page.
//!
//! One figure goes by many names: `kafka_server_brokertopicmetrics_messagesin_total` (example
//! rules), `kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec"}` (no rules),
//! `kafka_server_brokertopicmetrics_messagesinpersec` (Confluent). So a name is taken apart into
//! the bean, in lower case and without what says that it is a rate or a share, and the attribute.
//!
//! Kafka: server/metrics/BrokerTopicMetrics, KafkaRequestHandlerPool, ReplicaManager, SocketServer,
//! RequestMetrics (4.3); JMX exporter: examples/kafka-2_0_0.yml.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{BrokerReading, Count, Flow, Taken, TopicCounts};

use super::exposition::{BadLine, Sample, samples};

/// Topics that are kept of one page.
const TOPICS_MAX: usize = 20_000;

/// Only names that begin like these can mean something here.
const PREFIXES: [&str; 9] = [
    "kafka_server_brokertopicmetrics",
    "kafka_server_replicamanager",
    "kafka_server_kafkarequesthandlerpool",
    "kafka_network_socketserver",
    "kafka_network_requestmetrics",
    "jvm_memory_",
    "java_lang_memory_",
    "process_cpu_seconds",
    "redpanda_kafka_",
];

/// Why there is nothing to be known from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFault {
    Empty,
    /// No sample could be read.
    Unreadable(BadLine),
    /// So many names, none of them known.
    Unknown(usize),
}

/// Reads a broker's page. `shared` finds the one allocation that all have of a topic's name.
///
/// # Errors
/// Nothing in it is known.
pub fn reading(
    page: &str,
    taken: Taken,
    shared: impl Fn(&str) -> Arc<str>,
) -> Result<BrokerReading, PageFault> {
    let names = Cell::new(0);
    let is_wanted = |name: &str| {
        names.set(names.get() + 1);
        let begins = |prefix: &&str| {
            let head = name.as_bytes().get(..prefix.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        PREFIXES.iter().any(begins)
    };
    let mut building = Building {
        reading: BrokerReading::new(taken),
        ..Building::default()
    };
    let mut bad = None;
    for sample in samples(page, is_wanted) {
        match sample {
            Ok(sample) => building.take(&sample, &shared),
            Err(line) => {
                bad = bad.or(Some(line));
                building.reading.bad_lines += 1;
            }
        }
    }
    let reading = building.finish();
    match (reading.figures, bad, names.get()) {
        (0, Some(bad), _) => Err(PageFault::Unreadable(bad)),
        (0, None, 0) => Err(PageFault::Empty),
        (0, None, n) => Err(PageFault::Unknown(n)),
        _ => Ok(reading),
    }
}

/// What of a bean a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    /// The name does not say.
    Plain,
    Count,
    OneMinute,
    Mean,
    Value,
    Percentile99,
}

/// How names end, the longer before the shorter that they end in.
const ATTRIBUTES: [(&str, Attribute); 6] = [
    ("_oneminuterate", Attribute::OneMinute),
    ("_meanrate", Attribute::Mean),
    ("_99thpercentile", Attribute::Percentile99),
    ("_total", Attribute::Count),
    ("_count", Attribute::Count),
    ("_value", Attribute::Value),
];

/// What a bean's name may end in without meaning another one.
const DECORATION: [&str; 4] = ["_persec", "persec", "_percent", "percent"];

/// The bean, in lower case and without decoration, and which of its attributes it is.
fn taken_apart(sample: &Sample<'_>) -> (String, Attribute) {
    let lower = sample.name.to_ascii_lowercase();
    let found = ATTRIBUTES.iter().find(|(end, _)| lower.ends_with(end));
    let (mut bean, attribute) = match found {
        Some((end, attribute)) => (lower[..lower.len() - end.len()].to_owned(), *attribute),
        None => (lower, Attribute::Plain),
    };
    // Without rules, what follows the bean's type is told in labels.
    if let Some(name) = sample.label("name") {
        bean = format!("{bean}_{}", name.to_ascii_lowercase());
    }
    let decoration = DECORATION.iter().find(|end| bean.ends_with(*end));
    bean.truncate(bean.len() - decoration.map_or(0, |end| end.len()));
    (bean, attribute)
}

/// A count by the name of its bean.
fn flow(bean: &str) -> Option<Flow> {
    Some(
        match bean.strip_prefix("kafka_server_brokertopicmetrics_")? {
            "messagesin" => Flow::MessagesIn,
            "bytesin" => Flow::BytesIn,
            "bytesout" => Flow::BytesOut,
            "bytesrejected" => Flow::BytesRejected,
            "failedproducerequests" => Flow::FailedProduces,
            "failedfetchrequests" => Flow::FailedFetches,
            _ => return None,
        },
    )
}

/// A count by Redpanda's name, which comes once for each partition or kind of request.
fn redpanda_flow(bean: &str, sample: &Sample<'_>) -> Option<Flow> {
    match bean.strip_prefix("redpanda_kafka_")? {
        "records_produced" => Some(Flow::MessagesIn),
        "request_bytes" => match sample.label("redpanda_request")? {
            "produce" => Some(Flow::BytesIn),
            "consume" => Some(Flow::BytesOut),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Default)]
struct Building {
    reading: BrokerReading,
    /// Over topics, for what is told of topics only.
    sums: [Option<f64>; Flow::ALL.len()],
    topics: HashMap<String, TopicCounts>,
}

impl Building {
    fn take(&mut self, sample: &Sample<'_>, shared: &impl Fn(&str) -> Arc<str>) {
        if !sample.value.is_finite() || sample.value < 0.0 {
            // A heap without a limit has the size -1.
            return;
        }
        let (bean, attribute) = taken_apart(sample);
        let is_taken = match flow(&bean) {
            Some(flow) => self.count(flow, attribute, sample, shared),
            None => match redpanda_flow(&bean, sample) {
                Some(flow) => {
                    self.count_topic(flow, sample.label("redpanda_topic"), sample.value, shared);
                    true
                }
                None => self.gauge(&bean, attribute, sample),
            },
        };
        self.reading.figures += usize::from(is_taken);
    }

    fn count(
        &mut self,
        flow: Flow,
        attribute: Attribute,
        sample: &Sample<'_>,
        shared: &impl Fn(&str) -> Arc<str>,
    ) -> bool {
        let topic = sample.label("topic").filter(|topic| !topic.is_empty());
        match (attribute, topic) {
            (Attribute::Plain | Attribute::Count, Some(topic)) => {
                self.count_topic(flow, Some(topic), sample.value, shared);
            }
            (Attribute::Plain | Attribute::Count, None) => {
                self.reading.count_mut(flow).total = Some(sample.value);
            }
            (Attribute::OneMinute, None) => {
                self.reading.count_mut(flow).one_minute = Some(sample.value);
            }
            _ => return false,
        }
        true
    }

    fn count_topic(
        &mut self,
        flow: Flow,
        topic: Option<&str>,
        value: f64,
        shared: &impl Fn(&str) -> Arc<str>,
    ) {
        *self.sums[flow as usize].get_or_insert(0.0) += value;
        let Some(topic) = topic else { return };
        if let Some(counts) = self.topics.get_mut(topic) {
            return counts.add(flow, value);
        }
        if self.topics.len() == TOPICS_MAX {
            self.reading.topics_left_out += 1;
            return;
        }
        let mut counts = TopicCounts::new(shared(topic));
        counts.add(flow, value);
        self.topics.insert(topic.to_owned(), counts);
    }

    fn gauge(&mut self, bean: &str, attribute: Attribute, sample: &Sample<'_>) -> bool {
        let reading = &mut self.reading;
        let is_heap = || sample.label("area") == Some("heap");
        let slot = match bean {
            "process_cpu_seconds" => &mut reading.count_mut(Flow::Cpu).total,
            "kafka_server_replicamanager_underreplicatedpartitions" => {
                &mut reading.under_replicated
            }
            "kafka_server_replicamanager_underminisrpartitioncount" => &mut reading.under_min_isr,
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle" => {
                return idle(&mut reading.handlers_idle, attribute, sample.value);
            }
            "kafka_network_socketserver_networkprocessoravgidle" => {
                return idle(&mut reading.network_idle, attribute, sample.value);
            }
            "kafka_network_requestmetrics_totaltimems" => {
                return percentile(reading, attribute, sample);
            }
            "jvm_memory_bytes_used" | "jvm_memory_used_bytes" if is_heap() => {
                &mut reading.heap_used_bytes
            }
            "jvm_memory_bytes_max" | "jvm_memory_max_bytes" if is_heap() => {
                &mut reading.heap_max_bytes
            }
            "java_lang_memory_heapmemoryusage_used" => &mut reading.heap_used_bytes,
            "java_lang_memory_heapmemoryusage_max" => &mut reading.heap_max_bytes,
            "redpanda_kafka_under_replicated_replicas" => {
                *reading.under_replicated.get_or_insert(0.0) += sample.value;
                return true;
            }
            _ => return false,
        };
        *slot = Some(sample.value);
        true
    }

    fn finish(mut self) -> BrokerReading {
        for flow in Flow::ALL {
            let sum = self.sums[flow as usize];
            let Count { total, .. } = self.reading.count_mut(flow);
            *total = total.or(sum);
        }
        let mut topics: Vec<TopicCounts> = self.topics.into_values().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        self.reading.topics = topics;
        self.reading
    }
}

/// A share of time; the mean since the broker started only where nothing newer is told.
fn idle(slot: &mut Option<f64>, attribute: Attribute, value: f64) -> bool {
    match attribute {
        // Of a meter of shares, the count is nanoseconds.
        Attribute::Count | Attribute::Percentile99 => return false,
        Attribute::Mean => *slot = slot.or(Some(value)),
        Attribute::Plain | Attribute::OneMinute | Attribute::Value => *slot = Some(value),
    }
    true
}

fn percentile(reading: &mut BrokerReading, attribute: Attribute, sample: &Sample<'_>) -> bool {
    let quantile = sample.label("quantile").and_then(|q| q.parse::<f64>().ok());
    let is_ninety_nine = quantile.is_some_and(|q| (q - 0.99).abs() < 1e-9);
    if attribute != Attribute::Percentile99 && !is_ninety_nine {
        return false;
    }
    let slot = match sample.label("request") {
        Some("Produce") => &mut reading.produce_p99_ms,
        Some("FetchConsumer") => &mut reading.fetch_p99_ms,
        Some("FetchFollower") => &mut reading.follower_p99_ms,
        _ => return false,
    };
    *slot = Some(sample.value);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(page: &str) -> Result<BrokerReading, PageFault> {
        reading(page, Taken::default(), |name: &str| Arc::from(name))
    }

    /// The JMX exporter with the rules that come with it.
    const WITH_RULES: &str = r#"
# HELP kafka_server_brokertopicmetrics_messagesin_total Attribute exposed for management
# TYPE kafka_server_brokertopicmetrics_messagesin_total counter
kafka_server_brokertopicmetrics_messagesin_total 1500.0
kafka_server_brokertopicmetrics_messagesin_total{topic="orders",} 1000.0
kafka_server_brokertopicmetrics_messagesin_total{topic="a.b"} 500.0
kafka_server_brokertopicmetrics_bytesin_total 3.0E5
kafka_server_brokertopicmetrics_bytesin_total{topic="orders",} 2.0E5
kafka_server_brokertopicmetrics_bytesout_total 7000.0
kafka_server_brokertopicmetrics_bytesrejected_total 3.0
kafka_server_brokertopicmetrics_failedproducerequests_total 2.0
kafka_server_brokertopicmetrics_failedfetchrequests_total 1.0
kafka_server_brokertopicmetrics_totalproducerequests_total 99.0
kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent 0.98
kafka_network_socketserver_networkprocessoravgidle_percent 0.999
kafka_server_replicamanager_underreplicatedpartitions 4.0
kafka_server_replicamanager_underminisrpartitioncount 1.0
kafka_network_requestmetrics_totaltimems{request="Produce",quantile="0.50",} 1.0
kafka_network_requestmetrics_totaltimems{request="Produce",quantile="0.99",} 12.5
kafka_network_requestmetrics_totaltimems{request="FetchConsumer",quantile="0.99",} 500.0
kafka_network_requestmetrics_totaltimems{request="FetchFollower",quantile="0.99",} 501.0
kafka_network_requestmetrics_totaltimems_count{request="Produce",} 77.0
jvm_memory_bytes_used{area="heap",} 1.0E8
jvm_memory_bytes_used{area="nonheap",} 9.0E7
jvm_memory_bytes_max{area="heap",} 1.0E9
jvm_memory_bytes_max{area="nonheap",} -1.0
process_cpu_seconds_total 33.25
"#;

    /// The same broker without rules.
    const WITHOUT_RULES: &str = r#"
kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec",} 1500.0
kafka_server_BrokerTopicMetrics_OneMinuteRate{name="MessagesInPerSec",} 7.5
kafka_server_BrokerTopicMetrics_FiveMinuteRate{name="MessagesInPerSec",} 8.5
kafka_server_BrokerTopicMetrics_MeanRate{name="MessagesInPerSec",} 9.5
kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec",topic="orders",} 1000.0
kafka_server_BrokerTopicMetrics_Count{name="MessagesInPerSec",topic="a.b",} 500.0
kafka_server_BrokerTopicMetrics_Count{name="BytesInPerSec",} 3.0E5
kafka_server_BrokerTopicMetrics_Count{name="BytesInPerSec",topic="orders",} 2.0E5
kafka_server_BrokerTopicMetrics_Count{name="BytesOutPerSec",} 7000.0
kafka_server_BrokerTopicMetrics_Count{name="BytesRejectedPerSec",} 3.0
kafka_server_BrokerTopicMetrics_Count{name="FailedProduceRequestsPerSec",} 2.0
kafka_server_BrokerTopicMetrics_Count{name="FailedFetchRequestsPerSec",} 1.0
kafka_server_KafkaRequestHandlerPool_Count{name="RequestHandlerAvgIdlePercent",} 4.2E13
kafka_server_KafkaRequestHandlerPool_MeanRate{name="RequestHandlerAvgIdlePercent",} 0.5
kafka_server_KafkaRequestHandlerPool_OneMinuteRate{name="RequestHandlerAvgIdlePercent",} 0.98
kafka_network_SocketServer_Value{name="NetworkProcessorAvgIdlePercent",} 0.999
kafka_server_ReplicaManager_Value{name="UnderReplicatedPartitions",} 4.0
kafka_server_ReplicaManager_Value{name="UnderMinIsrPartitionCount",} 1.0
kafka_network_RequestMetrics_99thPercentile{name="TotalTimeMs",request="Produce",} 12.5
kafka_network_RequestMetrics_999thPercentile{name="TotalTimeMs",request="Produce",} 99.0
kafka_network_RequestMetrics_99thPercentile{name="TotalTimeMs",request="FetchConsumer",} 500.0
kafka_network_RequestMetrics_99thPercentile{name="TotalTimeMs",request="FetchFollower",} 501.0
kafka_network_RequestMetrics_99thPercentile{name="LocalTimeMs",request="Produce",} 1.0
java_lang_Memory_HeapMemoryUsage_used 1.0E8
java_lang_Memory_HeapMemoryUsage_max 1.0E9
process_cpu_seconds_total 33.25
"#;

    #[test]
    fn both_usual_sets_of_names_say_the_same() {
        for (page, one_minute) in [(WITH_RULES, None), (WITHOUT_RULES, Some(7.5))] {
            let reading = read(page).unwrap();
            let totals = Flow::ALL.map(|flow| reading.count(flow).total);
            let wanted = [1500.0, 3e5, 7000.0, 3.0, 2.0, 1.0, 33.25];
            assert_eq!(totals, wanted.map(Some), "{page}");
            assert_eq!(reading.count(Flow::MessagesIn).one_minute, one_minute);
            let names: Vec<&str> = reading.topics.iter().map(|topic| &*topic.name).collect();
            assert_eq!(names, ["a.b", "orders"]);
            let orders = reading.topic("orders").unwrap();
            let of = Flow::OF_TOPICS.map(|flow| orders.total(flow));
            assert_eq!(of, [Some(1000.0), Some(2e5), None]);
            let gauges = [
                reading.under_replicated,
                reading.under_min_isr,
                reading.handlers_idle,
                reading.network_idle,
                reading.heap_used_bytes,
                reading.heap_max_bytes,
                reading.produce_p99_ms,
                reading.fetch_p99_ms,
                reading.follower_p99_ms,
            ];
            let wanted = [4.0, 1.0, 0.98, 0.999, 1e8, 1e9, 12.5, 500.0, 501.0];
            assert_eq!(gauges, wanted.map(Some), "{page}");
            assert_eq!((reading.bad_lines, reading.topics_left_out), (0, 0));
        }
    }

    #[test]
    fn other_rules_are_understood_too() {
        let confluent = "kafka_server_brokertopicmetrics_messagesinpersec 3\n\
                         kafka_server_brokertopicmetrics_messagesinpersec{topic=\"t\"} 2\n\
                         kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent 0.5\n\
                         jvm_memory_used_bytes{area=\"heap\"} 6\n";
        let reading = read(confluent).unwrap();
        assert_eq!(reading.count(Flow::MessagesIn).total, Some(3.0));
        assert_eq!(
            (reading.handlers_idle, reading.heap_used_bytes),
            (Some(0.5), Some(6.0))
        );
        let redpanda = "redpanda_kafka_records_produced_total{redpanda_topic=\"t\",p=\"0\"} 3\n\
                        redpanda_kafka_records_produced_total{redpanda_topic=\"t\",p=\"1\"} 4\n\
                        redpanda_kafka_request_bytes_total{redpanda_topic=\"t\",\
                        redpanda_request=\"produce\"} 50\n\
                        redpanda_kafka_request_bytes_total{redpanda_topic=\"u\",\
                        redpanda_request=\"consume\"} 60\n\
                        redpanda_kafka_under_replicated_replicas{redpanda_topic=\"t\"} 1\n\
                        redpanda_kafka_under_replicated_replicas{redpanda_topic=\"u\"} 2\n";
        let reading = read(redpanda).unwrap();
        let total = |flow| reading.count(flow).total;
        assert_eq!(total(Flow::MessagesIn), Some(7.0));
        assert_eq!(
            (total(Flow::BytesIn), total(Flow::BytesOut)),
            (Some(50.0), Some(60.0))
        );
        assert_eq!(reading.under_replicated, Some(3.0));
        let topic = reading.topic("t").unwrap();
        assert_eq!(topic.total(Flow::MessagesIn), Some(7.0));
    }

    #[test]
    fn a_page_of_something_else_says_what_it_is() {
        assert_eq!(read("# nothing\n\n"), Err(PageFault::Empty));
        assert_eq!(read("go_threads 7\nup 1\n"), Err(PageFault::Unknown(2)));
        let html = read("\n<html><body>It works</body></html>");
        assert!(
            matches!(html, Err(PageFault::Unreadable(bad)) if bad.number == 2),
            "{html:?}"
        );
        // One bad line spoils no other; what is no number is not known.
        let odd = "kafka_server_brokertopicmetrics_bytesin_total x\n\
                   kafka_server_brokertopicmetrics_bytesin_total NaN\n\
                   kafka_server_brokertopicmetrics_bytesout_total 5\n";
        let reading = read(odd).unwrap();
        assert_eq!((reading.bad_lines, reading.figures), (1, 1));
        assert_eq!(reading.count(Flow::BytesIn).total, None);
    }

    #[test]
    fn topics_beyond_the_bound_are_counted_and_stay_in_the_sum() {
        let line = |n: usize| {
            format!("kafka_server_brokertopicmetrics_bytesin_total{{topic=\"t{n}\"}} 1\n")
        };
        let page: String = (0..TOPICS_MAX + 3).map(line).collect();
        let reading = read(&page).unwrap();
        assert_eq!(
            (reading.topics.len(), reading.topics_left_out),
            (TOPICS_MAX, 3)
        );
        let total = reading.count(Flow::BytesIn).total;
        assert_eq!(total, Some((TOPICS_MAX + 3) as f64));
    }

    proptest! {
        #[test]
        fn a_damaged_page_never_panics(at in 0..WITH_RULES.len(), with in "[\\x00-\\x7fü]{0,5}") {
            let mut page = WITH_RULES.to_owned();
            page.replace_range(at..(at + 2).min(page.len()), &with);
            // Whatever it says: it is read to its end.
            let _ = read(&page);
        }
    }
}
