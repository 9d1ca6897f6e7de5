//! The cluster's metadata as every node sees it: an immutable image and how it changes.
//!
//! * [`image`] the image and its parts, [`topics`], [`cluster`], [`configs`], [`security`];
//! * [`delta`] an image in the making: records in, the new image and what changed out;
//! * [`handle`] where readers get the newest image and wait for an offset to be applied;
//! * [`features`] the table of feature levels that this node declares and finalizes.
//!
//! Invariants: an image is never changed after it was published; it holds exactly the records
//! below its offset; images are published in the order of their offsets; a publisher sees every
//! image once, with the delta from the one before it.
//!
//! Kafka: `org.apache.kafka.image` and `org.apache.kafka.metadata` of 4.3.

pub mod batches;
pub mod cluster;
pub mod configs;
pub mod delta;
pub mod features;
pub mod format;
pub mod handle;
pub mod image;
pub mod loader;
pub mod records;
pub mod replay;
pub mod security;
pub mod snapshot;
pub mod topic_name;
pub mod topics;

pub use cluster::{BrokerRegistration, ClusterImage, ControllerRegistration, ListenerEndpoint};
pub use configs::{ConfigResource, ConfigsImage, ResourceType};
pub use delta::{MetadataDelta, TopicDelta, TopicsDelta};
pub use features::FeaturesImage;
pub use handle::{MetadataHandle, MetadataPublisher};
pub use image::{MetadataImage, Provenance};
pub use topics::{LeaderRecoveryState, PartitionRegistration, TopicImage, TopicsImage};

#[cfg(test)]
mod tests;
