//! The pipeline of a folder that a person works in: its event, its variables, and what its file asks for.
//!
//! Invariants: files are read below the folder alone; other projects come from checkouts beside it or from kept clones,
//! addresses over HTTPS, both with a cap on bytes; what cannot be looked up is a finding of the file, not a failure.

mod changes;
mod event;
mod facts;
mod git;
mod outside;
mod variables;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serin_lang::{Answer, Compilation, Context, Driver, Parsed, Request, Severity, SourceFile};
use serin_model::limit::CONFIG_BYTES_MAX;

pub use event::{Event, EventFlags};
use facts::Facts;
use git::Git;
use outside::Outside;

/// The pipeline file.
pub const PIPELINE_FILE: &str = ".gitlab-ci.yml";
/// The service file.
pub const SERVICE_FILE: &str = "serin.yml";

/// A folder that holds a project.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    git: Git,
    facts: Facts,
    outside: Outside,
}

/// A folder's pipeline, compiled for an event.
#[derive(Debug)]
pub struct Local {
    /// The folder.
    pub project: Project,
    /// The event, as the compiler sees it.
    pub context: Context,
    /// What came out.
    pub compilation: Compilation,
}

/// Compiles the pipeline of a folder for an event.
///
/// # Errors
/// Where the folder holds no pipeline, or a flag names what is not there. Mistakes in files are findings.
pub fn compile(folder: &Path, flags: &EventFlags) -> Result<Local> {
    let root = root(folder, flags)?;
    let (project, entry) = std::thread::scope(|scope| {
        let project = scope.spawn(|| Project::at(root.clone(), flags));
        // Here, as the tree is large, and memory comes cheaper to a process's first thread.
        let entry = entry(&root, flags).map(|entry| (Parsed::new(&entry), entry));
        (project.join(), entry)
    });
    let project = project.map_err(|_| anyhow!("the repository cannot be looked at"))?;
    let (parsed, entry) = entry?;
    let mut context = project.context(flags)?;
    let uses_changes = |file: &SourceFile| file.text().contains("changes");
    let asked = uses_changes(&entry);
    if asked {
        context.changed_files = project.changed_files(flags)?;
    }
    let mut compilation = project.compile(parsed, &context)?;
    // An included file may be the first to ask.
    if !asked && compilation.sources.iter().any(uses_changes) {
        context.changed_files = project.changed_files(flags)?;
        compilation = project.compile(Parsed::new(&entry), &context)?;
    }
    Ok(Local { project, context, compilation })
}

impl Local {
    /// Whether the files have errors.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.compilation.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }
}

impl Project {
    /// The project that a folder belongs to: the folder itself where it holds a pipeline, else its repository's top.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn open(folder: &Path, flags: &EventFlags) -> Result<Self> {
        Ok(Self::at(root(folder, flags)?, flags))
    }

    fn at(root: PathBuf, flags: &EventFlags) -> Self {
        let git = Git::new(&root);
        let facts = Facts::of(&git);
        let outside = Outside::new(&root, facts.remote.clone(), flags.reach());
        Self { root, git, facts, outside }
    }

    /// The project's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The project's default branch.
    #[must_use]
    pub fn default_branch(&self) -> &str {
        &self.facts.default_branch
    }

    /// A file of the project; `None`: there is none, or it lies outside of the folder.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn file(&self, path: &str) -> Result<Option<SourceFile>> {
        file(&self.root, path)
    }

    /// Compiles a file of the project, or one made of a trigger, in a context.
    ///
    /// # Errors
    /// Where a file is there and cannot be read.
    pub fn compile(&self, entry: Parsed, context: &Context) -> Result<Compilation> {
        Driver::of(entry, context).run(|request| self.answer(request))
    }

    fn answer(&self, request: &Request) -> Result<Answer> {
        let missing = |error: anyhow::Error| Answer::Missing(format!("{error:#}"));
        Ok(match request {
            Request::ProjectFile { path } => match self.file(path)? {
                Some(file) => Answer::File(file.bytes),
                None => Answer::Missing(format!("there is no file `{path}` in the folder")),
            },
            Request::TreeListing { project: None, .. } => self.listing().map_or_else(missing, Answer::Files),
            Request::ChangedFilesAgainst { reference } => match changes::against(&self.git, reference) {
                Ok(Some(files)) => Answer::Changes(Some(files)),
                Ok(None) => Answer::Missing(format!("the repository has no `{reference}`")),
                Err(error) => missing(error),
            },
            other => self.outside.answer(other).unwrap_or_else(missing),
        })
    }

    /// The project's files: those that Git knows, and new ones that it does not ignore.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn listing(&self) -> Result<Vec<String>> {
        let listed = self.git.paths(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let mut files = listed.or_else(|_| walk(&self.root))?;
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }
}

/// Files that a folder outside of Git may have.
const WALKED_FILES_MAX: usize = 100_000;

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file()
                && let Ok(path) = entry.path().strip_prefix(root)
            {
                files.push(path.to_string_lossy().into_owned());
            }
            if files.len() + open.len() > WALKED_FILES_MAX {
                bail!("`{}` has more than {WALKED_FILES_MAX} files", root.display());
            }
        }
    }
    Ok(files)
}

/// The folder itself where it holds a pipeline, else its repository's top.
fn root(folder: &Path, flags: &EventFlags) -> Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| format!("there is no folder `{}`", folder.display()))?;
    let holds = |name: &str| folder.join(name).is_file();
    if flags.file.as_deref().is_some_and(holds) || holds(PIPELINE_FILE) || holds(SERVICE_FILE) {
        return Ok(folder);
    }
    let top = folder.ancestors().find(|above| above.join(".git").exists());
    Ok(top.unwrap_or(&folder).to_owned())
}

/// The pipeline file: the one of the flags, `.gitlab-ci.yml`, or the built-in flows of a `serin.yml`.
fn entry(root: &Path, flags: &EventFlags) -> Result<SourceFile> {
    if let Some(name) = &flags.file {
        return file(root, name)?.with_context(|| format!("there is no file `{name}` in `{}`", root.display()));
    }
    if let Some(file) = file(root, PIPELINE_FILE)? {
        return Ok(file);
    }
    let Some(file) = file(root, SERVICE_FILE)? else {
        bail!("`{}` has neither `{PIPELINE_FILE}` nor `{SERVICE_FILE}`", root.display());
    };
    let (config, findings) = serin_lang::service::parse(&file);
    let shown = || serin_lang::render(&findings, std::slice::from_ref(&file), serin_lang::Color::Plain);
    let config = config.with_context(|| format!("`{SERVICE_FILE}` has errors\n{}", shown()))?;
    Ok(serin_lang::template::devops(&config))
}

/// A file below a folder; `None`: there is none, or it lies outside.
fn file(root: &Path, path: &str) -> Result<Option<SourceFile>> {
    let relative = Path::new(path);
    let inside = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let Ok(whole) = root.join(relative).canonicalize() else { return Ok(None) };
    if !inside || !whole.starts_with(root) || !whole.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&whole).with_context(|| format!("cannot read `{path}`"))?;
    // One byte more, so that a file that is too large is told as that.
    file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(SourceFile::new(path, bytes)))
}
