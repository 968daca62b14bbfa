//! The pipeline of a folder, compiled.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serin_lang::{Answer, Answers, Compilation, Context, Request, SourceFile, Step};
use serin_model::limit::CONFIG_BYTES_MAX;

/// Rounds of questions that one compilation may ask.
const ROUNDS_MAX: usize = 200;

/// Compiles an entry file of the folder.
pub fn compile(folder: &Path, entry: &SourceFile, context: &Context) -> Result<Compilation> {
    let mut answers = Answers::default();
    for _ in 0..ROUNDS_MAX {
        match serin_lang::compile(entry, context, &answers) {
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

/// A file of the folder; `None`: there is none.
pub fn read(folder: &Path, name: &str) -> Result<Option<SourceFile>> {
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) if bytes.len() > CONFIG_BYTES_MAX => bail!("`{name}` has more than {CONFIG_BYTES_MAX} bytes"),
        Ok(bytes) => Ok(Some(SourceFile::new(name, bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
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
