//! Any text as a `rules:if`: read, and given a value, which depends on nothing but the variables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serin_lang::expression::Expression;

fuzz_target!(|text: &str| {
    let variable = |name: &str| match name.len() % 4 {
        0 => None,
        1 => Some("/^m.*n$/i"),
        2 => Some(""),
        _ => Some("main"),
    };
    match Expression::parse(text) {
        Ok(expression) => {
            assert_eq!(expression.value(&variable), expression.value(&variable));
            let _ = expression.holds(&|_| None);
        }
        Err(invalid) => assert!(invalid.at <= text.len(), "{invalid:?}"),
    }
});
