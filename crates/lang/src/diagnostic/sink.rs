//! Collects findings by span while a pipeline is compiled.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Diagnostic, Location, Severity};
use crate::SourceFile;
use crate::memo::Memo;
use crate::suggest;
use crate::syntax::{FileId, Span};

/// Findings that are kept; further ones would not be read.
const FINDINGS_MAX: usize = 1_000;

/// Names that are compared with misspelt ones, over all findings.
const COMPARED_MAX: usize = 50_000;

/// Places of a chain of includes that are told, innermost first.
const CHAIN_MAX: usize = 10;

/// The files read so far and what was found in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink {
    files: Files,
    findings: Vec<Finding>,
    spare: Option<Finding>,
    /// What was told of which place, by the first job that has it.
    told: BTreeSet<(Span, String)>,
    /// Names that were compared with misspelt ones.
    compared: usize,
    /// Expressions and patterns in these files.
    pub memo: Memo,
}

/// The files read so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Files {
    files: Vec<Arc<File>>,
}

#[derive(Clone, Debug, PartialEq)]
struct File {
    source: SourceFile,
    text: Arc<str>,
    /// First byte of each line.
    lines: Vec<u32>,
    included_from: Option<Span>,
}

/// A finding that is being described.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    severity: Severity,
    span: Span,
    message: String,
    hint: Option<String>,
    related: Vec<(Span, String)>,
}

impl Finding {
    /// Says what would be right.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what would be right, where something is known.
    pub fn maybe_hint(&mut self, hint: Option<impl Into<String>>) -> &mut Self {
        if let Some(hint) = hint {
            self.hint = Some(hint.into());
        }
        self
    }

    /// Shows a further place.
    pub fn related(&mut self, span: Span, word: impl Into<String>) -> &mut Self {
        self.related.push((span, word.into()));
        self
    }
}

impl Sink {
    /// Takes a file in; its number marks the spans of what is in it.
    pub fn add_file(&mut self, source: SourceFile, text: Arc<str>, included_from: Option<Span>) -> FileId {
        let ends = text.match_indices('\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX))).collect();
        self.files.files.push(Arc::new(File { source, text, lines, included_from }));
        u32::try_from(self.files.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// The text of a place.
    pub fn text(&self, span: Span) -> &str {
        let text = self.files.files.get(span.file as usize).map_or("", |file| &file.text);
        text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Whether something is wrong.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Whether enough was found: errors, and as many findings as are kept.
    pub fn is_full(&self) -> bool {
        self.findings.len() >= FINDINGS_MAX && self.has_errors()
    }

    /// The name that a misspelt one is nearest to, as long as looking for it is not too much.
    pub fn nearest<'c>(&mut self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
        if self.is_full() {
            return None;
        }
        let left = COMPARED_MAX.saturating_sub(self.compared);
        let compared = &mut self.compared;
        suggest::nearest(word, candidates.into_iter().take(left).inspect(|_| *compared += 1))
    }

    /// `nearest` as a question.
    pub fn did_you_mean<'c>(&mut self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
        self.nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
    }

    /// How many findings there are.
    pub fn count(&self) -> usize {
        self.findings.len()
    }

    /// Reports an error.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, span, message.into())
    }

    /// Reports a warning.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, span, message.into())
    }

    /// Reports what is wrong at a place that many jobs may share, once for all of them.
    pub fn once(&mut self, severity: Severity, span: Span, about: String, message: String) -> &mut Finding {
        if self.findings.len() >= FINDINGS_MAX || self.told.insert((span, about)) {
            return self.add(severity, span, message);
        }
        self.spare.insert(Finding { severity, span, message, hint: None, related: Vec::new() })
    }

    fn add(&mut self, severity: Severity, span: Span, message: String) -> &mut Finding {
        let finding = Finding { severity, span, message, hint: None, related: Vec::new() };
        let known =
            self.findings.iter().rev().take(64).any(|other| other.span == span && other.message == finding.message);
        if known || self.is_full() {
            return self.spare.insert(finding);
        }
        if self.findings.len() >= FINDINGS_MAX {
            if severity == Severity::Warning {
                return self.spare.insert(finding);
            }
            self.findings.pop();
        }
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// The place of a span.
    pub fn locate(&self, span: Span) -> Location {
        self.files.locate(span)
    }

    /// Where a file was included, innermost first.
    fn chain(&self, file: FileId) -> Vec<Location> {
        let mut chain = Vec::new();
        let mut next = self.files.files.get(file as usize).and_then(|file| file.included_from);
        while let Some(span) = next.filter(|_| chain.len() < CHAIN_MAX) {
            chain.push(self.locate(span));
            next = self.files.files.get(span.file as usize).and_then(|file| file.included_from);
        }
        chain
    }

    /// The findings in order of file and place, and the files.
    pub fn finish(mut self) -> (Vec<Diagnostic>, Files) {
        self.findings.sort_by_key(|finding| (finding.span.file, finding.span.start));
        let mut diagnostics: Vec<Diagnostic> = self.findings.iter().map(|finding| self.publish(finding)).collect();
        diagnostics.dedup();
        (diagnostics, self.files)
    }

    fn publish(&self, finding: &Finding) -> Diagnostic {
        let place = self.locate(finding.span);
        Diagnostic {
            severity: finding.severity,
            message: finding.message.clone(),
            file: place.file,
            line: place.line,
            column: place.column,
            span: finding.span.start as usize..finding.span.end as usize,
            hint: finding.hint.clone(),
            chain: self.chain(finding.span.file),
            related: finding.related.iter().map(|(span, word)| (self.locate(*span), word.clone())).collect(),
        }
    }
}

impl Files {
    /// The files as they were read.
    pub fn sources(&self) -> Vec<SourceFile> {
        self.files.iter().map(|file| file.source.clone()).collect()
    }

    /// The place of a span.
    pub fn locate(&self, span: Span) -> Location {
        let Some(file) = self.files.get(span.file as usize) else {
            return Location { file: String::new(), line: 1, column: 1 };
        };
        let line = file.lines.partition_point(|start| *start <= span.start);
        let start = file.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = file.text.get(start as usize..span.start as usize).unwrap_or_default();
        let column = before.chars().count() + 1;
        Location {
            file: file.source.path.clone(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}
