//! What the broker and the manager both need.
