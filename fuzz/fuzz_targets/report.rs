//! Any bytes as a report in each format: read or refused, never a panic; and what is read is harmless. The first byte
//! tells the format, the second how the bytes come in. `REPORT_FORMAT=N` stays with the format of that number.
#![no_main]

use std::io::Read;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serin_quality::{Content, Format, Places, Reading, TreePath, fingerprint, read};

/// The format to stay with.
static ONLY: LazyLock<Option<usize>> = LazyLock::new(|| std::env::var("REPORT_FORMAT").ok()?.parse().ok());

/// Gives few bytes at a time, as a pipe may.
struct Drops<'d> {
    rest: &'d [u8],
    most: usize,
}

impl Read for Drops<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.most.min(into.len());
        (&mut self.rest).take(most as u64).read(into)
    }
}

fuzz_target!(|data: &[u8]| {
    let [which, most, report @ ..] = data else { return };
    let format = Format::ALL[ONLY.unwrap_or(usize::from(*which)) % Format::ALL.len()];
    let places = Places::new(["/builds/shop".to_owned()]).with_files(["src/a.rs", "src/b/a.rs"].into_iter());
    let whole = read(format, report, &places);
    let drops = read(format, Drops { rest: report, most: usize::from(*most).max(1) }, &places);
    match (whole, drops) {
        (Ok(whole), Ok(drops)) => {
            assert_eq!(whole, drops);
            harmless(&whole);
            trace(whole);
        }
        // Where in its block a reader stumbled is told as it came in.
        (Err(_), Err(_)) => {}
        (whole, drops) => panic!("{whole:?}\n{drops:?}"),
    }
    let _ = Format::detect(report);
});

fn line(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}')), "{text:?}");
}

fn path(path: &TreePath) {
    assert_eq!(TreePath::parse(path.as_str()).as_ref(), Some(path));
    assert!(path.as_str().split('/').all(|part| !matches!(part, "" | "." | "..")), "{path}");
}

fn harmless(reading: &Reading) {
    match &reading.content {
        Content::Findings(findings) => {
            for finding in findings {
                [&finding.tool, &finding.rule, &finding.message].iter().for_each(|text| line(text));
                if let Some(at) = &finding.location {
                    path(&at.path);
                    assert!(at.end_line >= at.line);
                }
            }
        }
        Content::Tests(tests) => {
            for test in tests {
                line(&test.class);
                line(&test.name);
                if let Some(detail) = &test.detail {
                    line(&detail.message);
                    assert!(!detail.output.contains('\u{1b}'));
                }
            }
        }
        Content::Coverage(coverage) => {
            let ratio = coverage.ratio();
            assert!(ratio.covered <= ratio.total);
            coverage.files().for_each(|(name, _)| path(name));
        }
    }
}

fn trace(reading: Reading) {
    let Content::Findings(findings) = reading.content else { return };
    let count = findings.len();
    let traced = fingerprint::trace(findings, |_| Some("fn a() {\n    b();\n}\n".into()));
    assert_eq!(traced.len(), count);
    let change = serin_quality::compare::findings(&traced, &traced, &Default::default());
    assert!(change.new.is_empty() && change.fixed.is_empty());
}
