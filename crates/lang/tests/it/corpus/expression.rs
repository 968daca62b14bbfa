//! `rules:if` expressions with their values.

use std::path::Path;

use serde_json::{Value as Json, json};
use serin_lang::expression::{Expression, Value};

use super::Tally;

pub fn walk(set: &Path) -> Tally {
    let mut tally = Tally::default();
    let mut files: Vec<_> = std::fs::read_dir(set).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "json")) {
        let given: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for case in given["valid"].as_array().into_iter().flatten() {
            tally.note(&case["expr"].to_string(), valid(case));
        }
        for case in given["invalid"].as_array().into_iter().flatten() {
            let refused = Expression::parse(case["expr"].as_str().unwrap()).is_err();
            tally.note(&case["expr"].to_string(), if refused { Ok(()) } else { Err("should be refused".to_owned()) });
        }
    }
    tally
}

fn valid(case: &Json) -> Result<(), String> {
    let expression = Expression::parse(case["expr"].as_str().unwrap()).map_err(|invalid| invalid.reason)?;
    let lookup = |name: &str| case["vars"].get(name).and_then(Json::as_str);
    let value = match expression.value(&lookup) {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Text(text) => json!(text),
    };
    if case.get("value").is_some_and(|wanted| *wanted != value) {
        return Err(format!("yields {value}, not {}", case["value"]));
    }
    let truthy = expression.holds(&lookup);
    if case["truthy"] == truthy { Ok(()) } else { Err(format!("holds: {truthy}")) }
}
