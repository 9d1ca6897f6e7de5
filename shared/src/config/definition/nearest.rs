//! The known name that a mistyped one most likely means.

/// Names longer than this are not compared: no key is, and the cost is their product.
const LEN_MAX: usize = 128;

/// The candidate with the smallest edit distance (insert, delete, replace, swap neighbours) to
/// `name`, of equals the first; `None` if more than a third of the characters differ. Case and
/// the kind of separator (`.`, `_`, `-`) do not count.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = normalize(name);
    if name.is_empty() || name.len() > LEN_MAX {
        return None;
    }
    let limit = (name.len() / 3).max(1);
    let distances = candidates.into_iter().filter_map(|candidate| {
        let normalized = normalize(candidate);
        if normalized.len() > LEN_MAX || normalized.len().abs_diff(name.len()) > limit {
            return None;
        }
        Some((distance(&name, &normalized), candidate))
    });
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= limit).then_some(candidate)
}

fn normalize(name: &str) -> Vec<char> {
    let fold = |c: char| {
        if matches!(c, '_' | '-') {
            '.'
        } else {
            c.to_ascii_lowercase()
        }
    };
    name.chars().map(fold).collect()
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
