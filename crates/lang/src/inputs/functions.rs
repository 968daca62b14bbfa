//! Functions of interpolation blocks.

use std::sync::Arc;

use crate::expand::{Unknown, expand};
use crate::suggest;
use crate::syntax::{Node, Value};
use crate::variables::Scope;

/// Functions in one block.
pub(crate) const FUNCTIONS_MAX: usize = 3;
const NAMES: [&str; 5] = ["expand_vars", "truncate", "posix_escape", "posix_quote", "split"];

/// Applies one function to a value.
pub(crate) fn apply(function: &str, value: &Node, scope: &Scope<'_>) -> Result<Node, String> {
    let (name, arguments) = match function.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end().strip_suffix(')').ok_or("a `)` is missing")?),
        None => (function.trim(), ""),
    };
    let text = || {
        value.as_text().map(str::to_owned).ok_or_else(|| format!("`{name}` works on texts, not on {}", value.kind()))
    };
    let result = match name {
        "expand_vars" => expand_variables(&text()?, scope)?,
        "truncate" => truncate(&text()?, arguments)?,
        "posix_escape" => posix_escape(&text()?),
        "posix_quote" => posix_quote(&text()?),
        "split" => return Ok(split(&text()?, arguments, value)),
        _ => return Err(format!("no function is named `{name}`: {}", suggest::hint(name, NAMES))),
    };
    Ok(Node::text(result, value.span))
}

fn expand_variables(text: &str, scope: &Scope<'_>) -> Result<String, String> {
    for name in crate::expand::names(text) {
        if scope.variable(name).is_some_and(|variable| variable.masked) {
            return Err(format!("the masked variable `{name}` cannot be expanded here"));
        }
    }
    Ok(expand(text, &|name| scope.get(name), Unknown::Keep))
}

fn truncate(text: &str, arguments: &str) -> Result<String, String> {
    let numbers: Option<Vec<usize>> = arguments.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([offset, length]) => Ok(text.chars().skip(*offset).take(*length).collect()),
        _ => Err("`truncate` needs two numbers: `truncate(offset,length)`".to_owned()),
    }
}

/// As Ruby's `Shellwords.escape`.
fn posix_escape(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push_str("'\n'"),
            c if c.is_ascii_alphanumeric() || "_-.,:+/@".contains(c) => out.push(c),
            c => out.extend(['\\', c]),
        }
    }
    out
}

/// One word for a POSIX shell.
pub(crate) fn posix_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn split(text: &str, arguments: &str, value: &Node) -> Node {
    let separator = arguments.trim().trim_matches(['\'', '"']);
    let parts: Vec<&str> =
        if separator.is_empty() { text.split_whitespace().collect() } else { text.split(separator).collect() };
    let items = parts.into_iter().map(|part| Node::text(part, value.span)).collect();
    Node { value: Value::List(Arc::new(items)), span: value.span }
}

#[cfg(test)]
mod tests {
    use super::{apply, posix_escape};
    use crate::syntax::{Node, Span};

    #[test]
    fn functions() {
        let node = Node::text("0123456789", Span::default());
        let known = crate::variables::Known::default();
        assert_eq!(apply("truncate(3,5)", &node, &known.scope()).unwrap().as_text(), Some("34567"));
        assert_eq!(posix_escape("it's a b"), r"it\'s\ a\ b");
        assert!(apply("upcase", &node, &known.scope()).is_err());
        let node = Node::text("a,b", Span::default());
        assert_eq!(apply("split(',')", &node, &known.scope()).unwrap().flat_texts(), ["a", "b"]);
    }
}
