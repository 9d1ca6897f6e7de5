//! A metadata log read from its file while its node writes it: the image so far, and each record in
//! a form that doesn't depend on ids that a controller draws.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use kafka_broker::metadata::MetadataImage;
use kafka_broker::metadata::batches::decode_batches;
use kafka_broker::metadata::loader::BatchLoader;
use kafka_shared::record::batch::{Batch, batches};
use kafka_shared::record::iter::records;
use kafka_shared::schema::metadata::MetadataRecord;
use kafka_shared::types::Uuid;

/// No metadata batch has more bytes.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// A log and what it says so far.
pub struct Mirror {
    file: PathBuf,
    position: u64,
    loader: BatchLoader,
    pub image: Arc<MetadataImage>,
    names: BTreeMap<Uuid, String>,
}

impl Mirror {
    /// Of the log in this folder, which has one segment.
    pub fn new(dir: &Path) -> Self {
        Self {
            file: dir.join(format!("{:020}.log", 0)),
            position: 0,
            loader: BatchLoader::new(&MetadataImage::default()),
            image: Arc::default(),
            names: BTreeMap::new(),
        }
    }

    /// Reads what is new, and returns its records, sorted. A batch that is not whole yet is left
    /// for the next time.
    pub fn read(&mut self) -> anyhow::Result<Vec<String>> {
        let mut file = File::open(&self.file).context("the log")?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut whole = 0;
        let mut written = Vec::new();
        for batch in batches(&bytes) {
            let Ok(batch) = batch else { break };
            whole += batch.size_in_bytes();
            if !batch.is_control() {
                for (record, version) in framed(&batch)? {
                    if let MetadataRecord::Topic(topic) = &record {
                        self.names.insert(topic.topic_id, topic.name.clone());
                    }
                    if !matches!(record, MetadataRecord::NoOp(_)) {
                        written.push(self.canonical(record, version));
                    }
                }
            }
        }
        let mut publications = Vec::new();
        for batch in decode_batches(&bytes[..whole]) {
            let loaded = self.loader.load(&batch?, &mut publications);
            loaded.map_err(anyhow::Error::msg)?;
            publications.extend(self.loader.flush());
        }
        if let Some(last) = publications.pop() {
            self.image = last.image;
        }
        self.position += whole as u64;
        written.sort();
        Ok(written)
    }

    /// The record with topics by name, and without the epochs of brokers, which are offsets.
    fn canonical(&self, record: MetadataRecord, version: i16) -> String {
        let name = |id: &mut Uuid| {
            let name = self.names.get(id).cloned();
            *id = Uuid::nil();
            name.unwrap_or_else(|| "no topic".to_owned())
        };
        let mut record = ordered(record);
        let topic = match &mut record {
            MetadataRecord::Topic(record) => name(&mut record.topic_id),
            MetadataRecord::Partition(record) => name(&mut record.topic_id),
            MetadataRecord::PartitionChange(record) => name(&mut record.topic_id),
            MetadataRecord::RemoveTopic(record) => name(&mut record.topic_id),
            MetadataRecord::RegisterBroker(record) => {
                record.broker_epoch = 0;
                String::new()
            }
            MetadataRecord::UnregisterBroker(record) => {
                record.broker_epoch = 0;
                String::new()
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                record.broker_epoch = 0;
                String::new()
            }
            MetadataRecord::ProducerIds(record) => {
                record.broker_epoch = 0;
                String::new()
            }
            _ => String::new(),
        };
        format!("{topic} v{version} {record:?}")
    }
}

/// The record with its parts in an order of our own where Kafka's is that of a hash table.
pub fn ordered(mut record: MetadataRecord) -> MetadataRecord {
    match &mut record {
        MetadataRecord::ClientQuota(record) => {
            (record.entity).sort_by(|a, b| a.entity_type.cmp(&b.entity_type));
        }
        MetadataRecord::RegisterBroker(record) => {
            record.features.sort_by(|a, b| a.name.cmp(&b.name));
            record.end_points.sort_by(|a, b| a.name.cmp(&b.name));
        }
        MetadataRecord::RegisterController(record) => {
            record.features.sort_by(|a, b| a.name.cmp(&b.name));
            record.end_points.sort_by(|a, b| a.name.cmp(&b.name));
        }
        _ => {}
    }
    record
}

/// The records of a batch with the versions that they are written in.
pub fn framed(batch: &Batch<'_>) -> anyhow::Result<Vec<(MetadataRecord, i16)>> {
    let records = records(batch, BATCH_BYTES_MAX)?;
    let decode = |record: kafka_shared::record::iter::Record<'_>| {
        Ok(MetadataRecord::decode(record.value.context("a value")?)?)
    };
    records.iter().map(|record| decode(record?)).collect()
}
