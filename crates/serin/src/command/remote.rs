//! Commands that ask a server: projects, merge requests, pipelines, jobs, environments.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::json;
use serin_wire::rest;

use super::people;
use crate::cli::{Command, Environment, Format, Job, MergeRequest, Of, Package, PackageOf, Pipeline, Project, Server};
use crate::client::{Client, part};
use crate::terminal::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW, styled};

/// Carries such a command out.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::User(command) => people::user(command).await?,
        Command::Token(command) => people::token(command).await?,
        Command::Approve(command) => people::approve(command).await?,
        Command::Override(command) => people::override_terms(command).await?,
        Command::Project(command) => project(command).await?,
        Command::Mr(command) => merge_request(command).await?,
        Command::Pipeline(command) => pipeline(command).await?,
        Command::Job(command) => job(command).await?,
        Command::Package(command) => package(command).await?,
        Command::Status(environment) => status(&environment).await?,
        Command::Release(release) => {
            let pool = match release.pool {
                Some(pool) => Some(pool),
                None => next_pool(&release.of, &release.name).await?,
            };
            act(&release.of, &release.name, ("release", pool)).await?;
        }
        Command::Rollback(environment) => roll_back(&environment.of, &environment.name).await?,
        Command::Pause(environment) => act(&environment.of, &environment.name, ("pause", None)).await?,
        Command::Resume(environment) => resume(&environment.of, &environment.name).await?,
        Command::Abort(environment) => act(&environment.of, &environment.name, ("abort", None)).await?,
        _ => bail!("this command needs no server"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn client(server: &Server) -> Client {
    Client::new(&server.server, &server.token)
}

pub(super) fn show<T: Serialize>(format: Format, data: &T, lines: impl FnOnce() -> Vec<String>) -> Result<()> {
    match format {
        Format::Json => terminal::json(data)?,
        Format::Text => lines().iter().for_each(|line| terminal::line(line)),
    }
    Ok(())
}

async fn project(command: Project) -> Result<()> {
    match command {
        Project::Create { path, default_branch, server } => {
            let body = rest::NewProject { path: Some(path), name: None, default_branch: Some(default_branch) };
            let made: rest::Project = client(&server).post("/projects", &body).await?;
            show(server.format, &made, || vec![project_line(&made)])
        }
        Project::List { server } => {
            let all: Vec<rest::Project> = client(&server).get("/projects").await?;
            show(server.format, &all, || all.iter().map(project_line).collect())
        }
    }
}

fn project_line(project: &rest::Project) -> String {
    let address = styled(CYAN, &project.http_url_to_repo);
    format!("{:<24} {:<12} {address}", project.path_with_namespace, project.default_branch)
}

async fn merge_request(command: MergeRequest) -> Result<()> {
    match command {
        MergeRequest::Create { source, target, title, of } => {
            let body = rest::NewMergeRequest { source_branch: source, target_branch: target, title, description: None };
            let path = format!("/projects/{}/merge_requests", part(&of.project));
            let made: rest::MergeRequest = client(&of.server).post(&path, &body).await?;
            show(of.server.format, &made, || merge_request_lines(&made))
        }
        MergeRequest::List { of } => {
            let path = format!("/projects/{}/merge_requests", part(&of.project));
            let all: Vec<rest::MergeRequest> = client(&of.server).get(&path).await?;
            show(of.server.format, &all, || all.iter().map(merge_request_line).collect())
        }
        MergeRequest::Show { iid, of } => {
            let path = format!("/projects/{}/merge_requests/{iid}", part(&of.project));
            let found: rest::MergeRequest = client(&of.server).get(&path).await?;
            show(of.server.format, &found, || merge_request_lines(&found))
        }
        MergeRequest::Merge { iid, when_pipeline_succeeds, of } => {
            let path = format!("/projects/{}/merge_requests/{iid}/merge", part(&of.project));
            let body = rest::Accept { merge_when_pipeline_succeeds: when_pipeline_succeeds };
            let merged: rest::MergeRequest = client(&of.server).put(&path, &body).await?;
            show(of.server.format, &merged, || merge_request_lines(&merged))
        }
    }
}

fn merge_request_line(request: &rest::MergeRequest) -> String {
    let branches = format!("{} → {}", request.source_branch, request.target_branch);
    format!("!{:<5} {:<7} {branches:<32} {}", request.iid, request.state, request.title)
}

fn merge_request_lines(request: &rest::MergeRequest) -> Vec<String> {
    let mut lines = vec![merge_request_line(request), styled(CYAN, &request.web_url)];
    lines.extend(request.blockers.iter().map(|why| format!("  {} {why}", styled(YELLOW, "blocked:"))));
    lines
}

async fn pipeline(command: Pipeline) -> Result<()> {
    let (of, made): (Of, rest::Pipeline) = match command {
        Pipeline::List { of } => {
            let path = format!("/projects/{}/pipelines", part(&of.project));
            let all: Vec<rest::Pipeline> = client(&of.server).get(&path).await?;
            return show(of.server.format, &all, || all.iter().map(pipeline_line).collect());
        }
        Pipeline::Show { id, of } => {
            let path = format!("/projects/{}/pipelines/{id}", part(&of.project));
            let found = client(&of.server).get(&path).await?;
            (of, found)
        }
        Pipeline::Run { branch, of } => {
            let path = format!("/projects/{}/pipeline?ref={}", part(&of.project), part(&branch));
            let made = client(&of.server).post(&path, &json!({})).await?;
            (of, made)
        }
        Pipeline::Cancel { id, of } => {
            let path = format!("/projects/{}/pipelines/{id}/cancel", part(&of.project));
            let made = client(&of.server).post(&path, &json!({})).await?;
            (of, made)
        }
    };
    let path = format!("/projects/{}/pipelines/{}", part(&of.project), made.id);
    let jobs: Vec<rest::Job> = client(&of.server).get(&format!("{path}/jobs")).await?;
    let bridges: Vec<rest::Job> = client(&of.server).get(&format!("{path}/bridges")).await?;
    show(of.server.format, &json!({ "pipeline": made, "jobs": jobs, "bridges": bridges }), || {
        let mut lines = vec![pipeline_line(&made), styled(CYAN, &made.web_url)];
        lines.extend(made.yaml_errors.iter().cloned());
        lines.extend(jobs.iter().map(job_line));
        for bridge in &bridges {
            lines.push(job_line(bridge));
            lines.extend(bridge.downstream_pipeline.iter().map(|made| format!("  → {}", pipeline_line(made))));
        }
        lines
    })
}

fn pipeline_line(pipeline: &rest::Pipeline) -> String {
    let short = pipeline.sha.get(..8).unwrap_or(&pipeline.sha);
    format!(
        "#{:<5} {} {:<24} {short}  {}",
        pipeline.id,
        status_word(&pipeline.status),
        pipeline.ref_name,
        pipeline.source
    )
}

fn job_line(job: &rest::Job) -> String {
    let took = job.duration.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
    let why = job.failure_message.as_deref().or(job.failure_reason.as_deref()).unwrap_or_default();
    format!(
        "  {:<6} {} {:<12} {:<24} {took:>8}  {}",
        job.id,
        status_word(&job.status),
        job.stage,
        job.name,
        styled(DIM, why)
    )
}

fn status_word(status: &str) -> String {
    let style = match status {
        "success" => GREEN,
        "failed" | "canceled" => RED,
        "running" | "pending" | "manual" => YELLOW,
        _ => DIM,
    };
    styled(style, &format!("{status:<9}"))
}

async fn job(command: Job) -> Result<()> {
    let (id, of, what) = match command {
        Job::Log { id, of } => {
            let path = format!("/projects/{}/jobs/{id}/trace", part(&of.project));
            terminal::line(client(&of.server).text(&path).await?.trim_end());
            return Ok(());
        }
        Job::Play { id, of } => (id, of, "play"),
        Job::Retry { id, of } => (id, of, "retry"),
        Job::Cancel { id, of } => (id, of, "cancel"),
    };
    let path = format!("/projects/{}/jobs/{id}/{what}", part(&of.project));
    let job: rest::Job = client(&of.server).post(&path, &json!({})).await?;
    show(of.server.format, &job, || vec![job_line(&job)])
}

async fn package(command: Package) -> Result<()> {
    let (PackageOf { digest, of }, what) = match command {
        Package::List { of } => {
            let path = format!("/projects/{}/releases", part(&of.project));
            let all: Vec<rest::Release> = client(&of.server).get(&path).await?;
            return show(of.server.format, &all, || all.iter().map(release_line).collect());
        }
        Package::Show(one) => (one, ""),
        Package::Sbom(one) => (one, "/sbom"),
        Package::Provenance(one) => (one, "/provenance"),
    };
    let path = format!("/projects/{}/releases/{}{what}", part(&of.project), part(&digest));
    if !what.is_empty() {
        terminal::line(&client(&of.server).text(&path).await?);
        return Ok(());
    }
    let found: rest::Release = client(&of.server).get(&path).await?;
    show(of.server.format, &found, || release_lines(&found))
}

fn release_line(release: &rest::Release) -> String {
    let commit = release.sha.get(..8).unwrap_or(&release.sha);
    let image = release.image.as_deref().unwrap_or("no image");
    format!("{} {commit}  #{:<5} {}  {image}", short(&release.digest), release.pipeline_id, release.created_at)
}

fn release_lines(release: &rest::Release) -> Vec<String> {
    vec![
        format!("{}  {}", styled(BOLD, &release.digest), styled(CYAN, &release.web_url)),
        format!("  commit    {}", release.sha),
        format!("  tree      {}", release.tree),
        format!("  pipeline  #{}, {}", release.pipeline_id, release.created_at),
        format!("  image     {}", release.image.as_deref().unwrap_or("none")),
    ]
}

async fn status(environment: &Environment) -> Result<()> {
    let found = get(&environment.of, &environment.name).await?;
    show(environment.of.server.format, &found, || environment_lines(&found))
}

pub(super) async fn get(of: &Of, name: &str) -> Result<rest::Environment> {
    client(&of.server).get(&format!("/projects/{}/environments/{}", part(&of.project), part(name))).await
}

async fn next_pool(of: &Of, name: &str) -> Result<Option<String>> {
    let found = get(of, name).await?;
    let actions = found.rollout.map(|rollout| rollout.actions).unwrap_or_default();
    let Some(next) = actions.into_iter().find(|action| action.action == "release") else {
        bail!("no pool of `{name}` waits for its release");
    };
    Ok(next.pool)
}

/// Resumes, or accepts where the judge could not decide.
async fn resume(of: &Of, name: &str) -> Result<()> {
    let actions = get(of, name).await?.rollout.map(|rollout| rollout.actions).unwrap_or_default();
    let watch = actions.iter().find(|action| action.action == "accept").and_then(|action| action.watch);
    let action = if watch.is_some() { "accept" } else { "resume" };
    send(of, name, rest::RolloutCommand { action: action.to_owned(), watch, ..Default::default() }).await
}

/// Rolls the rollout back that is under way, or goes back to the version that the server names.
async fn roll_back(of: &Of, name: &str) -> Result<()> {
    let actions = get(of, name).await?.rollout.map(|rollout| rollout.actions).unwrap_or_default();
    let digest = actions.into_iter().find(|action| action.action == "roll_back").and_then(|action| action.digest);
    send(of, name, rest::RolloutCommand { action: "roll_back".to_owned(), digest, ..Default::default() }).await
}

async fn act(of: &Of, name: &str, (action, pool): (&str, Option<String>)) -> Result<()> {
    send(of, name, rest::RolloutCommand { action: action.to_owned(), pool, ..Default::default() }).await
}

pub(super) async fn send(of: &Of, name: &str, body: rest::RolloutCommand) -> Result<()> {
    let path = format!("/projects/{}/environments/{}/rollout", part(&of.project), part(name));
    let after: rest::Environment = client(&of.server).post(&path, &body).await?;
    show(of.server.format, &after, || environment_lines(&after))
}

/// An environment as people read it.
#[must_use]
pub fn environment_lines(environment: &rest::Environment) -> Vec<String> {
    let address = environment.external_url.as_deref().unwrap_or("not served yet");
    let mut lines = vec![format!("{} {}", styled(BOLD, &environment.name), styled(CYAN, address))];
    for node in &environment.nodes {
        let version = node.digest.as_deref().map_or("-", short);
        let used = format!("{:>5.1} MB", node.memory_bytes as f64 / 1e6);
        lines.push(format!(
            "  {:<10} {:<10} {:<9} {:<14} {:>5.1} % {used} {:>5} WARN {:>5} ERROR",
            node.name,
            node.state,
            node.traffic,
            version,
            node.share * 100.0,
            node.log_warn,
            node.log_error
        ));
    }
    if let Some(rollout) = &environment.rollout {
        let message = rollout.message.as_deref().unwrap_or_default();
        lines.push(format!("{} of {}: {message}", rollout.kind, short(&rollout.digest)));
        lines.extend(rollout.verdict_text.iter().map(|text| format!("  judge: {text}")));
        lines.extend(rollout.terms.iter().flat_map(people::terms_lines));
        lines.extend(rollout.tests.iter().flat_map(tests_lines));
        let may: Vec<String> = rollout.actions.iter().map(action_text).collect();
        if !may.is_empty() {
            lines.push(styled(DIM, &format!("  you may: {}", may.join(", "))));
        }
    }
    lines
}

/// A job that ran against the nodes, and its failing tests.
fn tests_lines(test: &rest::RolloutTest) -> Vec<String> {
    let counts = test
        .counts
        .map(|counts| format!(": {} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped));
    let first = format!("  {} {}{}", test.name, test.status, counts.unwrap_or_default());
    let problem = test.problem.iter().map(|problem| format!("    {problem}"));
    let failing = test.failing.iter().map(|one| format!("    {} {}: {}", styled(RED, "fails"), one.name, one.message));
    [first].into_iter().chain(problem).chain(failing).collect()
}

fn action_text(action: &rest::RolloutAction) -> String {
    match &action.pool {
        Some(pool) => format!("{} {pool}", action.action),
        None => action.action.clone(),
    }
}

/// A digest's first twelve digits.
#[must_use]
pub fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}
