//! Dependencies between the workspace's packages against the table in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checkout, Finding};
use crate::metadata::Package;

const DOCUMENT: &str = "ARCHITECTURE.md";
const ALL_ABOVE: &str = "all above";

/// Finds edges that the table does not allow, packages without a row, and rows without a package.
pub fn check(checkout: &Checkout, packages: &[Package]) -> Vec<Finding> {
    let rows = match checkout.text(DOCUMENT).map(table) {
        Some(rows) if !rows.is_empty() => rows,
        _ => return vec![Finding::new(DOCUMENT, 0, "no table of layers (`| layer | crate | … | may use |`)")],
    };
    let allowed = allowed(&rows);
    let members: BTreeSet<&str> = packages.iter().map(|package| short(&package.name)).collect();
    let mut findings = Vec::new();
    for row in rows.iter().filter(|row| !members.contains(row.krate.as_str())) {
        findings.push(Finding::new(
            DOCUMENT,
            row.line,
            format!("`{}` is in the table but not in the workspace", row.krate),
        ));
    }
    for package in packages {
        let manifest = format!("package {}", package.name);
        let Some(may_use) = allowed.get(short(&package.name)) else {
            findings.push(Finding::new(DOCUMENT, 0, format!("{manifest} has no row in the table of layers")));
            continue;
        };
        for name in package.dependencies.iter().map(|dependency| short(&dependency.name)) {
            if members.contains(name) && !may_use.contains(name) {
                let message = format!("may not use `{name}`: the edge is not in {DOCUMENT}'s table of layers");
                findings.push(Finding::new(&manifest, 0, message));
            }
        }
    }
    findings
}

/// Returns the crates of a layer.
pub fn layer(checkout: &Checkout, name: &str) -> BTreeSet<String> {
    let rows = checkout.text(DOCUMENT).map(table).unwrap_or_default();
    rows.into_iter().filter(|row| row.layer == name).map(|row| row.krate).collect()
}

/// Returns a package's name as the table writes it.
pub fn short(package: &str) -> &str {
    package.strip_prefix("serin-").unwrap_or(package)
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    layer: String,
    krate: String,
    may_use: Vec<String>,
}

/// Reads the rows `| layer | crate | sentence | may use |` after the header with these words.
fn table(text: &str) -> Vec<Row> {
    text.lines()
        .enumerate()
        .skip_while(|(_, line)| !is_header(line))
        .skip(2)
        .map_while(|(index, line)| row(index + 1, line))
        .collect()
}

fn is_header(line: &str) -> bool {
    matches!(cells(line).as_slice(), ["layer", "crate", _, "may use"])
}

fn row(line: usize, text: &str) -> Option<Row> {
    let cells = cells(text);
    let [layer, krate, _, may_use] = cells.as_slice() else { return None };
    let may_use = may_use.split(',').map(bare).filter(|word| !word.is_empty()).collect();
    Some(Row { line, layer: bare(layer), krate: bare(krate), may_use })
}

fn cells(line: &str) -> Vec<&str> {
    let line = line.trim();
    let Some(inner) = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else { return Vec::new() };
    inner.split('|').map(str::trim).collect()
}

fn bare(word: &str) -> String {
    word.trim().trim_matches('`').to_owned()
}

/// Returns what each crate may use: what its row names, and whatever that may use in turn.
fn allowed(rows: &[Row]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let mut set = BTreeSet::new();
        for word in &row.may_use {
            if word == ALL_ABOVE {
                set.extend(rows[..index].iter().map(|above| above.krate.as_str()));
                continue;
            }
            let layer = rows.iter().filter(|other| other.layer == *word).map(|other| other.krate.as_str());
            for name in layer.chain([word.as_str()]) {
                set.extend(allowed.get(name).into_iter().flatten().copied());
                set.insert(name);
            }
        }
        allowed.insert(&row.krate, set);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    const TABLE: &str = "\
text
| layer | crate | one sentence | may use |
|---|---|---|---|
| pure | `model` | nouns | |
| pure | `lang` | language | model |
| wire | `wire` | types | model |
| shell | `runner` | jobs | wire |
| top | `server` | it | all above |
| aside | `testkit` | worlds | pure |

| layer | crate | other | may use |
";

    fn findings(edges: &[(&str, &[&str])]) -> Vec<String> {
        let packages: Vec<Package> = edges
            .iter()
            .map(|(name, uses)| Package {
                name: (*name).to_owned(),
                dependencies: uses
                    .iter()
                    .map(|name| Dependency { name: (*name).to_owned(), ..Dependency::default() })
                    .collect(),
                ..Package::default()
            })
            .collect();
        let checkout = Checkout::of(&[(DOCUMENT, TABLE)]);
        check(&checkout, &packages).iter().map(ToString::to_string).collect()
    }

    const GOOD: &[(&str, &[&str])] = &[
        ("serin-model", &[]),
        ("serin-lang", &["serin-model", "regex"]),
        ("serin-wire", &["serin-model", "serde"]),
        ("serin-runner", &["serin-wire", "serin-model"]),
        ("serin-server", &["serin-lang", "serin-runner"]),
        ("serin-testkit", &["serin-lang"]),
    ];

    fn with(replaced: (&'static str, &'static [&'static str])) -> Vec<(&'static str, &'static [&'static str])> {
        GOOD.iter().filter(|(name, _)| *name != replaced.0).copied().chain([replaced]).collect()
    }

    #[test]
    fn edges_of_the_table_hold() {
        assert_eq!(findings(GOOD), [""; 0]);
    }

    #[test]
    fn an_edge_upwards_is_found() {
        let told = findings(&with(("serin-lang", &["serin-server"])));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("package serin-lang: may not use `server`"), "{told:?}");
    }

    #[test]
    fn an_edge_within_a_layer_needs_its_word() {
        assert_eq!(findings(&with(("serin-runner", &["serin-lang"]))).len(), 1);
    }

    #[test]
    fn packages_and_rows_match() {
        assert!(findings(&with(("serin-new", &[])))[0].contains("package serin-new has no row"));
        let fewer: Vec<_> = GOOD[..5].to_vec();
        assert_eq!(findings(&fewer), ["ARCHITECTURE.md:9: `testkit` is in the table but not in the workspace"]);
    }

    #[test]
    fn a_missing_table_is_found() {
        assert_eq!(check(&Checkout::default(), &[]).len(), 1);
    }

    #[test]
    fn layers_are_listed() {
        let pure = layer(&Checkout::of(&[(DOCUMENT, TABLE)]), "pure");
        assert_eq!(pure.into_iter().collect::<Vec<_>>(), ["lang", "model"]);
    }
}
