//! Which cluster is meant, so that no change goes to another one: an address may lead elsewhere
//! than it did when it was written down.

use std::sync::OnceLock;

/// The id of the cluster that is meant: one that was saved, or the first that was seen.
#[derive(Debug, Default)]
pub struct ClusterGuard {
    saved: Option<String>,
    seen: OnceLock<String>,
}

impl ClusterGuard {
    /// `saved`: the id from earlier times, where there is one.
    pub fn new(saved: Option<String>) -> ClusterGuard {
        ClusterGuard {
            saved,
            seen: OnceLock::new(),
        }
    }

    /// Tells which cluster a session began with; only the first counts.
    pub fn see(&self, id: &str) {
        let _ = self.seen.set(id.to_owned());
    }

    pub fn expected(&self) -> Option<&str> {
        self.saved.as_deref().or(self.seen.get().map(|id| &**id))
    }

    pub fn is_saved(&self) -> bool {
        self.saved.is_some()
    }

    /// `Err` is the id that is meant where this is another one. Where none is meant yet, it is this
    /// one from now on.
    pub(super) fn check(&self, found: Option<&str>) -> Result<(), String> {
        if let (None, Some(found)) = (self.expected(), found) {
            self.see(found);
        }
        match self.expected() {
            Some(expected) if found != Some(expected) => Err(expected.to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_id_counts_and_else_the_first_one_seen() {
        let saved = ClusterGuard::new(Some("a".to_owned()));
        saved.see("b");
        assert_eq!(saved.check(Some("a")), Ok(()));
        assert_eq!(saved.check(Some("b")), Err("a".to_owned()));
        assert_eq!(saved.check(None), Err("a".to_owned()));
        let seen = ClusterGuard::default();
        assert_eq!(seen.check(None), Ok(()), "brokers too old to tell");
        assert_eq!(seen.check(Some("b")), Ok(()));
        seen.see("c");
        assert_eq!(seen.check(Some("c")), Err("b".to_owned()));
    }
}
