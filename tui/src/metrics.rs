//! Figures that brokers tell of themselves over HTTP, as Prometheus reads them: the JMX exporter's
//! pages, and Redpanda's.
//!
//! Invariants:
//! - Pure: a page is a text, what comes out is data. Fetching pages is `cluster::metrics`' matter.
//! - A page is somebody else's: what can't be read is counted and left out, and nothing of it makes
//!   this use more memory than a bounded part of the page itself.
//! - What a page does not tell is unknown, never 0.

mod endpoints;
mod exposition;
mod reading;

pub use endpoints::Endpoints;
pub use exposition::{BadLine, Sample, samples};
pub use reading::{PageFault, reading};
