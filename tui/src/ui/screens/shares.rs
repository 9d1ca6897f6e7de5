//! Brokers' shares of topics: CMAK's tables of a broker by topic, and of a topic by broker.

use std::collections::HashMap;
use std::sync::Arc;

use ratatui::text::Span;

use super::cells;
use crate::derive::{TopicShare, topic_shares};
use crate::model::{ClusterMetadata, Topic};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::widgets::list::{Column, Key, List, Named};

/// What one broker has of one topic.
pub struct Row {
    name: String,
    pub topic: Arc<Topic>,
    pub share: TopicShare,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Whether there is too much of it: as CMAK says it, and of what is placed where that is another
/// answer.
fn skewed(cmak: bool, placed: bool, cx: &Cx<'_>) -> Span<'static> {
    let word = |is_skewed: bool| if is_skewed { "yes" } else { "no" };
    let text = match cmak == placed {
        true => word(cmak).to_owned(),
        false => format!("{}/{}", word(cmak), word(placed)),
    };
    let style = match cmak || placed {
        true => cx.theme.warn,
        false => cx.theme.dim,
    };
    Span::styled(text, style)
}

const TOPIC: Column<Row> = Column::name(
    "TOPIC",
    18,
    |row, _| Key::Text(Arc::clone(&row.topic.name)),
    |row, cx| cells::foreign(&row.topic.name, cx),
);

const BROKER: Column<Row> = Column::number(
    "BROKER",
    6,
    0,
    |row, _| Key::Int(row.share.broker.into()),
    |row, cx| cells::plain(row.share.broker.to_string(), cx),
);

const FACTOR: Column<Row> = Column::number(
    "RF",
    3,
    4,
    |row, _| Key::size(row.topic.replication_factor()),
    |row, cx| cells::count(row.topic.replication_factor(), cx),
);

const OF: Column<Row> = Column::number(
    "OF",
    6,
    1,
    |row, _| Key::size(row.topic.partitions.len()),
    |row, cx| cells::count(row.topic.partitions.len(), cx),
);

const HERE: Column<Row> = Column::number(
    "HERE",
    6,
    0,
    |row, _| Key::size(row.share.placed.len()),
    |row, cx| cells::count(row.share.placed.len(), cx),
);

const IN_SYNC: Column<Row> = Column::number(
    "IN SYNC",
    7,
    2,
    |row, _| Key::size(row.share.in_sync.len()),
    |row, cx| {
        let n = row.share.in_sync.len();
        match n < row.share.placed.len() {
            true => Span::styled(n.to_string(), cx.theme.warn),
            false => cells::count(n, cx),
        }
    },
);

const LEADS: Column<Row> = Column::number(
    "LEADS",
    6,
    0,
    |row, _| Key::size(row.share.leaders),
    |row, cx| cells::count(row.share.leaders, cx),
);

const SKEWED: Column<Row> = Column::text(
    "SKEWED",
    7,
    0,
    |row, _| {
        Key::Int(-i64::from(
            row.share.is_skewed || row.share.is_placed_skewed,
        ))
    },
    |row, cx| skewed(row.share.is_skewed, row.share.is_placed_skewed, cx),
);

const LEADER_SKEWED: Column<Row> = Column::text(
    "LEADERS SKEWED",
    14,
    1,
    |row, _| Key::Int(-i64::from(row.share.is_leader_skewed)),
    |row, cx| skewed(row.share.is_leader_skewed, row.share.is_leader_skewed, cx),
);

const PARTITIONS: Column<Row> = Column::rest(
    "PARTITIONS",
    12,
    3,
    |row, _| Key::text(&format::ids(&row.share.placed)),
    |row, cx| cells::dim(format::ids(&row.share.placed), cx),
);

/// Of a broker, by topic.
pub const OF_BROKER: &[Column<Row>] = &[
    TOPIC,
    FACTOR,
    OF,
    HERE,
    IN_SYNC,
    LEADS,
    SKEWED,
    LEADER_SKEWED,
    PARTITIONS,
];

/// Of a topic, by broker.
pub const OF_TOPIC: &[Column<Row>] = &[
    BROKER,
    HERE,
    IN_SYNC,
    LEADS,
    SKEWED,
    LEADER_SKEWED,
    PARTITIONS,
];

/// Brings a broker's list up to date; topics that are as they were keep their rows.
pub fn of_broker(list: &mut List<Row>, id: i32, metadata: &ClusterMetadata, cx: &Cx<'_>) {
    let (old, selected) = list.take_rows();
    let mut old: HashMap<Arc<str>, Row> = old
        .into_iter()
        .map(|row| (Arc::clone(&row.topic.name), row))
        .collect();
    let mut rows = Vec::new();
    for topic in &metadata.topics {
        let mut partitions = topic.partitions.iter();
        if !partitions.any(|p| p.replicas.contains(&id) || p.isr.contains(&id)) {
            continue;
        }
        let same = old.remove(&topic.name);
        rows.extend(
            same.filter(|row| Arc::ptr_eq(&row.topic, topic))
                .or_else(|| {
                    let mut shares = topic_shares(topic).into_iter();
                    Some(Row {
                        name: topic.name.to_string(),
                        topic: Arc::clone(topic),
                        share: shares.find(|share| share.broker == id)?,
                    })
                }),
        );
    }
    list.give_rows(rows, selected, cx);
}

/// The rows of a topic.
pub fn of_topic(topic: &Arc<Topic>) -> Vec<Row> {
    let row = |share: TopicShare| Row {
        name: share.broker.to_string(),
        topic: Arc::clone(topic),
        share,
    };
    topic_shares(topic).into_iter().map(row).collect()
}
