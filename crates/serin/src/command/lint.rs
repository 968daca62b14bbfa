//! `serin lint`: both files of a project, with every finding drawn.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serin_lang::{Answer, Answers, Color, Context as Event, Diagnostic, Request, Severity, SourceFile, Step};
use serin_model::limit::CONFIG_BYTES_MAX;

use crate::cli::{Format, Lint};
use crate::terminal::{self, GREEN, styled};

/// Rounds of questions that one compilation may ask.
const ROUNDS_MAX: usize = 200;

/// Checks the folder's files; exit code 1 where one has errors.
pub fn run(lint: &Lint) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    let mut checked = 0;
    if let Some(service) = read(&lint.folder, "serin.yml")? {
        let (_, found) = serin_lang::service::parse(&service);
        findings.extend(found);
        sources.push(service);
        checked += 1;
    }
    if let Some(entry) = read(&lint.folder, ".gitlab-ci.yml")? {
        let compilation = compile(&lint.folder, &entry)?;
        findings.extend(compilation.diagnostics);
        sources.extend(compilation.sources);
        checked += 1;
    }
    if checked == 0 {
        bail!("`{}` has neither `.gitlab-ci.yml` nor `serin.yml`", lint.folder.display());
    }
    print(&findings, &sources, lint.format)?;
    let wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(ExitCode::from(u8::from(wrong)))
}

fn read(folder: &Path, name: &str) -> Result<Option<SourceFile>> {
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) if bytes.len() > CONFIG_BYTES_MAX => bail!("`{name}` has more than {CONFIG_BYTES_MAX} bytes"),
        Ok(bytes) => Ok(Some(SourceFile::new(name, bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn compile(folder: &Path, entry: &SourceFile) -> Result<serin_lang::Compilation> {
    let event = Event {
        branch: Some("main".to_owned()),
        default_branch: "main".to_owned(),
        project: "local/project".to_owned(),
        sha: "0".repeat(40),
        server_url: "http://localhost".to_owned(),
        ..Event::default()
    };
    let mut answers = Answers::default();
    for _ in 0..ROUNDS_MAX {
        match serin_lang::compile(entry, &event, &answers) {
            Step::Done(compilation) => return Ok(*compilation),
            Step::Ask(requests) => {
                for request in requests {
                    let answer = answer(folder, &request)?;
                    answers.give(request, answer);
                }
            }
        }
    }
    bail!("`{}` asks for files without an end", entry.path)
}

fn answer(folder: &Path, request: &Request) -> Result<Answer> {
    Ok(match request {
        Request::ProjectFile { path } if !path.split('/').any(|part| part == "..") => match read(folder, path)? {
            Some(file) => Answer::File(file.bytes),
            None => Answer::Missing(format!("there is no file `{path}` in the folder")),
        },
        Request::TreeListing { project: None, .. } => Answer::Files(list(folder)?),
        Request::ChangedFilesAgainst { .. } => Answer::Changes(None),
        other => Answer::Missing(format!("it cannot be looked up here: {other:?}")),
    })
}

fn list(folder: &Path) -> Result<Vec<String>> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(folder)
        .output()
        .context("cannot start `git`")?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn print(findings: &[Diagnostic], sources: &[SourceFile], format: Format) -> Result<()> {
    if format == Format::Json {
        let list: Vec<serde_json::Value> = findings.iter().map(json).collect();
        terminal::line(&serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    if findings.is_empty() {
        terminal::line(&styled(GREEN, "no findings"));
        return Ok(());
    }
    terminal::line(&serin_lang::render(findings, sources, Color::Ansi));
    Ok(())
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
    })
}
