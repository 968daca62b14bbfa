//! `parallel`: copies and matrices.

use serin_model::plan::Variable;

use crate::compile::NAME_CHARS_MAX;
use crate::session::Session;
use crate::shape::job::PARALLEL_MAX;
use crate::syntax::{Entry, Map, Node, Value};

/// One copy of a job.
pub(crate) struct Instance {
    /// Its name.
    pub name: String,
    /// Its values of the matrix, in order of the keys.
    pub matrix: Vec<(String, String)>,
    /// Its number from 1, where the job is parallel.
    pub index: Option<usize>,
    /// How many there are.
    pub total: usize,
}

impl Instance {
    /// `CI_NODE_INDEX` and `CI_NODE_TOTAL`, where the job is parallel.
    pub fn variables(&self) -> Vec<Variable> {
        let index = self.index.map(|index| Variable::plain("CI_NODE_INDEX", index.to_string()));
        let total = self.index.map(|_| Variable::plain("CI_NODE_TOTAL", self.total.to_string()));
        index.into_iter().chain(total).collect()
    }
}

/// The copies that a job makes.
pub(crate) fn instances(entry: &Entry, map: &Map, session: &mut Session<'_>) -> Vec<Instance> {
    let name = entry.key.to_string();
    let Some(parallel) = map.get("parallel").filter(|node| !node.is_null()) else {
        return vec![Instance { name, matrix: Vec::new(), index: None, total: 1 }];
    };
    if let Some(total) = parallel.as_int().and_then(|total| usize::try_from(total).ok()) {
        let total = total.min(PARALLEL_MAX);
        let copy =
            |index| Instance { name: format!("{name} {index}/{total}"), matrix: Vec::new(), index: Some(index), total };
        return (1..=total).map(copy).collect();
    }
    let Some(matrix) = parallel.get("matrix") else { return Vec::new() };
    let count = count(matrix);
    if count > PARALLEL_MAX {
        let message = format!("job `{name}`: the matrix makes {count} jobs; at most {PARALLEL_MAX} are allowed");
        session.sink.error(matrix.span, message);
        return Vec::new();
    }
    let rows = rows(matrix);
    let total = rows.len();
    check_names(entry, matrix, &rows, session);
    let copy = |(at, matrix): (usize, Vec<(String, String)>)| Instance {
        name: instance_name(&name, &matrix),
        matrix,
        index: Some(at + 1),
        total,
    };
    rows.into_iter().enumerate().map(copy).collect()
}

/// The values count towards the length of a name.
fn check_names(entry: &Entry, matrix: &Node, rows: &[Vec<(String, String)>], session: &mut Session<'_>) {
    let lengths = rows.iter().map(|row| instance_name(&entry.key, row).chars().count());
    if let Some(length) = lengths.filter(|length| *length > NAME_CHARS_MAX).max() {
        let message = format!(
            "job `{}`: with the values of the matrix its name has {length} characters; at most {NAME_CHARS_MAX} are allowed",
            entry.key
        );
        session.sink.error(matrix.span, message).hint("shorten the values, or set them by a shorter key in the script");
    }
}

/// `job: [a, b]`.
fn instance_name(job: &str, matrix: &[(String, String)]) -> String {
    let values: Vec<&str> = matrix.iter().map(|(_, value)| value.as_str()).collect();
    format!("{job}: [{}]", values.join(", "))
}

/// The names that the matrices of a selector make, `None` where they are too many.
pub(crate) fn matrix_names(job: &str, matrix: &Node) -> Option<Vec<String>> {
    (count(matrix) <= PARALLEL_MAX).then(|| rows(matrix).iter().map(|row| instance_name(job, row)).collect())
}

fn flat(matrix: &Node) -> Vec<&Map> {
    match &matrix.value {
        Value::List(items) => items.iter().flat_map(flat).collect(),
        Value::Map(map) => vec![map],
        _ => Vec::new(),
    }
}

fn values(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(values).collect(),
        _ => node.scalar_text().into_iter().collect(),
    }
}

/// How many rows there will be, before any is made.
fn count(matrix: &Node) -> usize {
    let product =
        |map: &Map| map.iter().fold(1_usize, |product, entry| product.saturating_mul(values(&entry.value).len()));
    flat(matrix).into_iter().map(product).fold(0, usize::saturating_add)
}

/// The product of each mapping, its first key slowest.
fn rows(matrix: &Node) -> Vec<Vec<(String, String)>> {
    let mut all = Vec::new();
    for map in flat(matrix) {
        let mut rows: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for entry in map.iter() {
            let values = values(&entry.value);
            let extended = rows.iter().flat_map(|row| {
                values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.push((entry.key.to_string(), value.clone()));
                    row
                })
            });
            rows = extended.collect();
        }
        all.extend(rows.into_iter().filter(|row| !row.is_empty()));
    }
    all
}
