//! JSON Schemas of both files for editors, made from the same shapes that check them.

use std::fmt::Write;

use crate::inputs::quote;
use crate::service;
use crate::shape::{Empty, List, Nested, Object, Shape, Text, job::JOB, root};

/// The JSON Schema of `.gitlab-ci.yml` (draft 2020-12).
#[must_use]
pub fn pipeline() -> String {
    let keys: Vec<String> = root::KEYS.iter().map(|(key, shape)| format!("{}:{}", quote(key), render(shape))).collect();
    format!(
        "{{{},\"title\":\"Pipeline of Serin\",\"type\":\"object\",\"properties\":{{{}}},\"patternProperties\":{{\"^[.]\":{{}}}},\
         \"additionalProperties\":{}}}",
        head(),
        keys.join(","),
        render(&JOB)
    )
}

/// The JSON Schema of `serin.yml` (draft 2020-12).
#[must_use]
pub fn service() -> String {
    let body = render(service::shape());
    format!("{{{},\"title\":\"Service of Serin\",\"allOf\":[{body}]}}", head())
}

fn head() -> &'static str {
    "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\""
}

fn render(shape: &Shape) -> String {
    if shape.any {
        return "{}".to_owned();
    }
    let mut kinds = Vec::new();
    if let Some(text) = shape.text {
        kinds.push(self::text(text));
    }
    if let Some((low, high)) = shape.number.filter(|_| !shape.float) {
        kinds.push(integer(low, high));
    }
    if shape.float {
        kinds.push("{\"type\":\"number\"}".to_owned());
    }
    if shape.boolean {
        kinds.push("{\"type\":\"boolean\"}".to_owned());
    }
    if let Some(list) = &shape.list {
        kinds.push(self::list(list));
    }
    if let Some(object) = &shape.map {
        kinds.push(self::object(object));
    }
    kinds.push("{\"type\":\"null\"}".to_owned());
    format!("{{\"description\":{},\"anyOf\":[{}]}}", quote(shape.what), kinds.join(","))
}

fn text(text: Text) -> String {
    match text {
        Text::Any | Text::Doubtful => "{\"type\":\"string\"}".to_owned(),
        Text::Filled => "{\"type\":\"string\",\"minLength\":1}".to_owned(),
        Text::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
            format!("{{\"enum\":[{}]}}", words.join(","))
        }
    }
}

/// Bounds that a double cannot hold are left out.
fn integer(low: i64, high: i64) -> String {
    const EXACT: i64 = 1 << 53;
    let mut out = String::from("{\"type\":\"integer\"");
    if low > -EXACT {
        let _ = write!(out, ",\"minimum\":{low}");
    }
    if high < EXACT {
        let _ = write!(out, ",\"maximum\":{high}");
    }
    out + "}"
}

fn list(list: &List) -> String {
    let item = render(list.item);
    let items = match list.nested {
        Nested::No => item,
        Nested::Yes => format!("{{\"anyOf\":[{item},{{\"type\":\"array\"}}]}}"),
    };
    let mut out = format!("{{\"type\":\"array\",\"items\":{items}");
    if list.empty != Empty::Fine {
        out.push_str(",\"minItems\":1");
    }
    if list.max != usize::MAX && list.nested == Nested::No {
        let _ = write!(out, ",\"maxItems\":{}", list.max);
    }
    out + "}"
}

fn object(object: &Object) -> String {
    let keys: Vec<String> =
        object.keys.iter().map(|(key, shape)| format!("{}:{}", quote(key), render(shape))).collect();
    let rest = object.rest.map_or_else(|| "false".to_owned(), render);
    let required: Vec<String> = object.required.iter().map(|key| quote(key)).collect();
    format!(
        "{{\"type\":\"object\",\"properties\":{{{}}},\"additionalProperties\":{rest},\"required\":[{}]}}",
        keys.join(","),
        required.join(",")
    )
}
