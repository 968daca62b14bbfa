//! Counts words.

/// How many words a text has.
pub fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    #[test]
    fn blanks_do_not_count() {
        assert_eq!(super::words("  one two\nthree "), 3);
        assert_eq!(super::words(" "), 0);
    }
}
