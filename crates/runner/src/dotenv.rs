//! `artifacts:reports:dotenv`: one `KEY=value` a line, nothing else (GitLab, `ci/yaml/artifacts_reports`).

/// Bytes of all dotenv files of a job.
pub(crate) const DOTENV_BYTES_MAX: u64 = 64 << 10;
/// Variables of all dotenv files of a job.
const DOTENV_VARIABLES_MAX: usize = 1_000;

/// Parses the text of a dotenv file; an error says which line is malformed, and how.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!("line {number} is not `KEY=value`; empty lines and comments are not allowed"));
        };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            return Err(format!("line {number}: a key has letters, digits and `_` only"));
        }
        if variables.len() == DOTENV_VARIABLES_MAX {
            return Err(format!("line {number}: more than {DOTENV_VARIABLES_MAX} variables"));
        }
        variables.push((key.to_owned(), value.trim().to_owned()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_as_they_stand() {
        let expected = [("A", "1"), ("B_2", "x=y"), ("QUOTED", "\"q\""), ("EMPTY", ""), ("A", "2")];
        let parsed = parse("A=1\r\nB_2 = x=y \nQUOTED=\"q\"\nEMPTY=\nA=2").unwrap();
        assert_eq!(parsed, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn malformed_lines_fail() {
        for text in ["A=1\n\nB=2", "# comment", "A", "=x", "A B=1", "export A=1", "A-B=1"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
