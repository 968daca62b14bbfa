//! Line coverage in XML: Cobertura, JaCoCo (JACOCO//DTD Report 1.1), Clover.

use std::io::Read;

use super::input::Input;
use super::xml::{Element, Token, Xml};
use super::{Content, Format, ReadError, Reading, full, outside_note};
use crate::coverage::{Coverage, FileCoverage};
use crate::place::{Places, TreePath};

/// Bytes of `<source>`, a folder.
const SOURCE_BYTES_MAX: usize = 4_096;
/// Folders in which sources may lie.
const SOURCES_MAX: usize = 64;

/// A walk through one report.
struct Walk<'a> {
    format: Format,
    places: &'a Places,
    coverage: Coverage,
    /// Cobertura: folders to which file names are relative.
    sources: Vec<String>,
    /// JaCoCo: the package, `org/example`.
    package: String,
    /// The file whose lines come; outside the tree its path is `None`.
    file: Option<(Option<TreePath>, FileCoverage)>,
    in_source: bool,
    outside: usize,
}

pub(super) fn read(format: Format, input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut xml = Xml::new(format, input, SOURCE_BYTES_MAX);
    let mut walk = Walk {
        format,
        places,
        coverage: Coverage::default(),
        sources: Vec::new(),
        package: String::new(),
        file: None,
        in_source: false,
        outside: 0,
    };
    let root = if format == Format::Jacoco { "report" } else { "coverage" };
    let mut is_root = true;
    while let Some(token) = xml.next()? {
        match token {
            Token::Open(element) => {
                if std::mem::take(&mut is_root) && element.name != root {
                    return Err(xml.wrong(&format!("it begins with `<{}>`", element.name)));
                }
                if !walk.open(&element) {
                    return Err(xml.wrong(&format!("`<{}>` without a line and a count", element.name)));
                }
            }
            Token::Text(text) if walk.in_source && walk.sources.len() < SOURCES_MAX => {
                walk.sources.push(text.trim().trim_end_matches('/').to_owned());
            }
            Token::Text(_) => {}
            Token::Close(name) => walk.close(&name)?,
        }
    }
    let notes = outside_note(walk.outside, "files lie").into_iter().collect();
    Ok(Reading { content: Content::Coverage(walk.coverage), notes })
}

impl Walk<'_> {
    /// Takes the beginning of an element; `false` where it lacks what it must have.
    fn open(&mut self, element: &Element) -> bool {
        match (self.format, element.name.as_str()) {
            (Format::Cobertura, "source") => self.in_source = true,
            (Format::Cobertura, "class") => self.begin(self.in_sources(element.get("filename"))),
            (Format::Cobertura, "line") => return self.record(element.number("number"), element.get("hits")),
            (Format::Jacoco, "package") => self.package = element.get("name").unwrap_or_default().to_owned(),
            (Format::Jacoco, "sourcefile") => {
                let name = element.get("name").unwrap_or_default();
                self.begin(self.places.find(&format!("{}/{name}", self.package)));
            }
            (Format::Jacoco, "line") => return self.record(element.number("nr"), element.get("ci")),
            (Format::Clover, "file") => {
                let path = element.get("path").and_then(|path| self.places.find(path));
                self.begin(path.or_else(|| self.places.find(element.get("name")?)));
            }
            (Format::Clover, "line") => {
                let run = ["count", "truecount", "falsecount"]
                    .iter()
                    .find_map(|key| element.get(key).filter(|count| has_run(count)));
                return self.record(element.number("num"), run.or(element.get("count")).or(Some("0")));
            }
            _ => {}
        }
        true
    }

    fn close(&mut self, name: &str) -> Result<(), ReadError> {
        match (self.format, name) {
            (Format::Cobertura, "source") => self.in_source = false,
            (Format::Cobertura, "class") | (Format::Jacoco, "sourcefile") | (Format::Clover, "file") => {
                if let Some((Some(path), lines)) = self.file.take() {
                    self.coverage.add(&path, &lines).map_err(|error| full(self.format, error))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, path: Option<TreePath>) {
        self.outside += usize::from(path.is_none());
        self.file = Some((path, FileCoverage::default()));
    }

    /// Lines outside any file are those of a summary.
    fn record(&mut self, line: Option<i64>, count: Option<&str>) -> bool {
        let Some((_, lines)) = &mut self.file else { return true };
        let (Some(line), Some(count)) = (line, count) else { return false };
        lines.record(u32::try_from(line).unwrap_or(0), has_run(count));
        true
    }

    /// A file name below the first source folder that lies in the tree, or as it is.
    fn in_sources(&self, name: Option<&str>) -> Option<TreePath> {
        let name = name?;
        if name.starts_with('/') {
            return self.places.find(name);
        }
        let absolute = self.sources.iter().filter(|source| source.starts_with('/'));
        let below = absolute.filter_map(|source| self.places.find(&format!("{source}/{name}"))).next();
        let relative = || {
            let source = self.sources.iter().find(|source| !source.is_empty() && !source.starts_with('/'))?;
            self.places.find(&format!("{source}/{name}"))
        };
        below.or_else(relative).or_else(|| self.places.find(name))
    }
}

/// Whether a count is above zero; it may be larger than any number here.
fn has_run(count: &str) -> bool {
    let count = count.trim();
    !count.starts_with('-') && count.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}
