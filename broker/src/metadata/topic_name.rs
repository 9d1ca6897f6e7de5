//! Which names a topic may have.
//!
//! Kafka: `common/internals/Topic.java` (4.3).

/// Longest name: with a partition's number it has to fit in a file name.
const LEN_MAX: usize = 249;

/// Topics of the broker itself, which clients see as internal.
pub fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

/// Checks a name.
///
/// # Errors
/// What is wrong with it, in Kafka's words.
pub fn validate(name: &str) -> Result<(), String> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let why = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > LEN_MAX {
        format!("the length of '{name}' is longer than the max allowed length {LEN_MAX}")
    } else if !name.bytes().all(is_legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        )
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {why}"))
}
