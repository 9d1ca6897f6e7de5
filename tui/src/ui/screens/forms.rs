//! The forms of actions: what is filled in becomes an action, which is planned.

use kafka_shared::types::TopicPartition;

use crate::model::{ConfigEntry, ConfigResource, Topic};
use crate::ops::execution;
use crate::ops::{
    Action, AddPartitions, AlterConfigs, ConfigChange, CreateTopic, ProduceMessage,
    topic_name_fault,
};
use crate::ui::app::parse_bootstrap;
use crate::ui::command::Id;
use crate::ui::format;
use crate::ui::screen::Step;
use crate::ui::widgets::form::{Field, Form, Values, Wrong};

pub fn connect_form(address: &str) -> Form {
    let fields = vec![Field::text(
        "brokers",
        address,
        "host:port of one or more brokers of the cluster, separated by commas",
    )];
    Form::new("connect to a cluster", fields, |values, _| {
        let text = values.get(0);
        parse_bootstrap(text).map_err(|why| Wrong::new(0, why))?;
        Ok(vec![Step::Close, Step::Connect(text.to_owned())])
    })
}

/// Asks for the name again before something is done with it.
pub(super) fn typed_name(title: String, intro: &str, name: &str, done: Id) -> Form {
    let fields = vec![Field::text("name", "", format!("type {name} to confirm"))];
    let wanted = name.to_owned();
    let form = Form::new(title, fields, move |values, _| {
        if values.get(0) == wanted {
            Ok(vec![Step::Close, Step::Run(done, wanted.clone())])
        } else {
            Err(Wrong::new(0, format!("type {wanted}, or leave with esc")))
        }
    });
    form.intro(vec![intro.to_owned()])
}

pub fn create_topic_form(name: &str) -> Form {
    let fields = vec![
        Field::text("name", name, "letters, digits, '.', '_' and '-'"),
        Field::text(
            "partitions",
            "",
            "empty: the broker's default (num.partitions)",
        ),
        Field::text(
            "replicas",
            "",
            "empty: the broker's default (default.replication.factor)",
        ),
        Field::text(
            "settings",
            "",
            "key=value, separated by commas; for example retention.ms=3600000",
        ),
    ];
    Form::new("create a topic", fields, |values, _| {
        if let Some(why) = topic_name_fault(values.get(0)) {
            return Err(Wrong::new(0, why));
        }
        let create = CreateTopic {
            name: values.get(0).to_owned(),
            partitions: values.number(1)?,
            replication_factor: values.number(2)?,
            configs: values.pairs(3)?,
            ..CreateTopic::default()
        };
        Ok(vec![Step::Plan(Action::CreateTopic(create))])
    })
}

/// As below, for all marked topics; those that have as many already are left out.
pub fn add_partitions_to_many_form(topics: &[&Topic]) -> Form {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.to_string()).collect();
    let most = topics.iter().map(|topic| topic.partitions.len()).max();
    let most = most.unwrap_or(1);
    let note = format!("all partitions of each topic afterwards; the largest has {most} now");
    let fields = vec![Field::text("partitions", &(most + 1).to_string(), note)];
    let title = format!("add partitions to {} topics", names.len());
    Form::new(title, fields, move |values, _| {
        let total = values
            .number(0)?
            .ok_or_else(|| Wrong::new(0, "how many?"))?;
        let add = |name: &String| AddPartitions {
            topic: name.clone(),
            total,
            assignment: None,
        };
        let adds = names.iter().map(add).collect();
        Ok(vec![Step::Plan(Action::AddPartitionsToMany(adds))])
    })
}

pub fn add_partitions_form(topic: &Topic) -> Form {
    let (name, now) = (topic.name.to_string(), topic.partitions.len());
    let note = format!("all partitions afterwards; there are {now} now, and they can only grow");
    let fields = vec![Field::text("partitions", &(now + 1).to_string(), note)];
    let title = format!("add partitions to {}", format::clean(&name));
    Form::new(title, fields, move |values, _| {
        let total = values
            .number(0)?
            .ok_or_else(|| Wrong::new(0, "how many?"))?;
        let add = AddPartitions {
            topic: name.clone(),
            total,
            assignment: None,
        };
        Ok(vec![Step::Plan(Action::AddPartitions(add))])
    })
}

pub fn produce_form(topic: &str, partition: Option<i32>) -> Form {
    let partition = partition.map(|id| id.to_string()).unwrap_or_default();
    let fields = vec![
        Field::text("key", "", "empty: no key"),
        Field::text("value", "", "the record's value, as UTF-8"),
        Field::choice("kind", &["value", "tombstone"], 0),
        Field::text("headers", "", "key=value, separated by commas"),
        Field::text(
            "partition",
            &partition,
            "empty: chosen by key as Kafka's producers do",
        ),
    ];
    let name = topic.to_owned();
    let title = format!("write a message to {}", format::clean(topic));
    Form::new(title, fields, move |values, _| {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let headers = values.pairs(3)?.into_iter();
        let message = ProduceMessage {
            topic: name.clone(),
            partition: values.number(4)?,
            key: Some(values.raw(0)).filter(|key| !key.is_empty()).map(bytes),
            value: (values.get(2) == "value").then(|| bytes(values.raw(1))),
            headers: headers
                .map(|(key, value)| (key, Some(value.into_bytes())))
                .collect(),
        };
        Ok(vec![Step::Plan(Action::Produce(message))])
    })
}

pub fn alter_config_form(resource: &ConfigResource, entry: &ConfigEntry) -> Form {
    let value = entry.value.clone().unwrap_or_default();
    let kind = entry.kind.as_str();
    let note = match entry
        .inherited(resource)
        .and_then(|from| from.value.as_deref())
    {
        Some(inherited) => format!("{kind}; without a value of its own: {inherited}"),
        None => kind.to_owned(),
    };
    let fields = vec![Field::text(
        "value",
        &value,
        format::clean(&note).into_owned(),
    )];
    let (resource, name) = (resource.clone(), entry.name.clone());
    let doc = entry.documentation.clone().unwrap_or_default();
    let title = format!("{} of {resource}", format::clean(&name));
    let intro = vec![format::cut(&format::clean(&doc), 400), String::new()];
    Form::new(format::clean(&title), fields, move |values, _| {
        let value = values.get(0).to_owned();
        let changes = vec![ConfigChange::Set {
            name: name.clone(),
            value,
        }];
        let alter = AlterConfigs {
            resource: resource.clone(),
            changes,
        };
        Ok(vec![Step::Plan(Action::AlterConfigs(alter))])
    })
    .intro(intro)
}

/// Asks for the replicas of partitions; `apply` makes steps of what was filled in.
pub fn replicas_form(
    partitions: &[TopicPartition],
    now: &[i32],
    known: &[i32],
    apply: impl Fn(Vec<i32>) -> Vec<Step> + Send + 'static,
) -> Form {
    let note = format!(
        "broker ids, the preferred leader first; there are {}",
        format::ids(known)
    );
    let fields = vec![Field::text("replicas", &format::ids(now), note)];
    let title = match partitions {
        [one] => format!("replicas of {}", format::clean(&one.to_string())),
        many => format!("replicas of {} partitions", many.len()),
    };
    let known = known.to_vec();
    Form::new(title, fields, move |values, _| {
        let ids = values.ids(0)?;
        if ids.is_empty() {
            return Err(Wrong::new(0, "at least one broker is needed"));
        }
        if let Some(id) = ids.iter().find(|id| !known.contains(id)) {
            return Err(Wrong::new(0, format!("there is no broker {id}")));
        }
        if ids
            .iter()
            .enumerate()
            .any(|(at, id)| ids.iter().take(at).any(|other| other == id))
        {
            return Err(Wrong::new(0, "a broker is there twice"));
        }
        Ok(apply(ids))
    })
}

/// How a run of reassignments is paced.
pub(super) fn pace_fields(rate: &str, batch: usize) -> Vec<Field> {
    vec![
        Field::text(
            "throttle",
            rate,
            "bytes a second that each broker may send, and receive: 20M, 50MiB; empty: none",
        ),
        Field::text(
            "at a time",
            &batch.to_string(),
            "partitions on their way at once",
        ),
    ]
}

/// What the fields above say: rate and batch.
pub(super) fn pace(values: &Values<'_>) -> Result<(Option<i64>, usize), Wrong> {
    let throttle = match values.get(0).trim() {
        "" => None,
        text => Some(execution::parse_rate(text).map_err(|why| Wrong::new(0, why))?),
    };
    match values.number::<usize>(1)? {
        Some(batch @ 1..) => Ok((throttle, batch)),
        _ => Err(Wrong::new(1, "at least one")),
    }
}
