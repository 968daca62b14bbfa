//! `did you mean …`.

/// The candidate nearest to a misspelt word, where one is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let folded = fold(word);
    let limit = (folded.chars().count() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = distance(&folded, &fold(candidate), limit);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `did you mean `x`?`, or the list of what may stand there.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(found) = nearest(word, candidates.clone()) {
        return format!("did you mean `{found}`?");
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    let shown: Vec<String> = all.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    let more = if all.len() > LISTED_MAX { ", …" } else { "" };
    if shown.is_empty() { "nothing may stand here".to_owned() } else { format!("known are {}{more}", shown.join(", ")) }
}

/// Candidates that a hint lists.
const LISTED_MAX: usize = 24;
/// Bytes of a word that is compared.
const WORD_BYTES_MAX: usize = 64;

fn fold(word: &str) -> String {
    word.to_lowercase().replace(['-', ' '], "_")
}

/// Optimal string alignment distance (edits and swaps of neighbours), cut off above `limit`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut older = vec![0; b.len() + 1];
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut new = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            new[j] = (old[j] + 1).min(new[j - 1] + 1).min(old[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                new[j] = new[j].min(older[j - 2] + 1);
            }
        }
        older = std::mem::replace(&mut old, new);
    }
    old[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{hint, nearest};

    #[test]
    fn finds_what_was_meant() {
        let keys = ["script", "before_script", "stage", "stages", "needs", "artifacts"];
        assert_eq!(nearest("scirpt", keys), Some("script"));
        assert_eq!(nearest("before-script", keys), Some("before_script"));
        assert_eq!(nearest("artefacts", keys), Some("artifacts"));
        assert_eq!(nearest("need", keys), Some("needs"));
        assert_eq!(nearest("banana", keys), None);
    }

    #[test]
    fn lists_what_is_known() {
        assert_eq!(hint("x", ["alpha", "beta"]), "known are `alpha`, `beta`");
    }
}
