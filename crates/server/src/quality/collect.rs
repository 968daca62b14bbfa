//! Reads the reports of a job that ended.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serin_model::CommitId;
use serin_objects::archive::{self, EntryKind, Limits};
use serin_objects::{ArtifactName, Error as ObjectsError};
use serin_quality::named::{KINDS, SONARQUBE};
use serin_quality::test_case::Counts;
use serin_quality::{Content, Finding, Format, Places, Reading, TreePath, fingerprint, read};
use serin_store::pipeline::{self as pipelines, Job, Pipeline};
use serin_store::quality as rows;

use super::record::{Body, LinesRecord, Said};
use super::sonarqube::analysis;
use super::trend::Summary;
use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::pipeline::record::encode;
use crate::runner::{attempt_key, trace_line};

/// Files of one kind of report.
const FILES_MAX: usize = 1_000;
/// Bytes by which a format is told.
const HEAD_BYTES: u64 = 64 << 10;
/// Files of the tree that paths are completed by.
const TREE_FILES_MAX: usize = 200_000;
/// Source files that findings are traced in.
const SOURCES_MAX: usize = 5_000;
/// Bytes of a source file.
const SOURCE_BYTES_MAX: u64 = 2 << 20;
/// Findings of a report that are kept.
const FINDINGS_KEPT_MAX: usize = 50_000;
/// Tests of a report that are kept.
const TESTS_KEPT_MAX: usize = 200_000;
/// Pipelines of a project whose reports are kept.
const PIPELINES_KEPT: i64 = 500;

/// One file of a report, as it was read or could not be.
struct File {
    path: String,
    format: &'static str,
    result: std::result::Result<Reading, String>,
}

/// Stores the reports of a job's attempt, reads them, and says in the job's trace what they hold.
///
/// # Errors
/// Where store, database or repository fail; a report that cannot be read is no error, but is kept as such.
pub async fn keep(app: &App, job: &Job, builds_dir: &Path, reports: &[serin_runner::Report]) -> Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    let pipeline = pipelines::pipeline_get(&mut *app.store.read().await?, job.pipeline_id).await?;
    let pipeline = pipeline.ok_or_else(|| Error::not_found(format!("pipeline {}", job.pipeline_id)))?;
    let places = places(app, &pipeline, builds_dir).await?;
    for report in reports {
        let name = ArtifactName::Report(report.kind.clone());
        app.objects.artifacts.store(attempt_key(job), name.clone(), report.archive.clone()).await?;
        let is_analysis = report.kind == SONARQUBE;
        if !is_analysis && !KINDS.contains(&report.kind.as_str()) {
            continue;
        }
        let Some(archive) = app.objects.artifacts.find(attempt_key(job), &name)? else { continue };
        if is_analysis {
            keep_analyses(app, (job, &pipeline), archive).await?;
            continue;
        }
        let places = places.clone();
        let files = tokio::task::spawn_blocking(move || read_archive(archive, &places)).await;
        let files = files.map_err(|error| Error::internal("report", &error))??;
        for file in files {
            keep_file(app, (job, &pipeline), &report.kind, file).await?;
        }
    }
    Ok(())
}

/// Notes the analyses that SonarQube's scanner began, by the files that it left.
async fn keep_analyses(app: &App, (job, pipeline): (&Job, &Pipeline), archive: PathBuf) -> Result<()> {
    let files = tokio::task::spawn_blocking(move || {
        let entries = archive::list(&archive, Limits::default())?;
        let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File).take(FILES_MAX);
        let read = |path: String| {
            let bytes = archive::read_file(&archive, &path, analysis::FILE_BYTES_MAX);
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            (path, text.map_err(|error| error.to_string()))
        };
        Ok::<_, ObjectsError>(files.map(|entry| read(entry.path)).collect::<Vec<_>>())
    });
    for (path, text) in files.await.map_err(|error| Error::internal("report", &error))?? {
        let begun = match text.and_then(|text| analysis::named(&text)) {
            Ok(named) => {
                let told = format!("analysis {} of {} at SonarQube", named.task, named.project);
                analysis::begin(app, pipeline, named).await?.map(|()| told)
            }
            Err(problem) => Err(problem),
        };
        keep_row(app, (job, pipeline), SONARQUBE, Kept::bare(path, "SonarQube", begun)).await?;
    }
    Ok(())
}

async fn places(app: &App, pipeline: &Pipeline, builds_dir: &Path) -> Result<Places> {
    let repository = app.repository(pipeline.project_id)?;
    // A tree of more files is read as well; only paths that name their end alone stay as they are.
    let files = repository.git.list_files(&CommitId(pipeline.commit_id.clone()), TREE_FILES_MAX).await;
    let files = files.unwrap_or_default();
    let project = builds_dir.join("project");
    let real = project.canonicalize().unwrap_or_else(|_| project.clone());
    let roots =
        [project, real, serin_runner::PROJECT_IN_CONTAINERS.into()].map(|path| path.to_string_lossy().into_owned());
    Ok(Places::new(roots).with_files(files.iter().map(|file| file.path.as_str())))
}

fn read_archive(archive: PathBuf, places: &Places) -> std::result::Result<Vec<File>, ObjectsError> {
    let entries = archive::list(&archive, Limits::default())?;
    let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File).take(FILES_MAX);
    files.map(|entry| read_file(&archive, entry.path, places)).collect()
}

fn read_file(archive: &Path, path: String, places: &Places) -> std::result::Result<File, ObjectsError> {
    let mut head = Vec::new();
    archive::stream_file(archive, &path, |bytes| bytes.take(HEAD_BYTES).read_to_end(&mut head))?
        .map_err(|_| ObjectsError::Interrupted)?;
    let Some(format) = Format::detect(&head) else {
        let known = "it is in no known format: SARIF, Code Climate, Checkstyle, GitLab security, cargo messages, JUnit, \
                     Cobertura, JaCoCo, Clover and LCOV are read";
        return Ok(File { path, format: "", result: Err(known.to_owned()) });
    };
    let result = archive::stream_file(archive, &path, |bytes| read(format, bytes, places))?;
    let result = result.map_err(|error| error.to_string()).and_then(bounded);
    Ok(File { path, format: format.as_str(), result })
}

fn bounded(reading: Reading) -> std::result::Result<Reading, String> {
    let (count, max, unit) = match &reading.content {
        Content::Findings(findings) => (findings.len(), FINDINGS_KEPT_MAX, "findings"),
        Content::Tests(tests) => (tests.len(), TESTS_KEPT_MAX, "tests"),
        Content::Coverage(_) => return Ok(reading),
    };
    if count > max { Err(format!("more than {max} {unit}: split the report over several jobs")) } else { Ok(reading) }
}

async fn keep_file(app: &App, (job, pipeline): (&Job, &Pipeline), kind: &str, file: File) -> Result<()> {
    let File { path, format, result } = file;
    let kept = match result {
        Ok(reading) => Kept {
            path,
            format,
            outcome: Ok(format!("{format}, {}", told(&reading.content))),
            summary: serde_json::to_string(&Summary::of(&reading.content))?,
            notes: reading.notes.into_iter().map(Into::into).collect(),
            body: body(app, pipeline, reading.content).await?,
        },
        Err(problem) => Kept::bare(path, format, Err(problem)),
    };
    keep_row(app, (job, pipeline), kind, kept).await
}

/// What is kept of one file of a report.
struct Kept {
    path: String,
    format: &'static str,
    /// What it holds in a few words, or why it cannot be read.
    outcome: std::result::Result<String, String>,
    summary: String,
    notes: Vec<Said>,
    body: Body,
}

impl Kept {
    /// A file that holds nothing to be kept beyond its outcome.
    fn bare(path: String, format: &'static str, outcome: std::result::Result<String, String>) -> Self {
        Self { path, format, outcome, summary: String::new(), notes: Vec::new(), body: Body::Nothing }
    }
}

/// Says in the job's trace what was read, and keeps it.
async fn keep_row(app: &App, (job, pipeline): (&Job, &Pipeline), kind: &str, kept: Kept) -> Result<()> {
    let shown = serin_quality::text::line(&kept.path, serin_quality::place::PATH_BYTES_MAX);
    let line = match &kept.outcome {
        Ok(told) => format!("Read {kind} report {shown}: {told}"),
        Err(problem) => format!("\x1b[0;33mWARNING: {kind} report {shown} cannot be read: {problem}\x1b[0m"),
    };
    trace_line(app, job, &line).await?;
    let row = rows::Report {
        id: 0,
        project_id: job.project_id,
        pipeline_id: job.pipeline_id,
        job_id: job.id,
        attempt: job.attempt,
        job_name: job.name.clone(),
        kind: kind.to_owned(),
        path: shown,
        commit_id: pipeline.commit_id.clone(),
        tree_id: pipeline.tree_id.clone(),
        format: kept.format.to_owned(),
        problem: kept.outcome.err(),
        notes: serde_json::to_string(&kept.notes)?,
        body: encode(&kept.body)?,
        summary: kept.summary,
        created_at: now().0,
    };
    let mut tx = app.store.begin().await?;
    rows::quality_report_set(&mut tx, &row).await?;
    rows::quality_report_prune(&mut tx, job.project_id, PIPELINES_KEPT).await?;
    tx.commit().await?;
    Ok(())
}

fn told(content: &Content) -> String {
    match content {
        Content::Findings(findings) => format!("{} findings", findings.len()),
        Content::Tests(tests) => {
            let counts = Counts::of(tests);
            format!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped)
        }
        Content::Coverage(coverage) => {
            let ratio = coverage.ratio();
            format!("{} of {} lines ran", ratio.covered, ratio.total)
        }
    }
}

async fn body(app: &App, pipeline: &Pipeline, content: Content) -> Result<Body> {
    Ok(match content {
        Content::Findings(findings) => {
            let sources = sources(app, pipeline, &findings).await?;
            let traced = fingerprint::trace(findings, |path| sources.get(path).cloned());
            Body::Findings(traced.iter().map(Into::into).collect())
        }
        Content::Tests(tests) => Body::Tests(tests.into_iter().map(Into::into).collect()),
        Content::Coverage(coverage) => {
            let files = coverage.files().map(|(path, lines)| (path.to_string(), LinesRecord::from(lines)));
            Body::Coverage(files.collect())
        }
    })
}

/// The text of the files that findings lie in, as the commit has it; what is not there or too large is left out.
async fn sources(app: &App, pipeline: &Pipeline, findings: &[Finding]) -> Result<BTreeMap<TreePath, String>> {
    let repository = app.repository(pipeline.project_id)?;
    let commit = CommitId(pipeline.commit_id.clone());
    let mut sources = BTreeMap::new();
    for path in findings.iter().filter_map(|finding| finding.location.as_ref()).map(|at| &at.path) {
        if sources.len() < SOURCES_MAX && !sources.contains_key(path) {
            let bytes = repository.git.read_file(&commit, path.as_str(), SOURCE_BYTES_MAX).await;
            let text = bytes.ok().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            sources.insert(path.clone(), text);
        }
    }
    Ok(sources.into_iter().filter_map(|(path, text)| Some((path, text?))).collect())
}
