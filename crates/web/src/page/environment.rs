//! Environments: pools, nodes, the rollout with its steps, the comparison of canary and baseline, and the buttons.

mod terms;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serin_server::delivery::{command, view};
use serin_server::error::{Error, Result};
use serin_store::account::Account;
use serin_store::delivery as stored;
use serin_store::project::Project;
use serin_wire::rest;

use super::Fields;
use crate::address::encode;
use crate::frame::{Frame, Tab};
use crate::icon;
use crate::mark::{self, Mark};
use crate::reply::{html, redirect};
use crate::show::{self, At};
use crate::text::{Language, Text};
use crate::visit::Visit;
use terms::TermRow;

/// Milliseconds after which nodes are shown anew in any case.
const EVERY_MS: u32 = 2_000;
/// Rollouts listed.
const HISTORY_MAX: i64 = 12;
/// Entries of the timeline on the page.
const TIMELINE_MAX: usize = 200;
/// Words that begin a phase in the timeline; the charts mark them.
const PHASE_WORDS: [&str; 8] =
    ["step ", "pool ", "paused", "resumed", "the canary passed", "failed", "aborted", "rolled back"];

/// An environment in a list.
pub(crate) struct EnvironmentRow {
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) mark: Option<Mark>,
    pub(crate) sha: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) nodes_text: String,
    pub(crate) url: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) releases_href: String,
}

#[derive(Template)]
#[template(path = "environments.html")]
struct List {
    f: Frame,
    environments: Vec<EnvironmentRow>,
    releases_href: String,
}

#[derive(Template)]
#[template(path = "environment.html")]
struct Page {
    f: Frame,
    e: EnvironmentRow,
    acts: Vec<Act>,
    rollout_id: i64,
    rollout: Option<RolloutView>,
    pools: Vec<PoolView>,
    history: Vec<HistoryRow>,
    charts_href: String,
    chart_names: String,
    chart_marks: String,
}

struct Act {
    id: String,
    action: String,
    pool: Option<String>,
    watch: Option<u32>,
    word: String,
    question: &'static str,
    consequence: &'static str,
    icon: &'static str,
    danger: bool,
    primary: bool,
    /// The version that is meant, where one must be named.
    digest: Option<String>,
    /// Whether a reason is asked for, and whether there must be one.
    reason: Option<bool>,
    asked: bool,
}

struct RolloutView {
    id: i64,
    kind: &'static str,
    mark: Mark,
    sha: String,
    digest: String,
    pipeline_id: i64,
    pipeline_href: String,
    canary: String,
    share: Option<String>,
    steps: Vec<StepView>,
    terms: Vec<TermRow>,
    verdict: Option<VerdictView>,
    tests: Vec<TestsView>,
    message: Option<String>,
    judged: bool,
    timeline: Vec<EntryView>,
    at: At,
}

struct StepView {
    name: String,
    state: String,
    word: &'static str,
    icon: &'static str,
}

struct VerdictView {
    mark: Mark,
    text: String,
}

/// A job that ran against the nodes.
struct TestsView {
    mark: Mark,
    name: String,
    href: String,
    counts: String,
    problem: Option<String>,
    failing: Vec<(String, String)>,
}

struct EntryView {
    key: usize,
    at: At,
    message: String,
}

struct PoolView {
    name: String,
    mark: Option<Mark>,
    nodes: Vec<NodeView>,
}

struct NodeView {
    name: String,
    host: Option<String>,
    class: &'static str,
    mark: Mark,
    traffic: Mark,
    sha: String,
    digest: String,
    share: String,
    share_width: String,
    in_flight: u64,
    cpu: String,
    memory: String,
    log_warn: String,
    log_error: String,
    warned: bool,
    erred: bool,
    failed: bool,
    requests: String,
    errors: String,
    restarts: u32,
    detail: Option<String>,
    logs_href: String,
}

struct HistoryRow {
    id: i64,
    kind: &'static str,
    mark: Mark,
    sha: String,
    outcome: Option<String>,
    at: At,
}

/// The environments of a project.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn rows(visit: &Visit, project: &Project) -> Result<Vec<EnvironmentRow>> {
    let list = stored::environment_list(&mut *visit.app.store.read().await?, Some(project.id)).await?;
    let mut shown = Vec::with_capacity(list.len());
    for row in &list {
        shown.push(summary(visit, project, &view::environment(&visit.app, row).await?));
    }
    Ok(shown)
}

fn summary(visit: &Visit, project: &Project, environment: &rest::Environment) -> EnvironmentRow {
    let rollout = environment.rollout.as_ref();
    let healthy = environment.nodes.iter().filter(|node| node.state == "healthy").count();
    let all = visit.language.count(environment.nodes.len(), ("node", "nodes", "个节点"));
    let healthy_word = visit.t().node_healthy;
    EnvironmentRow {
        name: environment.name.clone(),
        href: format!("/{}/-/environments/{}", project.path, encode(&environment.name)),
        mark: rollout.map(|rollout| mark::phase(&rollout.phase, visit.t())),
        sha: environment.sha.as_deref().map(show::sha),
        digest: environment.digest.as_deref().map(show::digest),
        nodes_text: format!("{all}, {healthy} {healthy_word}"),
        url: environment.external_url.clone().filter(|url| url.starts_with("http://") || url.starts_with("https://")),
        message: rollout.and_then(|rollout| message(rollout, visit.language)),
        releases_href: releases_href(project),
    }
}

fn releases_href(project: &Project) -> String {
    format!("/{}/-/releases", project.path)
}

/// The list.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn list(visit: &Visit, project: &Project) -> Result<Response> {
    let ids = stored::environment_list(&mut *visit.app.store.read().await?, Some(project.id)).await?;
    let topics = ids.iter().map(|row| ("environment", row.id)).chain([("project", project.id)]);
    let page = List {
        f: Frame::of(visit, project, Tab::Environments, visit.t().environments).hears(topics),
        environments: rows(visit, project).await?,
        releases_href: releases_href(project),
    };
    html(StatusCode::OK, &page)
}

/// Does what a person asks of the rollout that the page showed.
///
/// # Errors
/// Where the rollout is another one now, or refuses.
pub(crate) async fn act(visit: &Visit, project: &Project, (name, fields): (&str, &Fields)) -> Result<Response> {
    let row = view::find(&visit.app, project, name).await?;
    let current = stored::rollout_current(&mut *visit.app.store.read().await?, row.id).await?;
    let shown = fields.get("rollout").and_then(|text| text.parse().ok());
    if current.map(|current| current.id) != shown {
        return Err(Error::conflict(visit.t().changed_meanwhile));
    }
    let command = command_of(fields)?;
    command::carry_out(&visit.app, &row, (&command, visit.account()?)).await?;
    let path = visit.here.split('?').next().unwrap_or("/");
    Ok(redirect(path))
}

fn command_of(fields: &Fields) -> Result<rest::RolloutCommand> {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned());
    let watch = text("watch").map(|watch| watch.parse()).transpose();
    Ok(rest::RolloutCommand {
        action: text("action").unwrap_or_default(),
        pool: text("pool"),
        watch: watch.map_err(|_| Error::invalid("what is accepted is not named"))?,
        reason: text("reason"),
        digest: text("digest"),
    })
}

/// One environment.
///
/// # Errors
/// Where there is none of that name.
pub(crate) async fn show(visit: &Visit, project: &Project, name: &str) -> Result<Response> {
    let row = view::find(&visit.app, project, name).await?;
    let environment = view::environment(&visit.app, &row).await?;
    let history = stored::rollout_list(&mut *visit.app.store.read().await?, row.id, HISTORY_MAX).await?;
    html(StatusCode::OK, &page(visit, project, (row.id, environment, history)))
}

fn page(
    visit: &Visit,
    project: &Project,
    (id, environment, history): (i64, rest::Environment, Vec<stored::Rollout>),
) -> Page {
    let t = visit.t();
    let mut f = Frame::of(visit, project, Tab::Environments, environment.name.clone()).hears([("environment", id)]);
    f.every_ms = EVERY_MS;
    let api = format!("/api/v4/projects/{}/environments/{}", project.id, encode(&environment.name));
    let current = environment.rollout.as_ref();
    let asked = visit.query.get("confirm").map(String::as_str);
    Page {
        f,
        e: summary(visit, project, &environment),
        acts: current.map(|rollout| acts(rollout, (asked, visit.account.as_ref()), t)).unwrap_or_default(),
        rollout_id: current.map_or(0, |rollout| rollout.id),
        rollout: current.map(|rollout| rollout_view(rollout, project, visit.language)),
        pools: pools(&environment, (&api, t)),
        history: history.iter().skip(1).map(|row| history_row(row, visit.language)).collect(),
        charts_href: format!("{api}/judge"),
        chart_names: chart_names(t),
        chart_marks: chart_marks(current, visit.language),
    }
}

fn kind(word: &str, t: &'static Text) -> &'static str {
    match word {
        "canary" => t.kind_canary,
        "release" => t.kind_release,
        _ => t.kind_deploy,
    }
}

fn history_row(row: &stored::Rollout, language: Language) -> HistoryRow {
    let t = language.text();
    let chinese = (language == Language::Chinese).then(|| view::outcome_in_chinese(row)).flatten();
    HistoryRow {
        id: row.id,
        kind: kind(&row.kind, t),
        mark: mark::phase(&row.phase, t),
        sha: show::sha(&row.commit_id),
        outcome: chinese.or_else(|| row.outcome.clone()),
        at: show::at(row.created_at),
    }
}

/// How a rollout stands, in the reader's language.
fn message(rollout: &rest::Rollout, language: Language) -> Option<String> {
    let chinese = rollout.message_zh.clone().filter(|_| language == Language::Chinese);
    chinese.or_else(|| rollout.message.clone())
}

/// What happened, in the reader's language.
fn told(entry: &rest::TimelineEntry, language: Language) -> &str {
    match language {
        Language::Chinese if !entry.message_zh.is_empty() => &entry.message_zh,
        _ => &entry.message,
    }
}

fn rollout_view(rollout: &rest::Rollout, project: &Project, language: Language) -> RolloutView {
    let t = language.text();
    let text = match language {
        Language::Chinese => rollout.verdict_text_zh.as_ref().or(rollout.verdict_text.as_ref()),
        Language::English => rollout.verdict_text.as_ref(),
    };
    let verdict = rollout
        .verdict
        .as_ref()
        .map(|word| VerdictView { mark: mark::verdict(word, t), text: text.cloned().unwrap_or_default() });
    let first = rollout.timeline.len().saturating_sub(TIMELINE_MAX);
    let timeline = rollout.timeline.iter().enumerate().skip(first).rev().map(|(key, entry)| EntryView {
        key,
        at: show::at(entry.at),
        message: told(entry, language).to_owned(),
    });
    RolloutView {
        id: rollout.id,
        kind: kind(&rollout.kind, t),
        mark: mark::phase(&rollout.phase, t),
        sha: show::sha(&rollout.sha),
        digest: show::digest(&rollout.digest),
        pipeline_id: rollout.pipeline_id,
        pipeline_href: format!("/{}/-/pipelines/{}", project.path, rollout.pipeline_id),
        canary: rollout.canary.join(", "),
        share: (rollout.share > 0.0).then(|| show::percent(rollout.share)),
        steps: rollout.steps.iter().map(|step| step_view(step, &rollout.phase, t)).collect(),
        terms: rollout.terms.iter().flat_map(|terms| terms::rows(terms, rollout.current, language)).collect(),
        judged: verdict.is_some() || rollout.kind != "deploy",
        verdict,
        tests: rollout.tests.iter().map(|test| tests_view(test, project, language)).collect(),
        message: message(rollout, language),
        timeline: timeline.collect(),
        at: milliseconds(&rollout.created_at)
            .map_or_else(|| At { machine: String::new(), text: String::new() }, show::at),
    }
}

fn tests_view(test: &rest::RolloutTest, project: &Project, language: Language) -> TestsView {
    let t = language.text();
    let counts = test.counts.map(|counts| {
        let parts = [
            (counts.passed, t.quality_tests_passed),
            (counts.failed, t.quality_tests_failed),
            (counts.skipped, t.quality_tests_skipped),
        ];
        let told = parts.map(|(count, word)| format!("{count} {word}")).join(" · ");
        let ms = i64::try_from(counts.duration_ms).unwrap_or(i64::MAX);
        if ms > 0 { format!("{told} · {}", show::duration(ms)) } else { told }
    });
    let is_over = serin_model::Status::parse(&test.status).is_some_and(serin_model::Status::is_final);
    let none = if is_over && test.problem.is_none() { t.tests_no_report } else { "" };
    TestsView {
        mark: mark::status(&test.status, t),
        name: test.name.clone(),
        href: format!("/{}/-/jobs/{}", project.path, test.job_id),
        counts: counts.unwrap_or_else(|| none.to_owned()),
        problem: test.problem.clone(),
        failing: test.failing.iter().map(|one| (one.name.clone(), one.message.clone())).collect(),
    }
}

fn milliseconds(rfc_3339: &str) -> Option<i64> {
    rfc_3339.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn step_view(step: &rest::RolloutStep, phase: &str, t: &'static Text) -> StepView {
    let (word, icon) = match step.state.as_str() {
        "done" => (t.step_done, icon::SUCCESS),
        // Its turn has come, and a person's word is waited for.
        "active" if phase == "awaiting_release" => (t.step_waiting, icon::HAND),
        "active" => (t.step_active, icon::RUNNING),
        _ => (t.step_waiting, icon::CREATED),
    };
    let pool = step.name.strip_prefix("pool ").map(|pool| format!("{} {pool}", t.pool));
    StepView { name: pool.unwrap_or_else(|| step.name.clone()), state: step.state.clone(), word, icon }
}

/// The buttons, always in the same order.
fn acts(rollout: &rest::Rollout, (asked, account): (Option<&str>, Option<&Account>), t: &'static Text) -> Vec<Act> {
    let order = ["approve", "release", "accept", "resume", "pause", "override", "roll_back", "abort"];
    let may = |action: &&rest::RolloutAction| terms::may(action, rollout.terms.as_ref(), account);
    let place = |action: &rest::RolloutAction| order.iter().position(|known| *known == action.action);
    let mut actions: Vec<&rest::RolloutAction> =
        rollout.actions.iter().filter(|action| place(action).is_some()).filter(may).collect();
    actions.sort_by_key(|action| place(action));
    actions.into_iter().map(|action| act_view(action, (rollout, asked), t)).collect()
}

fn act_view(action: &rest::RolloutAction, (rollout, asked): (&rest::Rollout, Option<&str>), t: &'static Text) -> Act {
    let (word, question, consequence, icon) = match action.action.as_str() {
        "release" => (t.release_pool, t.release_ask, t.release_then, icon::PLAY),
        "pause" => (t.pause, t.pause_ask, t.pause_then, icon::PAUSE),
        "accept" => (t.accept, t.accept_ask, t.accept_then, icon::SUCCESS),
        "resume" => (t.resume, t.resume_ask, t.resume_then, icon::PLAY),
        "abort" => (t.abort, t.abort_ask, t.abort_then, icon::STOP),
        "approve" => (t.approve, t.approve_ask, t.approve_then, icon::SUCCESS),
        "override" => (t.override_terms, t.override_ask, t.override_then, icon::HAND),
        _ => (t.roll_back, t.roll_back_ask, t.roll_back_then, icon::ROLL_BACK),
    };
    let id = match &action.pool {
        Some(pool) => format!("{}-{}", action.action, encode(pool)),
        None => action.action.clone(),
    };
    Act {
        asked: asked == Some(id.as_str()),
        word: match (&action.pool, &action.digest) {
            (Some(pool), _) => format!("{word} {pool}"),
            (None, Some(digest)) => format!("{word} → {}", show::digest(digest)),
            (None, None) => word.to_owned(),
        },
        digest: match action.action.as_str() {
            "approve" => Some(rollout.digest.clone()),
            _ => action.digest.clone(),
        },
        pool: action.pool.clone(),
        watch: action.watch,
        question,
        consequence,
        icon,
        danger: matches!(action.action.as_str(), "abort" | "roll_back" | "override"),
        primary: matches!(action.action.as_str(), "release" | "accept" | "resume" | "approve"),
        reason: match action.action.as_str() {
            "abort" => Some(false),
            "override" => Some(true),
            _ => None,
        },
        action: action.action.clone(),
        id,
    }
}

fn pools(environment: &rest::Environment, (api, t): (&str, &'static Text)) -> Vec<PoolView> {
    let mut pools: Vec<PoolView> = Vec::new();
    let steps =
        environment.rollout.iter().filter(|rollout| rollout.kind == "release").flat_map(|rollout| &rollout.steps);
    let steps: Vec<&rest::RolloutStep> = steps.collect();
    let phase = environment.rollout.as_ref().map(|rollout| rollout.phase.as_str()).unwrap_or_default();
    for node in &environment.nodes {
        let shown = node_view(node, (environment, api), t);
        match pools.iter_mut().find(|pool| pool.name == node.pool) {
            Some(pool) => pool.nodes.push(shown),
            None => {
                let step = steps.iter().find(|step| step.name.strip_prefix("pool ") == Some(node.pool.as_str()));
                let mark = step.map(|step| step_view(step, phase, t)).map(|step| {
                    let class = match step.state.as_str() {
                        "done" => "ok",
                        "active" if phase == "awaiting_release" => "warn",
                        "active" => "run",
                        _ => "idle",
                    };
                    Mark::new(step.icon, step.word, class)
                });
                pools.push(PoolView { name: node.pool.clone(), mark, nodes: vec![shown] });
            }
        }
    }
    pools
}

fn node_view(node: &rest::Node, (environment, api): (&rest::Environment, &str), t: &'static Text) -> NodeView {
    let canary = environment.rollout.as_ref().is_some_and(|rollout| rollout.canary.contains(&node.name));
    let idle = node.traffic == "out" || matches!(node.state.as_str(), "stopped" | "lost" | "failed");
    NodeView {
        class: match (canary, idle) {
            (true, _) => "canary",
            (false, true) => "off",
            (false, false) => "",
        },
        mark: mark::node(&node.state, t),
        traffic: mark::traffic(&node.traffic, t),
        sha: node.sha.as_deref().map_or_else(|| "–".to_owned(), show::sha),
        digest: node.digest.as_deref().map(show::digest).unwrap_or_default(),
        share: show::percent(node.share),
        share_width: format!("{:.1}", (node.share * 100.0).clamp(0.0, 100.0)),
        in_flight: node.in_flight,
        cpu: node.cpu_percent.map_or_else(|| "–".to_owned(), |cpu| format!("{cpu:.1} %")),
        memory: show::mebibytes(node.memory_bytes),
        log_warn: show::thousands(node.log_warn),
        log_error: show::thousands(node.log_error),
        warned: false,
        erred: node.log_error > 0,
        failed: node.errors > 0,
        requests: show::thousands(node.requests),
        errors: show::thousands(node.errors),
        restarts: node.restarts,
        detail: node.detail.clone(),
        logs_href: format!("{api}/nodes/{}/logs?lines=1000", encode(&node.name)),
        name: node.name.clone(),
        host: node.host.clone(),
    }
}

/// What the charts are called, for their script.
fn chart_names(t: &'static Text) -> String {
    let names = [
        ("cpu_pct", t.chart_cpu_pct),
        ("mem_bytes", t.chart_mem_bytes),
        ("log_error", t.chart_log_error),
        ("log_warn", t.chart_log_warn),
        ("http_errors", t.chart_http_errors),
        ("latency_ms", t.chart_latency_ms),
        ("requests", t.chart_requests),
        ("canary", t.canary),
        ("baseline", t.baseline),
    ];
    serde_json::Value::from_iter(names).to_string()
}

/// Where phases began, for the charts' script.
fn chart_marks(rollout: Option<&rest::Rollout>, language: Language) -> String {
    let entries = rollout.iter().flat_map(|rollout| &rollout.timeline);
    let phases = entries.filter(|entry| PHASE_WORDS.iter().any(|word| entry.message.starts_with(word)));
    let marks = phases.map(|entry| serde_json::json!({ "at": entry.at, "name": told(entry, language) }));
    serde_json::Value::from_iter(marks).to_string()
}

#[cfg(test)]
mod tests {
    use serin_wire::rest;

    use super::{acts, chart_marks};
    use crate::text::Language;

    fn rollout(actions: &[(&str, Option<&str>)]) -> rest::Rollout {
        let action = |(name, pool): &(&str, Option<&str>)| rest::RolloutAction {
            action: (*name).to_owned(),
            pool: pool.map(str::to_owned),
            ..Default::default()
        };
        let entry =
            |at: i64, message: &str| rest::TimelineEntry { at, message: message.to_owned(), message_zh: String::new() };
        rest::Rollout {
            id: 1,
            kind: "canary".into(),
            phase: "canary".into(),
            digest: "sha256:00".into(),
            sha: "00".into(),
            pipeline_id: 1,
            current: true,
            share: 0.05,
            canary: vec!["a-1".into()],
            steps: Vec::new(),
            actions: actions.iter().map(action).collect(),
            message: None,
            message_zh: None,
            verdict: None,
            verdict_text: None,
            verdict_text_zh: None,
            tests: Vec::new(),
            terms: None,
            timeline: vec![entry(1, "started"), entry(2, "step 1: 5 % of the traffic \"</script>")],
            created_at: String::new(),
            finished_at: None,
        }
    }

    #[test]
    fn buttons_keep_their_order() {
        let shown = rollout(&[("abort", None), ("unknown", None), ("pause", None), ("release", Some("a\"b"))]);
        let ids: Vec<String> =
            acts(&shown, (Some("abort"), None), Language::English.text()).into_iter().map(|act| act.id).collect();
        assert_eq!(ids, ["release-a%22b", "pause", "abort"]);
        assert!(acts(&shown, (Some("abort"), None), Language::English.text())[2].asked);
    }

    #[test]
    fn charts_mark_phases() {
        let marks = chart_marks(Some(&rollout(&[])), Language::English);
        let parsed: serde_json::Value = serde_json::from_str(&marks).unwrap();
        assert_eq!(parsed.as_array().unwrap().len(), 1);
        assert_eq!(parsed[0]["at"], 2);
    }
}
