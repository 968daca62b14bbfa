//! The quality of a run here: the reports of its jobs, compared with the merge base as a merge request's are.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serin_model::Status;
use serin_objects::archive::{self, EntryKind, Limits};
use serin_quality::gate::{Presence, ReportState, Verdict};
use serin_quality::named::{KINDS, owed};
use serin_quality::{Content, Places};

use super::repository::Repository;
use super::{HEAD_BYTES, Outcome, Reports, gate_of, outcome, read_content};
use crate::local::folders::Folders;
use crate::local::session::Session;

/// Commits whose reports are kept to be compared with.
const BASES_KEPT: usize = 3;
/// Files of one report.
const FILES_MAX: usize = 1_000;

/// How a run stands before the gate of its folder; `None`: it left no report, and no gate asks for one.
///
/// # Errors
/// Where `against` is no commit, or `serin.yml` has errors.
pub fn of_run(session: &Session, against: Option<&str>) -> Result<Option<Outcome>> {
    let project = &session.common.project;
    let found = archives(session);
    let gate = gate_of(project.root())?;
    let is_part = !session.selected().is_empty();
    if found.is_empty() && (is_part || gate.is_none()) {
        return Ok(None);
    }
    let repository = open(session, against)?;
    let folders = &session.common.folders;
    let places = repository.places(&roots(folders));
    let mut head = Reports::default();
    found.iter().for_each(|(kind, path)| head.take_archive((kind, path), &places));
    head.owe(session);
    let base = match repository.base().filter(|_| !repository.is_base()) {
        Some(commit) => kept_reports(&folders.project, commit, &places),
        None => Reports::default(),
    };
    let mut outcome = outcome(&repository, gate.as_ref(), (head, base))?;
    if is_part {
        // Who ran some of the jobs did not ask for what the others report.
        outcome.conditions.retain(|condition| condition.verdict != Verdict::Missing);
    }
    Ok(Some(outcome))
}

/// Keeps the reports of a whole run of a merge base, so that later runs are compared with them.
///
/// # Errors
/// Where they cannot be written.
pub fn base_kept(session: &Session, against: Option<&str>) -> Result<()> {
    let repository = open(session, against)?;
    let Some(commit) = repository.base().filter(|_| repository.is_base() && session.selected().is_empty()) else {
        return Ok(());
    };
    let bases = session.common.folders.project.join("bases");
    let folder = bases.join(commit);
    let written = |problem: std::io::Error| anyhow!("cannot write below `{}`: {problem}", bases.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(written)?;
    }
    for (number, (kind, path)) in archives(session).into_iter().enumerate() {
        let to = folder.join(kind);
        std::fs::create_dir_all(&to).map_err(written)?;
        std::fs::copy(path, to.join(format!("{number}.zip"))).map_err(written)?;
    }
    sweep(&bases);
    Ok(())
}

fn open(session: &Session, against: Option<&str>) -> Result<Repository> {
    let project = &session.common.project;
    if against.is_some() {
        return Repository::open(project.root(), against);
    }
    let default = project.default_branch();
    let candidates = [format!("origin/{default}"), default.to_owned()];
    let known = candidates.iter().find_map(|branch| Repository::open(project.root(), Some(branch)).ok());
    known.map_or_else(|| Repository::open(project.root(), None), Ok)
}

/// The archives of reports that the run's jobs left, those of retried jobs in their last form.
fn archives(session: &Session) -> Vec<(&str, &Path)> {
    let records = session.pipelines.iter().flat_map(|pipeline| &pipeline.records);
    let reports = records.flat_map(|record| &record.reports);
    let known = reports.filter(|(kind, _)| KINDS.contains(&kind.as_str()));
    known.map(|(kind, path)| (kind.as_str(), path.as_path())).collect()
}

/// The folders in which jobs saw the project, in this run and in earlier ones.
fn roots(folders: &Folders) -> Vec<PathBuf> {
    let inside = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let lanes = inside(&folders.project.join("builds"));
    let workspaces = lanes.iter().flat_map(|lane| inside(lane)).map(|workspace| workspace.join("project"));
    let real = |path: PathBuf| path.canonicalize().ok().into_iter().chain([path]).collect::<Vec<_>>();
    workspaces.flat_map(real).chain([serin_runner::PROJECT_IN_CONTAINERS.into()]).collect()
}

fn kept_reports(project: &Path, commit: &str, places: &Places) -> Reports {
    let mut reports = Reports::default();
    let folder = project.join("bases").join(commit);
    for kind in KINDS {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder.join(kind)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|path| reports.take_archive((kind, path), places));
    }
    reports
}

/// Forgets all but the newest bases.
fn sweep(bases: &Path) {
    let entries = std::fs::read_dir(bases).into_iter().flatten().flatten();
    let mut known: Vec<_> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    known.sort();
    for (_, old) in known.iter().rev().skip(BASES_KEPT) {
        if let Err(error) = std::fs::remove_dir_all(old) {
            tracing::debug!(%error, "the reports of an old merge base stay");
        }
    }
}

impl Reports {
    /// Takes the files of an archive of reports of one kind over.
    fn take_archive(&mut self, (kind, archive): (&str, &Path), places: &Places) {
        let state = match files(archive).and_then(|files| self.take_files(archive, &files, places)) {
            Ok(()) => Presence::Read,
            Err(error) => Presence::Broken(format!("{error:#}")),
        };
        self.note_state(kind, state);
    }

    fn take_files(&mut self, archive: &Path, files: &[String], places: &Places) -> Result<()> {
        for path in files {
            let content = read_entry(archive, path, places).with_context(|| path.clone())?;
            self.take(content)?;
        }
        Ok(())
    }

    /// A kind is there where all of its reports are.
    fn note_state(&mut self, kind: &str, state: Presence) {
        match self.states.iter_mut().find(|known| known.kind == kind) {
            Some(known) if known.state == Presence::Read => known.state = state,
            Some(_) => {}
            None => self.states.push(ReportState { kind: kind.to_owned(), state }),
        }
    }

    /// Notes the reports that jobs which ran name and did not leave.
    fn owe(&mut self, session: &Session) {
        for pipeline in &session.pipelines {
            let jobs = pipeline.plan.jobs.iter().zip(&pipeline.state.jobs).zip(&pipeline.records);
            let has_run = |status| matches!(status, Status::Success | Status::Failed);
            for ((plan, _), record) in jobs.filter(|((_, job), _)| has_run(job.status)) {
                let is_left = |kind: &&str| record.reports.iter().any(|(known, _)| known == kind);
                let absent = owed(plan).into_iter().filter(|kind| !is_left(kind));
                absent.for_each(|kind| self.note_state(kind, Presence::Absent));
            }
        }
    }
}

fn files(archive: &Path) -> Result<Vec<String>> {
    let entries = archive::list(archive, Limits::default())?;
    let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File).take(FILES_MAX);
    Ok(files.map(|entry| entry.path).collect())
}

fn read_entry(archive: &Path, path: &str, places: &Places) -> Result<Content> {
    let mut head = Vec::new();
    archive::stream_file(archive, path, |bytes| bytes.take(HEAD_BYTES).read_to_end(&mut head))?
        .context("cannot read it")?;
    archive::stream_file(archive, path, |bytes| read_content(&head, bytes, (path, places)))?
}
