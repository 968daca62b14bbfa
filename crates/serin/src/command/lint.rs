//! `serin lint`: both files of a project, with every finding drawn.

mod sarif;

use std::process::ExitCode;

use anyhow::{Result, bail};
use serin_lang::{Color, Diagnostic, Location, Severity, SourceFile};

use crate::cli::{Lint, LintFormat};
use crate::terminal::{self, GREEN, RED, YELLOW, styled};
use crate::worktree::{self, PIPELINE_FILE, Project, SERVICE_FILE};

/// Checks the folder's files; exit code 1 where one has errors.
pub fn run(lint: &Lint) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    let project = Project::open(&lint.folder, &lint.event)?;
    let service = project.file(SERVICE_FILE)?;
    let pipeline = lint.event.file.is_some() || project.file(PIPELINE_FILE)?.is_some();
    if service.is_none() && !pipeline {
        bail!("`{}` has neither `{PIPELINE_FILE}` nor `{SERVICE_FILE}`", lint.folder.display());
    }
    if let Some(service) = service {
        let (_, found) = serin_lang::service::parse(&service);
        findings.extend(found);
        sources.push(service);
    }
    if pipeline {
        let local = worktree::compile(&lint.folder, &lint.event)?;
        findings.extend(local.compilation.diagnostics);
        sources.extend(local.compilation.sources);
    }
    print(&findings, &sources, lint.format)?;
    let wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(ExitCode::from(u8::from(wrong)))
}

fn print(findings: &[Diagnostic], sources: &[SourceFile], format: LintFormat) -> Result<()> {
    match format {
        LintFormat::Json => {
            let list: Vec<serde_json::Value> = findings.iter().map(json).collect();
            terminal::json(&list)?;
        }
        LintFormat::Sarif => terminal::json(&sarif::log(findings))?,
        LintFormat::Text if findings.is_empty() => terminal::line(&styled(GREEN, "no findings")),
        LintFormat::Text => {
            terminal::line(&serin_lang::render(findings, sources, Color::Ansi));
            terminal::line(&format!("\n{}", summary(findings)));
        }
    }
    Ok(())
}

fn summary(findings: &[Diagnostic]) -> String {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let style = if errors > 0 { RED } else { YELLOW };
    styled(style, &format!("{}, {}", count(errors, "error"), count(findings.len() - errors, "warning")))
}

fn json(finding: &Diagnostic) -> serde_json::Value {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    serde_json::json!({
        "severity": severity,
        "message": finding.message,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "hint": finding.hint,
        "included_from": finding.chain.iter().map(place).collect::<Vec<_>>(),
        "related": finding.related.iter().map(|(at, word)| {
            serde_json::json!({ "text": word, "at": place(at) })
        }).collect::<Vec<_>>(),
    })
}

fn place(location: &Location) -> serde_json::Value {
    serde_json::json!({ "file": location.file, "line": location.line, "column": location.column })
}
