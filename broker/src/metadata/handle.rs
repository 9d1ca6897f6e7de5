//! Where the newest image is kept: readers take it without waiting, and can wait for an offset.
//!
//! Order of one publication: the image becomes visible, the publishers run in the order in which
//! they were added, and only then are those woken who wait for its offset. So who has waited for
//! an offset sees every consequence of it: a created topic has its logs.
//!
//! Kafka: `image/loader/MetadataLoader.java`, `image/publisher/MetadataPublisher.java` (4.3).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::delta::MetadataDelta;
use super::image::MetadataImage;

/// Is told of every new image, once, in order, on the loader's thread.
pub trait MetadataPublisher: Send + Sync {
    /// For log messages.
    fn name(&self) -> &'static str;

    /// Takes over what changed. It may do file I/O; nobody is told of the image's offset until it
    /// returns.
    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>);
}

/// Why an offset could not be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    #[error("the metadata offset was not applied in time")]
    TimedOut,
    #[error("the metadata loader has stopped")]
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Applied {
    offset: i64,
    loaded_offset: i64,
    transaction_start_offset: Option<i64>,
    closed: bool,
}

struct Inner {
    image: ArcSwap<MetadataImage>,
    applied: watch::Sender<Applied>,
    publishers: Mutex<Vec<Arc<dyn MetadataPublisher>>>,
}

/// Access to the newest metadata image. Clones share the same image.
#[derive(Clone)]
pub struct MetadataHandle {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for MetadataHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetadataHandle")
            .field("offset", &self.image().offset())
            .finish()
    }
}

impl Default for MetadataHandle {
    fn default() -> Self {
        Self::new(MetadataImage::default())
    }
}

impl MetadataHandle {
    /// A handle that starts from the given image.
    pub fn new(image: MetadataImage) -> Self {
        let offset = image.offset();
        Self {
            inner: Arc::new(Inner {
                image: ArcSwap::from_pointee(image),
                applied: watch::Sender::new(Applied {
                    offset,
                    loaded_offset: offset,
                    transaction_start_offset: None,
                    closed: false,
                }),
                publishers: Mutex::new(Vec::new()),
            }),
        }
    }

    /// The newest image.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.inner.image.load_full()
    }

    /// The offset up to which all publishers have done their work (inclusive); -1 at first.
    pub fn applied_offset(&self) -> i64 {
        self.inner.applied.borrow().offset
    }

    /// Waits until the record at `offset` is in the image and all publishers have seen it.
    pub async fn wait_for_offset(
        &self,
        offset: i64,
        timeout: Duration,
    ) -> Result<Arc<MetadataImage>, WaitError> {
        let mut applied = self.inner.applied.subscribe();
        let wait = applied.wait_for(|applied| applied.closed || applied.offset >= offset);
        match tokio::time::timeout(timeout, wait).await {
            Err(_) => Err(WaitError::TimedOut),
            Ok(Err(_)) => Err(WaitError::Closed),
            Ok(Ok(applied)) if applied.offset >= offset => Ok(self.image()),
            Ok(Ok(_)) => Err(WaitError::Closed),
        }
    }

    /// Waits until `condition` holds for an image that all publishers have seen.
    pub async fn wait_until(
        &self,
        timeout: Duration,
        condition: impl Fn(&MetadataImage) -> bool,
    ) -> Result<Arc<MetadataImage>, WaitError> {
        let mut applied = self.inner.applied.subscribe();
        let wait = async {
            loop {
                let image = self.image();
                if condition(&image) && self.applied_offset() >= image.offset() {
                    return Ok(image);
                }
                if applied.borrow_and_update().closed || applied.changed().await.is_err() {
                    return Err(WaitError::Closed);
                }
            }
        };
        tokio::time::timeout(timeout, wait)
            .await
            .unwrap_or(Err(WaitError::TimedOut))
    }

    /// Adds a publisher. If there is an image already, the publisher is told of it as if everything
    /// in it were new.
    pub fn add_publisher(&self, publisher: Arc<dyn MetadataPublisher>) {
        // The lock keeps the loader from publishing in between.
        let mut publishers = self.inner.publishers.lock();
        let image = self.image();
        if image.offset() >= 0 {
            let delta = MetadataDelta::between(&Arc::new(MetadataImage::default()), &image);
            publisher.on_metadata_update(&delta, &image);
        }
        publishers.push(publisher);
    }

    /// Publishes the next image: makes it visible, runs the publishers, wakes who waits.
    pub(crate) fn publish(&self, delta: &MetadataDelta, image: Arc<MetadataImage>) {
        let publishers = self.inner.publishers.lock();
        self.inner.image.store(Arc::clone(&image));
        for publisher in publishers.iter() {
            publisher.on_metadata_update(delta, &image);
        }
        let offset = image.offset();
        self.inner
            .applied
            .send_modify(|applied| applied.offset = offset);
    }

    /// Says how far the log was read, which is further than the image while a transaction is open.
    pub(crate) fn set_loaded(&self, offset: i64, transaction_start_offset: Option<i64>) {
        self.inner.applied.send_modify(|applied| {
            applied.loaded_offset = offset;
            applied.transaction_start_offset = transaction_start_offset;
        });
    }

    /// Waits until the log was read up to `offset` (inclusive). Says where the transaction begins
    /// that is open there; what it holds is in no image.
    ///
    /// # Errors
    /// If the loader has stopped.
    pub(crate) async fn wait_until_loaded(&self, offset: i64) -> Result<Option<i64>, WaitError> {
        let mut applied = self.inner.applied.subscribe();
        let applied = applied
            .wait_for(|applied| applied.closed || applied.loaded_offset >= offset)
            .await
            .map_err(|_| WaitError::Closed)?;
        if applied.loaded_offset >= offset {
            Ok(applied.transaction_start_offset)
        } else {
            Err(WaitError::Closed)
        }
    }

    /// Fails all waits from now on: no further image will come.
    pub(crate) fn close(&self) {
        // They hold handles like this one, and with it each other.
        let publishers = std::mem::take(&mut *self.inner.publishers.lock());
        drop(publishers);
        self.inner
            .applied
            .send_modify(|applied| applied.closed = true);
    }
}
