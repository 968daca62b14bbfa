//! Any bytes as a file: read, checked, every finding drawn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_lang::{Color, SourceFile};

fuzz_target!(|bytes: &[u8]| {
    let file = SourceFile::new("f.yml", bytes);
    let findings = serin_lang::check_fragment(&file);
    let length = file.text().len();
    for finding in &findings {
        assert!(finding.line > 0 && finding.column > 0, "{finding:?}");
        assert!(finding.span.start <= length + 1, "{finding:?}");
    }
    let _ = serin_lang::render(&findings, &[file], Color::Ansi);
});
