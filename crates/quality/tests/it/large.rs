//! Reports of the largest size that is promised, made while they are read, under a bound on memory.

use std::io::{self, Read};
use std::time::Duration;

use serin_quality::compare::{Renames, findings};
use serin_quality::fingerprint::trace;
use serin_quality::test_case::Counts;
use serin_quality::{Content, Finding, Format, Location, Places, Ratio, TreePath, read};

/// Kilobytes of memory that a reader may hold.
const MEMORY_KB_MAX: u64 = 200 << 10;

/// Bytes that are made piece by piece, as long as `next` gives a piece.
struct Made<F> {
    next: F,
    piece: Vec<u8>,
    at: usize,
}

impl<F: FnMut(&mut Vec<u8>) -> bool> Made<F> {
    fn new(next: F) -> Self {
        Self { next, piece: Vec::new(), at: 0 }
    }
}

impl<F: FnMut(&mut Vec<u8>) -> bool> Read for Made<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.piece.clear();
            self.at = 0;
            if !(self.next)(&mut self.piece) {
                return Ok(0);
            }
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The most memory that this process ever held, in kilobytes.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How long this thread ran on a processor: other programs do not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn junit_of_200_megabytes() {
    const BYTES: usize = 200 << 20;
    let (mut written, mut cases, mut stage) = (0, 0_u32, 0);
    let output = "a line of output that a test printed while it ran\n".repeat(4);
    let input = Made::new(|piece: &mut Vec<u8>| {
        stage += 1;
        match stage {
            1 => piece.extend(b"<testsuites><testsuite name='large'>"),
            _ if written < BYTES => {
                for _ in 0..100 {
                    cases += 1;
                    let class = cases / 1_000;
                    let failure =
                        if cases.is_multiple_of(1_000) { "<failure message='no'>trace</failure>" } else { "" };
                    let case = format!(
                        "<testcase classname='org.example.module{class}.SomeTest' name='does_the_thing_{cases}' time='0.0{class}'>{failure}<system-out>{output}</system-out></testcase>\n"
                    );
                    piece.extend(case.bytes());
                }
            }
            _ if stage != usize::MAX => {
                stage = usize::MAX - 1;
                piece.extend(b"</testsuite></testsuites>");
            }
            _ => return false,
        }
        written += piece.len();
        true
    });
    let Content::Tests(found) = read(Format::Junit, input, &Places::default()).unwrap().content else {
        panic!("no tests");
    };
    let counts = Counts::of(&found);
    assert!(written >= BYTES);
    assert_eq!((counts.total(), counts.failed), (cases, cases / 1_000));
    println!("{} kB held at most, {:?} of processor time", peak_kb(), processor_time());
    assert!(peak_kb() < MEMORY_KB_MAX, "{} kB", peak_kb());
}

#[test]
fn lcov_of_a_gigabyte() {
    const BYTES: usize = 1 << 30;
    const LINES: u32 = 3_000;
    let (mut written, mut files) = (0, 0_u64);
    let mut lines = String::new();
    for line in 1..=LINES {
        lines += &format!("DA:{line},{}\n", line % 3);
    }
    let input = Made::new(|piece: &mut Vec<u8>| {
        if written >= BYTES {
            return false;
        }
        files += 1;
        piece.extend(format!("TN:\nSF:src/module{}/file{files}.c\n", files % 100).bytes());
        piece.extend(lines.bytes());
        piece.extend(b"end_of_record\n");
        written += piece.len();
        true
    });
    let Content::Coverage(found) = read(Format::Lcov, input, &Places::default()).unwrap().content else {
        panic!("no coverage");
    };
    let total = files * u64::from(LINES);
    assert_eq!(found.ratio(), Ratio { covered: total / 3 * 2, total });
    println!("{} kB held at most, {:?} of processor time", peak_kb(), processor_time());
    assert!(peak_kb() < MEMORY_KB_MAX, "{} kB", peak_kb());
}

#[test]
fn a_hundred_thousand_findings_are_compared_in_two_seconds() {
    const FINDINGS: i64 = 100_000;
    let text: String = (0..200).map(|line| format!("let value_{line} = compute({line});\n")).collect();
    let found = |from: i64| {
        let all = (from..from + FINDINGS).map(|number| {
            let mut finding = Finding::new("tool", &format!("rule{}", number % 50), "something is wrong here");
            let path = TreePath::parse(&format!("src/file{}.rs", number / 200)).unwrap();
            finding.location = Some(Location::new(path, (Some(number % 200 + 1), None), None));
            finding
        });
        trace(all.collect(), |_| Some(text.clone()))
    };
    let (base, head) = (found(0), found(1_000));
    let start = processor_time();
    let change = findings(&base, &head, &Renames::new());
    let time = processor_time() - start;
    println!("compared in {time:?} of processor time");
    assert_eq!(change.remaining.len() + change.new.len(), 100_000);
    assert_eq!(change.new.len(), change.fixed.len());
    assert!(time.as_secs_f64() < 2.0, "{time:?}");
}
