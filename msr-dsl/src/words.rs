//! Suggestions for misspelt words.

/// The candidate closest to `word`, if one is close enough to be meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                distance(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" or, when nothing is close, "one of: ...".
pub fn suggest(word: &str, candidates: &[&str]) -> String {
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "there is none to name".to_owned(),
        None => format!("one of: {}", candidates.join(", ")),
    }
}

/// Edits (insert, delete, replace, swap neighbours) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// Values for a reader, the smallest first: what follows one another by its ends, with `to` between them.
pub fn runs(values: &[u64], write: impl Fn(u64) -> String, to: &str) -> Vec<String> {
    let runs = values.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    runs.map(|run| match run {
        [first, .., last] => format!("{}{to}{}", write(*first), write(*last)),
        _ => run.iter().map(|value| write(*value)).collect(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_original() {
        assert_eq!(closest("resrt", ["reset", "read", "write"]), Some("reset"));
        assert_eq!(closest("wirte", ["reset", "read", "write"]), Some("write"));
        assert_eq!(closest("mcg_cpa", ["MCG_CAP", "MCG_CTL"]), Some("MCG_CAP"));
    }

    #[test]
    fn a_strange_word_gets_the_whole_list() {
        assert_eq!(closest("banana", ["reset", "read"]), None);
        assert_eq!(suggest("banana", &["reset", "read"]), "one of: reset, read");
    }
}
