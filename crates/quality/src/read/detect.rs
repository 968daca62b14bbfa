//! Tells a report's format by its first bytes.

use super::Format;

/// Bytes looked at.
const HEAD_BYTES: usize = 64 << 10;

pub(super) fn detect(head: &[u8]) -> Option<Format> {
    let text = super::encoding::head_text(&head[..head.len().min(HEAD_BYTES)]);
    let text = text.trim_start();
    match text.chars().next()? {
        '<' => xml(text),
        '{' | '[' => json(text),
        _ => {
            let trace = |line: &str| line.starts_with("TN:") || line.starts_with("SF:");
            let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
            first.is_some_and(trace).then_some(Format::Lcov)
        }
    }
}

fn xml(text: &str) -> Option<Format> {
    let (name, rest) = root(text)?;
    let tag = &rest[..rest.find('>').unwrap_or(rest.len())];
    match name {
        "testsuites" | "testsuite" => Some(Format::Junit),
        "checkstyle" => Some(Format::Checkstyle),
        "report" => Some(Format::Jacoco),
        "coverage" if tag.contains("clover=") || tag.contains("generated=") && !tag.contains("line-rate=") => {
            Some(Format::Clover)
        }
        "coverage" => Some(Format::Cobertura),
        _ => None,
    }
}

/// The first element's name, and what follows it.
fn root(mut text: &str) -> Option<(&str, &str)> {
    loop {
        text = &text[text.find('<')? + 1..];
        match text.as_bytes().first()? {
            b'!' if text.starts_with("!--") => text = &text[text.find("-->")?..],
            b'?' | b'!' => text = &text[text.find('>')?..],
            _ => {
                let end = text.find(|c: char| c.is_whitespace() || c == '>' || c == '/')?;
                let (name, rest) = text.split_at(end);
                return Some((name.rsplit(':').next().unwrap_or(name), rest));
            }
        }
    }
}

fn json(text: &str) -> Option<Format> {
    let has = |key: &str| text.contains(key);
    let is_object = text.starts_with('{');
    let is_empty_list = || text[1..].trim_start().starts_with(']');
    match () {
        () if is_object && (has("\"runs\"") || has("sarif-schema") || has("sarif-2.")) => Some(Format::Sarif),
        () if is_object && (has("\"vulnerabilities\"") || has("security-report-schemas")) => {
            Some(Format::GitlabSecurity)
        }
        () if is_object && has("\"reason\":\"") => Some(Format::CargoMessages),
        () if has("\"check_name\"") || !is_object && is_empty_list() => Some(Format::CodeClimate),
        // Some tools leave the name of their rule out.
        () if has("\"description\"") && has("\"location\"") => Some(Format::CodeClimate),
        () if is_object && has("\"scan\"") && has("\"scanner\"") => Some(Format::GitlabSecurity),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_beginning() {
        for (head, format) in [
            ("<?xml version='1.0'?>\n<!-- <coverage> -->\n<testsuites name=\"x\">", Some(Format::Junit)),
            ("<testsuite>", Some(Format::Junit)),
            ("<?xml version='1.0'?><!DOCTYPE report PUBLIC \"-//JACOCO\"><report name='x'>", Some(Format::Jacoco)),
            ("<coverage line-rate=\"1\" version=\"1\">", Some(Format::Cobertura)),
            ("<coverage generated=\"1\" clover=\"3.2.0\">", Some(Format::Clover)),
            ("<checkstyle version='5.0'>", Some(Format::Checkstyle)),
            ("\u{feff}{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\"", Some(Format::Sarif)),
            ("{\"version\":\"15.0.0\",\"vulnerabilities\":[", Some(Format::GitlabSecurity)),
            ("{\"reason\":\"compiler-artifact\"", Some(Format::CargoMessages)),
            ("[{\"description\":\"x\",\"check_name\":\"y\"", Some(Format::CodeClimate)),
            ("[ ]", Some(Format::CodeClimate)),
            ("[{\"description\":\"\\\"runs\\\"\",\"fingerprint\":\"y\",\"location\":{", Some(Format::CodeClimate)),
            ("{\"scan\":{\"analyzer\":{},\"scanner\":{\"id\":\"x\"", Some(Format::GitlabSecurity)),
            ("[{\"runs\":1}]", None),
            ("# made by a tool\n\nTN:\nSF:a.c\n", Some(Format::Lcov)),
            ("TN:\nSF:a.c\nDA:1,1\n", Some(Format::Lcov)),
            ("<html>", None),
            ("<", None),
            ("<!--", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(Format::detect(head.as_bytes()), format, "{head}");
        }
    }
}
