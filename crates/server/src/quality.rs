//! Reports of checks, tests and coverage: read as jobs end, compared with the merge base, held against the gate.
//!
//! A report is read before its job counts as finished, so a finished pipeline has all of its reports. How a merge request
//! stands is kept with the moment at which its pipeline finished; a pipeline that runs again is judged again.

mod collect;
mod details;
mod facts;
pub mod nodes;
mod record;
pub mod sonarqube;
mod trend;

use serin_model::quality::Gate;
use serin_model::{CommitId, Status};
use serin_quality::gate::{self, Condition, Language};
use serin_store::account::Account;
use serin_store::merge_request::MergeRequest;
use serin_store::pipeline::{self as pipelines, Pipeline};
use serin_store::quality as rows;
use serin_wire::quality as wire;

use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::hub::Change;
use crate::pipeline::create::SERVICE_FILE;
use crate::pipeline::record::{decode, encode};

pub use collect::keep;
pub use details::{Details, FileDetails, TestDetails};
pub use trend::{Point, trend};

/// Bytes of an override's reason.
const REASON_BYTES_MAX: usize = 1_000;

/// How a merge request's newest pipeline stands; `None`: there is none, or it is not finished.
///
/// # Errors
/// Where repository or database fail.
pub async fn of_request(app: &App, request: &MergeRequest) -> Result<Option<wire::Judgement>> {
    let mut db = app.store.read().await?;
    let newest = pipelines::pipeline_of_merge_request(&mut db, request.id).await?.into_iter().next();
    drop(db);
    match newest {
        Some(pipeline) => of_pipeline(app, &pipeline).await,
        None => of_source(app, request).await,
    }
}

/// How a merge request without a pipeline of its own stands: by the reports of its source branch, where the pipeline of
/// the very commit has finished. So a release is judged by what `develop` was tested with.
async fn of_source(app: &App, request: &MergeRequest) -> Result<Option<wire::Judgement>> {
    let mut db = app.store.read().await?;
    // The tree of a commit is never its own id: only the commit itself is asked for.
    let wanted = (request.head_commit.as_str(), request.head_commit.as_str());
    let Some(id) = rows::quality_report_pipeline(&mut db, (request.project_id, 0), wanted).await? else {
        return Ok(None);
    };
    let found = pipelines::pipeline_get(&mut db, id).await?;
    drop(db);
    let finished = |pipeline: &Pipeline| Status::parse(&pipeline.status).is_some_and(Status::is_final);
    let Some(mut pipeline) = found.filter(finished) else { return Ok(None) };
    pipeline.target_commit = Some(request.target_commit.clone());
    Ok(Some(judge(app, &pipeline).await?.0))
}

/// How a merge request's pipeline stands; `None`: it is not finished, or belongs to no merge request.
///
/// # Errors
/// Where repository or database fail.
pub async fn of_pipeline(app: &App, pipeline: &Pipeline) -> Result<Option<wire::Judgement>> {
    let finished = Status::parse(&pipeline.status).is_some_and(Status::is_final);
    let Some(at) = pipeline.finished_at.filter(|_| finished && pipeline.target_commit.is_some()) else {
        return Ok(None);
    };
    if let Some(known) = rows::quality_gate_get(&mut *app.store.read().await?, pipeline.id, at).await? {
        return Ok(Some(decode(&known)?));
    }
    Ok(Some(judge_and_keep(app, (pipeline, at)).await?.0))
}

async fn judge_and_keep(app: &App, (pipeline, at): (&Pipeline, i64)) -> Result<(wire::Judgement, Details)> {
    let commits = (pipeline.commit_id.as_str(), pipeline.head_commit.as_deref().unwrap_or(&pipeline.commit_id));
    let heard = rows::quality_sonarqube_list(&mut *app.store.read().await?, pipeline.project_id, commits).await?;
    let (judgement, details) = judge(app, pipeline).await?;
    let texts = (encode(&judgement)?, encode(&details)?);
    let mut tx = app.store.begin().await?;
    // What SonarQube said while this was judged would never be heard if it were kept.
    if rows::quality_sonarqube_list(&mut tx, pipeline.project_id, commits).await? == heard {
        rows::quality_gate_set(&mut tx, (pipeline.id, at), (&texts.0, &texts.1)).await?;
    }
    tx.commit().await?;
    Ok((judgement, details))
}

/// What stands at which line of a merge request's pipeline, and its failing tests at length; `None`: it is not finished,
/// or belongs to no merge request.
///
/// # Errors
/// Where repository or database fail.
pub async fn details_of(app: &App, pipeline: &Pipeline) -> Result<Option<Details>> {
    let finished = Status::parse(&pipeline.status).is_some_and(Status::is_final);
    let Some(at) = pipeline.finished_at.filter(|_| finished && pipeline.target_commit.is_some()) else {
        return Ok(None);
    };
    let known = rows::quality_gate_details(&mut *app.store.read().await?, pipeline.id, at).await?;
    match known.filter(|text| !text.is_empty()) {
        Some(text) => Ok(Some(decode(&text)?)),
        None => Ok(Some(judge_and_keep(app, (pipeline, at)).await?.1)),
    }
}

async fn judge(app: &App, pipeline: &Pipeline) -> Result<(wire::Judgement, Details)> {
    let target = pipeline.target_commit.clone().unwrap_or_default();
    let gate = gate_of(app, pipeline.project_id, &[&target, &pipeline.commit_id]).await?;
    let wants_duplicates = gate.as_ref().is_some_and(|gate| gate.duplicated_lines.is_some());
    let wanted = if wants_duplicates { facts::Wanted::WithDuplicates } else { facts::Wanted::Reports };
    let gathered = facts::gather(app, pipeline, wanted).await?;
    let conditions = gate::judge(gate.as_ref(), &gathered.facts);
    let status = match (conditions.is_empty(), gate::passed(&conditions)) {
        (true, _) => "unmeasured",
        (false, true) => "passed",
        (false, false) => "failed",
    };
    let judgement = wire::Judgement {
        status: status.to_owned(),
        blocks: gate.is_some_and(|gate| gate.blocks),
        conditions: conditions.iter().map(shown).collect(),
        ..gathered.shown
    };
    Ok((judgement, gathered.details))
}

fn shown(condition: &Condition) -> wire::Condition {
    wire::Condition {
        key: condition.subject.key(),
        verdict: condition.verdict.as_str().to_owned(),
        english: gate::sentence(condition, Language::English),
        chinese: gate::sentence(condition, Language::Chinese),
    }
}

/// The gate that the first of the commits asks for. The target comes first: no change may loosen its own gate.
async fn gate_of(app: &App, project_id: i64, commits: &[&str]) -> Result<Option<Gate>> {
    let repository = app.repository(project_id)?;
    for commit in commits {
        let commit = CommitId((*commit).to_owned());
        let bytes_max = serin_model::limit::CONFIG_BYTES_MAX as u64;
        let Some(bytes) = repository.git.read_file(&commit, SERVICE_FILE, bytes_max).await? else { continue };
        let (config, _) = serin_lang::service::parse(&serin_lang::SourceFile::new(SERVICE_FILE, bytes));
        if let Some(gate) = config.and_then(|config| config.quality) {
            return Ok(Some(gate));
        }
    }
    Ok(None)
}

/// Why the gate keeps a merge request from being merged; empty: it does not.
///
/// # Errors
/// Where repository or database fail.
pub async fn blockers(app: &App, request: &MergeRequest, pipeline: Option<&Pipeline>) -> Result<Vec<String>> {
    let mut db = app.store.read().await?;
    if rows::quality_override_get(&mut db, request.id, &request.head_commit).await?.is_some() {
        return Ok(Vec::new());
    }
    drop(db);
    let Some(pipeline) = pipeline else { return blockers_by_source(app, request).await };
    match of_pipeline(app, pipeline).await {
        Ok(judgement) => Ok(blockers_of(judgement.unwrap_or_default())),
        Err(error) => Ok(blockers_of_failure(app, pipeline, &error).await),
    }
}

async fn blockers_by_source(app: &App, request: &MergeRequest) -> Result<Vec<String>> {
    if let Some(judgement) = of_source(app, request).await? {
        return Ok(blockers_of(judgement));
    }
    let gate = gate_of(app, request.project_id, &[&request.target_commit, &request.head_commit]).await?;
    let asks = gate.is_some_and(|gate| gate.blocks);
    let why = "the quality gate asks for reports, and no pipeline ran: run one";
    Ok(if asks { vec![why.to_owned()] } else { Vec::new() })
}

fn blockers_of(judgement: wire::Judgement) -> Vec<String> {
    if !judgement.blocks {
        return Vec::new();
    }
    let open = judgement.conditions.into_iter().filter(|condition| condition.verdict != "passed");
    open.map(|condition| format!("quality gate: {}", condition.english)).collect()
}

/// What cannot be judged is not passed where the gate blocks, and nobody's concern where it does not.
async fn blockers_of_failure(app: &App, pipeline: &Pipeline, error: &Error) -> Vec<String> {
    tracing::error!(pipeline = pipeline.id, %error, "quality gate cannot be judged");
    let target = pipeline.target_commit.clone().unwrap_or_default();
    let gate = gate_of(app, pipeline.project_id, &[&target, &pipeline.commit_id]).await;
    match gate {
        Ok(gate) if !gate.as_ref().is_some_and(|gate| gate.blocks) => Vec::new(),
        _ => vec![format!("quality gate: pipeline #{} cannot be judged; the server's log says more", pipeline.id)],
    }
}

/// Lets the present commit of a merge request pass, with the person's name and reason on record.
///
/// # Errors
/// Where it is not open, or there is no reason.
pub async fn let_pass(app: &App, request: &MergeRequest, (by, reason): (&Account, &str)) -> Result<()> {
    let reason = serin_quality::text::line(reason, REASON_BYTES_MAX);
    if reason.is_empty() {
        return Err(Error::invalid("an override needs a reason").hint("say why this change may pass"));
    }
    if request.state != "opened" {
        return Err(Error::conflict(format!("!{} is {}", request.iid, request.state)));
    }
    let mut tx = app.store.begin().await?;
    rows::quality_override_add(&mut tx, (request.id, &request.head_commit), (by.id, &reason), now().0).await?;
    tx.commit().await?;
    let said = format!("{} let !{} pass its quality gate: {reason}", by.name, request.iid);
    crate::project::tell(app, request.project_id, "warning", (&said, None)).await?;
    app.hub.tell(Change::MergeRequest(request.id));
    Ok(())
}

/// A merge request before its gate, with who let it pass.
///
/// # Errors
/// Where repository or database fail.
pub async fn shown_of(app: &App, request: &MergeRequest) -> Result<wire::Quality> {
    let judgement = of_request(app, request).await.unwrap_or_else(|error| {
        tracing::error!(merge_request = request.id, %error, "quality gate cannot be judged");
        None
    });
    let mut db = app.store.read().await?;
    let overridden = rows::quality_override_get(&mut db, request.id, &request.head_commit).await?;
    let overridden = overridden.map(|row| wire::Override {
        name: row.name,
        reason: row.reason,
        created_at: crate::api::view::time(row.created_at),
    });
    Ok(wire::Quality { judgement, overridden })
}
