//! Any bytes as a stream of samples: answered line by line or refused with its place, never a panic, and never a figure
//! that is no number.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/serin/src/judge.rs"]
mod judge;

fuzz_target!(|data: &[u8]| {
    let mut answers = Vec::new();
    let _ = judge::serve(data, &mut answers, judge::Detail::Explained(serin_judge::Language::English));
    for line in answers.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let answer: Result<serin_wire::judge::AnswerLine, _> = serde_json::from_slice(line);
        assert!(answer.is_ok(), "{answer:?}: {}", String::from_utf8_lossy(line));
    }
});
