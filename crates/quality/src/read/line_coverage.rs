//! Line coverage in XML: Cobertura, JaCoCo (JACOCO//DTD Report 1.1), Clover.

use std::io::Read;

use super::input::Input;
use super::xml::{Element, Token, Xml};
use super::{Content, Format, ReadError, Reading, files_outside, full};
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
    /// Cobertura: the folder that is being read.
    source: Option<String>,
    /// JaCoCo: the package, `org/example`.
    package: String,
    /// JaCoCo: the modules that are open, the innermost last.
    groups: Vec<String>,
    /// Clover: whether the lines are those of tests.
    in_tests: bool,
    /// The file whose lines come; outside the tree its path is `None`.
    file: Option<(Option<TreePath>, FileCoverage)>,
    outside: usize,
}

pub(super) fn read(format: Format, input: Input<impl Read>, places: &Places) -> Result<Reading, ReadError> {
    let mut xml = Xml::new(format, input, SOURCE_BYTES_MAX);
    let mut walk = Walk {
        format,
        places,
        coverage: Coverage::default(),
        sources: Vec::new(),
        source: None,
        package: String::new(),
        groups: Vec::new(),
        in_tests: false,
        file: None,
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
            Token::Text(text) => walk.text(&text),
            Token::Close(name) => walk.close(&name)?,
        }
    }
    Ok(Reading { notes: files_outside(walk.outside), content: Content::Coverage(walk.coverage) })
}

impl Walk<'_> {
    /// Takes the beginning of an element; `false` where it lacks what it must have.
    fn open(&mut self, element: &Element) -> bool {
        match (self.format, element.name.as_str()) {
            (Format::Cobertura, "source") => self.source = Some(String::new()),
            (Format::Cobertura, "class") => self.begin(self.in_sources(element.get("filename"))),
            (Format::Cobertura, "line") => return self.record(element.number("number"), element.get("hits")),
            (Format::Jacoco, "group") => self.groups.push(element.get("name").unwrap_or_default().to_owned()),
            (Format::Jacoco, "package") => self.package = element.get("name").unwrap_or_default().to_owned(),
            (Format::Jacoco, "sourcefile") => {
                let name = element.get("name").unwrap_or_default();
                let module = self.groups.last().map(String::as_str);
                self.begin(self.places.find_source(&self.package, name, module));
            }
            (Format::Jacoco, "line") => return self.record(element.number("nr"), element.get("ci")),
            (Format::Clover, "testproject") => self.in_tests = true,
            (Format::Clover, "file") if !self.in_tests => {
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
            (Format::Cobertura, "source") => {
                let source = self.source.take().filter(|source| !source.trim().is_empty());
                self.sources.extend(source.map(|source| source.trim().to_owned()));
                self.sources.truncate(SOURCES_MAX);
            }
            (Format::Jacoco, "group") => {
                self.groups.pop();
            }
            (Format::Clover, "testproject") => self.in_tests = false,
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

    /// A text may come in pieces.
    fn text(&mut self, text: &str) {
        if let Some(source) = &mut self.source
            && source.len() + text.len() <= SOURCE_BYTES_MAX
        {
            source.push_str(text);
        }
    }

    /// A file name below the source folder that has the file, or as it is.
    fn in_sources(&self, name: Option<&str>) -> Option<TreePath> {
        let name = name?;
        if name.starts_with('/') {
            return self.places.find(name);
        }
        let (absolute, relative): (Vec<&String>, Vec<&String>) =
            self.sources.iter().partition(|source| source.starts_with('/'));
        let below = absolute.into_iter().chain(relative);
        let joined = below.map(|source| format!("{}/{name}", source.trim_end_matches('/')));
        self.places.find_first(&joined.chain([name.to_owned()]).collect::<Vec<_>>())
    }
}

/// Whether a count is above zero; it may be larger than any number here.
fn has_run(count: &str) -> bool {
    let count = count.trim();
    !count.starts_with('-') && count.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}
