//! Variable expansion: by the server, recursively and in order of dependency, and once more by the runner.

use std::collections::BTreeMap;
use std::fmt;

use serin_model::plan::Variable;

/// Bytes of one expanded value; what would be longer stays as it is.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// What becomes of a variable that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Its text stays.
    Keep,
    /// It becomes the empty text.
    Empty,
}

/// Expands `$NAME`, `${NAME}` and `%NAME%` once; `$$` and `%%` stay.
pub fn expand<'a>(text: &str, lookup: &dyn Fn(&str) -> Option<&'a str>, unknown: Unknown) -> String {
    let mut out = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Escape(text) => out.push_str(text),
            Part::Variable { name, whole } => match lookup(name) {
                Some(value) => out.push_str(value),
                None if unknown == Unknown::Keep => out.push_str(whole),
                None => {}
            },
        }
        if out.len() > VALUE_BYTES_MAX {
            return text.to_owned();
        }
    }
    out
}

/// The runner's expansion: unknown variables become empty, `$$` becomes `$`.
#[must_use]
pub fn expand_in_runner<'a>(text: &str, lookup: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Escape("$$") => out.push('$'),
            Part::Text(text) | Part::Escape(text) => out.push_str(text),
            Part::Variable { whole, .. } if whole.starts_with('%') => out.push_str(whole),
            Part::Variable { name, .. } => out.push_str(lookup(name).unwrap_or_default()),
        }
        if out.len() > VALUE_BYTES_MAX {
            return text.to_owned();
        }
    }
    out
}

/// The variables that a text names.
#[must_use]
pub fn names(text: &str) -> Vec<&str> {
    parts(text).filter_map(|part| if let Part::Variable { name, .. } = part { Some(name) } else { None }).collect()
}

/// Variables that refer to each other in a circle, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<String>);

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        write!(f, "variables refer to each other in a circle: {}", chain.join(" → "))
    }
}

impl std::error::Error for Circle {}

/// Expands the values of variables by each other, whatever their order; later ones of the same key win, raw ones stay,
/// and the names of unknown ones, and of raw ones that hold `$`, stay for the runner.
///
/// # Errors
/// Where variables refer to each other in a circle.
pub fn expand_all(variables: &[Variable]) -> Result<Vec<Variable>, Circle> {
    let layered: BTreeMap<&str, &Variable> = variables.iter().map(|variable| (&*variable.key, variable)).collect();
    let mut done: BTreeMap<&str, String> = BTreeMap::new();
    let mut result = Vec::with_capacity(layered.len());
    for variable in variables {
        if !std::ptr::eq(layered[variable.key.as_str()], variable) {
            continue;
        }
        if variable.raw || !variable.value.contains(['$', '%']) {
            result.push(variable.clone());
            continue;
        }
        settle(&variable.key, &layered, &mut done)?;
        let value = done.get(variable.key.as_str()).cloned().unwrap_or_default();
        result.push(Variable { value, ..variable.clone() });
    }
    Ok(result)
}

/// The value of a variable that others may take up now. A raw one that holds `$` is left to the runner, which does not
/// look for names in what it puts in.
fn settled<'d>(name: &str, all: &BTreeMap<&str, &Variable>, done: &'d BTreeMap<&str, String>) -> Option<&'d str> {
    let is_raw = all.get(name).is_some_and(|variable| variable.raw);
    done.get(name).filter(|value| !(is_raw && value.contains('$'))).map(String::as_str)
}

/// Depth first with a stack of its own: a chain of 10,000 variables must not use up the thread's.
fn settle<'a>(
    key: &'a str,
    all: &BTreeMap<&'a str, &'a Variable>,
    done: &mut BTreeMap<&'a str, String>,
) -> Result<(), Circle> {
    let mut path: Vec<&str> = vec![key];
    let mut on_path = std::collections::BTreeSet::from([key]);
    while let Some(key) = path.last().copied() {
        let variable = all[key];
        let open = if variable.raw || done.contains_key(key) {
            None
        } else {
            names(&variable.value).into_iter().find_map(|name| {
                all.get_key_value(name).filter(|(name, _)| **name != key && !done.contains_key(**name))
            })
        };
        let Some((next, _)) = open else {
            let value = match done.remove(key) {
                Some(value) => value,
                None if variable.raw => variable.value.clone(),
                None => expand(&variable.value, &|name| settled(name, all, done), Unknown::Keep),
            };
            done.insert(key, value);
            on_path.remove(key);
            path.pop();
            continue;
        };
        if !on_path.insert(next) {
            let from = path.iter().position(|key| key == next).unwrap_or(0);
            return Err(Circle(path[from..].iter().map(|key| (*key).to_owned()).collect()));
        }
        path.push(next);
    }
    Ok(())
}

enum Part<'a> {
    Text(&'a str),
    Escape(&'a str),
    Variable { name: &'a str, whole: &'a str },
}

fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, bytes) = part(rest);
        rest = &rest[bytes..];
        Some(part)
    })
}

fn part(rest: &str) -> (Part<'_>, usize) {
    let start = rest.find(['$', '%']).unwrap_or(rest.len());
    if start > 0 {
        return (Part::Text(&rest[..start]), start);
    }
    if rest.starts_with("$$") || rest.starts_with("%%") {
        return (Part::Escape(&rest[..2]), 2);
    }
    let (open, close) = if rest.starts_with("${") {
        (2, "}")
    } else if rest.starts_with('$') {
        (1, "")
    } else {
        (1, "%")
    };
    let name = name(&rest[open..]);
    let end = open + name.len();
    if name.is_empty() || !rest[end..].starts_with(close) {
        return (Part::Text(&rest[..1]), 1);
    }
    let whole = &rest[..end + close.len()];
    (Part::Variable { name, whole }, whole.len())
}

fn name(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{Circle, Unknown, expand, expand_all, expand_in_runner};
    use serin_model::plan::Variable;

    fn lookup(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("1"),
            "B" => Some("2"),
            _ => None,
        }
    }

    #[test]
    fn once_on_the_server() {
        assert_eq!(expand("$A-${B}-%A%-$$A-$C-${C}", &lookup, Unknown::Keep), "1-2-1-$$A-$C-${C}");
        assert_eq!(expand("$A$C.", &lookup, Unknown::Empty), "1.");
        assert_eq!(expand("100% ${A $", &lookup, Unknown::Empty), "100% ${A $");
    }

    #[test]
    fn once_more_in_the_runner() {
        assert_eq!(expand_in_runner("$A $$A $C ${B} %A%", &lookup), "1 $A  2 %A%");
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<Variable> {
        pairs.iter().map(|(key, value)| Variable::plain(*key, *value)).collect()
    }

    #[test]
    fn values_expand_in_order_of_dependency() {
        let done = expand_all(&given(&[("A", "$B!"), ("B", "${C}"), ("C", "x"), ("C", "y"), ("D", "$NOPE")])).unwrap();
        let shown: Vec<_> = done.iter().map(|v| format!("{}={}", v.key, v.value)).collect();
        assert_eq!(shown, ["A=y!", "B=y", "C=y", "D=$NOPE"]);
    }

    #[test]
    fn raw_values_are_left_to_the_runner() {
        let raw = |key: &str, value: &str| Variable { raw: true, ..Variable::plain(key, value) };
        let raws = vec![raw("R", "a$B"), raw("S", "s")];
        let done = expand_all(&[given(&[("B", "b"), ("C", "$R-$B-$S"), ("D", "$C")]), raws].concat()).unwrap();
        let shown: Vec<_> = done.iter().map(|v| v.value.as_str()).collect();
        assert_eq!(shown, ["b", "$R-b-s", "$R-b-s", "a$B", "s"]);
    }

    #[test]
    fn circles_are_found() {
        let circle = expand_all(&given(&[("A", "$B"), ("B", "$C"), ("C", "$B")])).unwrap_err();
        assert_eq!(circle, Circle(vec!["B".to_owned(), "C".to_owned()]));
    }

    #[test]
    fn a_variable_may_hold_its_own_name() {
        assert_eq!(expand_all(&given(&[("PATH", "$PATH:/x")])).unwrap()[0].value, "$PATH:/x");
    }

    #[test]
    fn bombs_stay_small() {
        let mut variables = vec![Variable::plain("V0", "x".repeat(100))];
        for at in 1..40 {
            variables.push(Variable::plain(format!("V{at}"), format!("$V{0}$V{0}", at - 1)));
        }
        let done = expand_all(&variables).unwrap();
        assert!(done.iter().all(|variable| variable.value.len() <= super::VALUE_BYTES_MAX));
        let chain: Vec<Variable> =
            (0..10_000).map(|at| Variable::plain(format!("C{at}"), format!("$C{}", at + 1))).collect();
        assert_eq!(expand_all(&chain).unwrap().len(), 10_000);
    }
}
