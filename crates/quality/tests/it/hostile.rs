//! Reports that want to do harm, or are broken.

use std::io::Read;

use proptest::prelude::*;
use serin_quality::gate::Language;
use serin_quality::{Content, Format, Note, Places, Reading, read};

fn error(format: Format, text: &str) -> String {
    match read(format, text.as_bytes(), &Places::default()) {
        Err(error) => error.to_string(),
        Ok(reading) => panic!("{text}: {reading:?}"),
    }
}

#[test]
fn broken_reports_name_the_place_and_what_is_right() {
    for (format, text, says) in [
        (Format::Sarif, "{\"version\":\"2.1.0\",\n\"runs\":[", "SARIF, line 2, column 9: no valid JSON"),
        (Format::Sarif, "{}", "it has no `runs`; a SARIF 2.1.0 log is an object"),
        (Format::Sarif, "{\"version\":\"1.0.0\"}", "its `version` is not 2.1.0"),
        (Format::Sarif, "[]", "line 1, column 1: object is expected here, not array"),
        (Format::Sarif, "{\"runs\":[{\"results\":{}}]}", "array is expected here, not object"),
        (Format::CodeClimate, "[{}]", "an issue without `description`"),
        (Format::CodeClimate, "[1]", "an issue without `description`"),
        (Format::CodeClimate, "", "no valid JSON"),
        (Format::CodeClimate, "[{\"a\":1e999999}]", "a number beyond every measure"),
        (Format::GitlabSecurity, "{\"version\":\"15\"}", "it has no `vulnerabilities`"),
        (Format::CargoMessages, "", "no valid JSON"),
        (Format::Junit, "", "JUnit, line 1: it holds no element"),
        (Format::Junit, "<testsuites>\n<testsuite>\n", "line 3: it ends in the middle"),
        (Format::Junit, "<html/>", "it begins with `<html>`; `<testsuites>` or `<testsuite>`"),
        (Format::Junit, "<testsuite><testcase></testsuite>", "line 1"),
        (
            Format::Jacoco,
            "<report><package name='p'><sourcefile name='a'><line nr='1'/></sourcefile></package></report>",
            "without a line and a count",
        ),
        (Format::Lcov, "SF:a\nDA:x,1\n", "LCOV, line 2: `DA:` without a line"),
        (Format::Lcov, "DA:1,1\n", "before any `SF:`"),
        (Format::Lcov, "SF:a\nDA:1,1\n", "in the middle of a file's record"),
        (Format::Lcov, "SF:a\nSF:b\n", "before the `end_of_record`"),
        (Format::Lcov, "", "it holds no record"),
        (Format::Lcov, "hello\n", "no record of a trace file; records `SF:path`"),
    ] {
        let told = error(format, text);
        assert!(told.contains(says), "{text}\n  said: {told}\n  not: {says}");
    }
}

#[test]
fn entities_are_never_expanded() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">
      <!ENTITY xxe SYSTEM "file:///etc/passwd">]>"#;
    for body in ["<testsuite name='&lol2;'/>", "<testsuite><testcase><failure>&xxe;</failure></testcase></testsuite>"] {
        let told = error(Format::Junit, &format!("{bomb}{body}"));
        assert!(told.contains("lol2") || told.contains("`&xxe;` is not one of XML's five"), "{told}");
        assert!(!told.contains("root:"));
    }
}

#[test]
fn depth_is_bounded() {
    let deep = "[".repeat(100_000);
    assert!(error(Format::CodeClimate, &deep).contains("nested deeper than 64 levels"));
    let deep = format!("{{\"runs\":[{{\"results\":[{}", "{\"a\":".repeat(100_000));
    assert!(error(Format::Sarif, &deep).contains("nested deeper than 64 levels"));
    for format in [Format::Junit, Format::Checkstyle, Format::Cobertura] {
        let root = match format {
            Format::Junit => "testsuite",
            Format::Checkstyle => "checkstyle",
            _ => "coverage",
        };
        assert!(error(format, &format!("<{root}>{}", "<a>".repeat(100_000))).contains("nested deeper"), "{root}");
    }
}

/// An endless text in one element, as it would be after a test that prints without end.
#[test]
fn one_endless_text_is_refused() {
    let head: &[u8] = b"<testsuite><testcase name='a'><system-out><![CDATA[";
    let told = read(Format::Junit, head.chain(std::io::repeat(b'x')), &Places::default()).unwrap_err().to_string();
    assert!(told.contains("bytes in one piece of text"), "{told}");
    let told = read(Format::Lcov, b"SF:".chain(std::io::repeat(b'x')), &Places::default()).unwrap_err().to_string();
    assert!(told.contains("a line of more than"), "{told}");
}

const EVIL: &str = "<script>alert(1)</script>\\u001b[31m\\u001b]0;x\\u0007\\u202e\\u0000[x](javascript:alert(1))";

#[test]
fn texts_are_plain_and_places_inside() {
    let text = format!(
        r#"[{{"check_name":"{EVIL}","description":"{EVIL}","engine_name":"{EVIL}","fingerprint":"{EVIL}","severity":"{EVIL}",
        "location":{{"path":"../../etc/passwd","lines":{{"begin":-1,"end":1e90}}}}}},
        {{"check_name":"b","description":"c","location":{{"path":"a/..\u0000/b","lines":{{"begin":99999999999999999999,"end":-7}}}}}},
        {{"check_name":"b","description":"c","location":{{"path":"ok.c","lines":{{"begin":-5,"end":4294967297}}}}}}]"#
    );
    let Reading { content: Content::Findings(found), notes } =
        read(Format::CodeClimate, text.as_bytes(), &Places::default()).unwrap()
    else {
        panic!("no findings");
    };
    assert_eq!(found.len(), 3);
    assert_eq!(notes, [Note::FindingsOutside(2)]);
    let told = notes[0].sentence(Language::English);
    assert_eq!(told, "2 findings name places outside the tree; those places are left out");
    assert!(found[0].location.is_none() && found[1].location.is_none());
    let at = found[2].location.as_ref().unwrap();
    assert_eq!((at.path.as_str(), at.line, at.end_line), ("ok.c", 0, 0));
    let first = &found[0];
    for text in [&first.message, &first.rule, &first.tool, first.given.as_ref().unwrap()] {
        assert_eq!(text, "<script>alert(1)</script>[x](javascript:alert(1))");
    }
}

#[test]
fn hostile_tests_are_plain() {
    let text = "<testsuite name='&#27;[2J'><testcase name='a&#10;b&#27;[31m' classname='&lt;b&gt;' time='-1e999' file='../../x' line='-3'>\
                <failure message='&#27;]52;c;x&#7;boo'><![CDATA[\u{1b}[1mbold\u{1b}[0m]]>&#27;[2J&lt;script&gt;</failure></testcase></testsuite>";
    let Content::Tests(found) = read(Format::Junit, text.as_bytes(), &Places::default()).unwrap().content else {
        panic!("no tests");
    };
    let detail = found[0].detail.as_ref().unwrap();
    assert_eq!((&*found[0].class, &*found[0].name, found[0].duration_ms), ("<b>", "a b", 0));
    assert_eq!((detail.message.as_str(), detail.output.as_str()), ("boo", "bold<script>"));
    assert_eq!(detail.location, None);
}

const SEEDS: &[&str] = &[
    "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"t\",\"rules\":[{\"id\":\"r\"}]}},\"results\":[{\"ruleIndex\":0,\"message\":{\"text\":\"m\"},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"a\"},\"region\":{\"startLine\":1}}}]}]}]}",
    "[{\"check_name\":\"c\",\"description\":\"d\",\"location\":{\"path\":\"p\",\"lines\":{\"begin\":1}}}]",
    "{\"version\":\"15\",\"vulnerabilities\":[{\"severity\":\"High\",\"location\":{\"file\":\"f\",\"start_line\":2}}]}",
    "{\"reason\":\"compiler-message\",\"message\":{\"level\":\"warning\",\"code\":{\"code\":\"clippy::x\"},\"message\":\"m\",\"spans\":[{\"file_name\":\"a\",\"line_start\":1,\"is_primary\":true}]}}",
    "<checkstyle><file name='a'><error line='1' source='a.b'/></file></checkstyle>",
    "<testsuites><testsuite name='s'><testcase name='n' time='1'><failure message='m'>&amp;<![CDATA[x]]></failure></testcase></testsuite></testsuites>",
    "<coverage line-rate='1'><sources><source>/s</source></sources><class filename='a'><line number='1' hits='1'/></class></coverage>",
    "<report><package name='p'><sourcefile name='a'><line nr='1' ci='1'/></sourcefile></package></report>",
    "SF:a\nDA:1,1\nend_of_record\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a report, a reader gives an answer, and every place of it lies inside the tree.
    #[test]
    fn damaged_reports_give_an_answer(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..8),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 if !bytes.is_empty() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at + 1),
            }
        }
        for format in Format::ALL {
            match read(format, bytes.as_slice(), &Places::default()) {
                Ok(Reading { content: Content::Findings(found), .. }) => for finding in found {
                    prop_assert!(!finding.message.chars().any(char::is_control));
                    let path = finding.location.map(|at| at.path.to_string()).unwrap_or_default();
                    prop_assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."));
                },
                Ok(_) => {}
                Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control), "{error}"),
            }
        }
    }
}

/// Gives one byte at a time.
struct Drops<'d>(&'d [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(1);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_report_however_it_comes_in() {
    let text = "\u{feff}SF:src/a.rs\nDA:1,1\nend_of_record\n";
    let whole = read(Format::Lcov, text.as_bytes(), &Places::default()).unwrap();
    assert_eq!(read(Format::Lcov, Drops(text.as_bytes()), &Places::default()).unwrap(), whole);
}
