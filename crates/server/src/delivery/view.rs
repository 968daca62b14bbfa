//! Environments, nodes and rollouts as API and pages show them.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serin_rollout::{Entry, Phase, Rollout, Slot, Traffic};
use serin_store::delivery::{self as rows, Environment};
use serin_store::project::Project;
use serin_store::release as releases;
use serin_wire::rest;

use super::judging::AnswerRecord;
use super::reconcile::Seen;
use super::{back, chinese, departed, state};
use crate::App;
use crate::api::view::time;
use crate::error::{Error, Result};
use crate::pipeline::record;

/// Parts per million of the whole.
const WHOLE: f64 = 1_000_000.0;

/// The environment of that name.
///
/// # Errors
/// Where there is none.
pub async fn find(app: &App, project: &Project, name: &str) -> Result<Environment> {
    let found = rows::environment_by_name(&mut *app.store.read().await?, project.id, name).await?;
    found.ok_or_else(|| Error::not_found(format!("environment `{name}`")))
}

/// An environment as the API shows it.
///
/// # Errors
/// Where the database fails.
pub async fn environment(app: &App, row: &Environment) -> Result<rest::Environment> {
    let seen = app.delivery.watched(row.id).seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut db = app.store.read().await?;
    let current = rows::rollout_current(&mut db, row.id).await?;
    let machine = current.as_ref().map(state::decode).transpose()?;
    let stable = machine.as_ref().and_then(stable_digest);
    let mut nodes = machine.as_ref().map(|machine| nodes(machine, &seen)).unwrap_or_default();
    let mut commits = BTreeMap::new();
    for digest in nodes.iter().filter_map(|node| node.digest.as_ref()).chain(&stable) {
        if !commits.contains_key(digest) {
            let release = releases::release_of_digest(&mut db, row.project_id, digest).await?;
            commits.insert(digest.clone(), release.map(|release| release.commit_id));
        }
    }
    drop(db);
    let commit = |digest: &Option<String>| digest.as_ref().and_then(|digest| commits.get(digest).cloned().flatten());
    let config = state::config(row)?;
    let part = state::part(&config, &row.name).ok();
    for node in &mut nodes {
        node.sha = commit(&node.digest);
        // One that is not seen is where it was to be.
        let planned = || super::spec::host(part?, &node.name.as_str().into()).map(str::to_owned);
        node.host = node.host.take().or_else(planned);
    }
    let rollout = match (&current, &machine) {
        (Some(row), Some(machine)) => Some(rollout(app, row, machine).await?),
        _ => None,
    };
    Ok(rest::Environment {
        id: row.id,
        name: row.name.clone(),
        external_url: seen.listen.map(|listen| format!("http://{listen}")),
        sha: commit(&stable),
        digest: stable,
        nodes,
        rollout,
    })
}

/// The version that the environment stands on: the one to go back to while a rollout is under way.
fn stable_digest(machine: &Rollout) -> Option<String> {
    let standing = machine.standing();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &standing.nodes {
        if let Some(digest) = &node.stable {
            *counts.entry(digest.as_str()).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(digest, _)| digest.to_owned())
}

fn nodes(machine: &Rollout, seen: &Seen) -> Vec<rest::Node> {
    let routes = machine.desired_routes();
    let departed = departed::routes(machine, &seen.nodes);
    let weights = routes.iter().map(|route| route.weight_ppm).chain(departed.iter().map(|route| route.weight_ppm));
    let total: u64 = weights.map(u64::from).sum();
    let part = |weight: u32| if total == 0 { 0.0 } else { f64::from(weight) / total as f64 };
    let share =
        |slot: &Slot| part(routes.iter().find(|route| route.node == slot.node).map_or(0, |route| route.weight_ppm));
    let mut shown: Vec<rest::Node> = machine.slots.iter().map(|slot| node(slot, share(slot), seen)).collect();
    for gone in departed::of(machine, &seen.nodes) {
        let weight = departed.iter().find(|route| route.node == gone.key.node.0).map_or(0, |route| route.weight_ppm);
        shown.push(node(&departed::slot(gone, weight > 0), part(weight), seen));
    }
    shown
}

fn node(slot: &Slot, share: f64, seen: &Seen) -> rest::Node {
    let observed = seen.nodes.iter().find(|node| node.key.node == slot.node);
    let stats = seen.counters(&slot.node, slot.generation);
    let usage = observed.map(|node| node.usage).unwrap_or_default();
    rest::Node {
        name: slot.node.0.clone(),
        pool: slot.pool.0.clone(),
        state: observed.map_or("stopped", |node| node.state.as_str()).to_owned(),
        digest: slot.assigned.as_ref().map(|digest| digest.0.clone()),
        sha: None,
        host: observed.and_then(|node| node.host.clone()),
        address: observed.and_then(|node| node.address).map(|address| address.to_string()),
        traffic: match slot.traffic {
            Traffic::Full => "serving",
            Traffic::Share => "canary",
            Traffic::Draining(_) => "draining",
            Traffic::Out => "out",
        }
        .to_owned(),
        share,
        cpu_percent: seen.cpu_percent.get(&slot.node).copied(),
        memory_bytes: usage.memory_bytes,
        log_warn: usage.log_warn,
        log_error: usage.log_error,
        requests: stats.map_or(0, |stats| stats.requests),
        errors: stats.map_or(0, |stats| stats.status[4] + stats.errors.of_node()),
        in_flight: stats.map_or(0, |stats| stats.in_flight),
        restarts: observed.map_or(0, |node| node.restarts),
        detail: observed.and_then(|node| node.detail.clone()),
    }
}

/// A rollout as the API shows it.
///
/// # Errors
/// Where the database fails.
pub async fn rollout(app: &App, row: &rows::Rollout, machine: &Rollout) -> Result<rest::Rollout> {
    let answer = last_answer(app, row, machine).await?;
    let canary = machine.canary_nodes().into_iter().map(|node| node.0).collect();
    Ok(rest::Rollout {
        id: row.id,
        kind: row.kind.clone(),
        phase: row.phase.clone(),
        digest: row.digest.clone(),
        sha: row.commit_id.clone(),
        pipeline_id: row.pipeline_id,
        current: row.current && !machine.is_over(),
        share: f64::from(machine.share_ppm()) / WHOLE,
        canary,
        steps: steps(machine),
        actions: actions(machine, back::before(app, row, machine).await?),
        message: Some(row.outcome.clone().unwrap_or_else(|| standing(machine))),
        message_zh: Some(standing_zh(machine)),
        verdict: answer.as_ref().map(|answer| answer.verdict.clone()),
        verdict_text: answer.as_ref().map(|answer| answer.sentence.clone()),
        verdict_text_zh: answer.map(|answer| answer.sentence_zh),
        tests: crate::quality::nodes::of_rollout(app, row.id).await?,
        terms: terms(machine),
        timeline: timeline(machine),
        created_at: time(row.created_at),
        finished_at: row.finished_at.map(time),
    })
}

/// What a release needs besides a click; `None`: nothing.
fn terms(machine: &Rollout) -> Option<rest::ReleaseTerms> {
    let terms = &machine.settings.terms;
    if machine.kind != serin_rollout::Kind::Release || *terms == serin_rollout::Terms::default() {
        return None;
    }
    let frozen = |freeze: &serin_rollout::Freeze| rest::Frozen {
        window: freeze.window.clone(),
        until: time(freeze.until.0),
        ends: freeze.ends.clone(),
    };
    let overridden =
        |word: &serin_rollout::Override| rest::Overridden { by: word.by.clone(), reason: word.reason.clone() };
    Some(rest::ReleaseTerms {
        approvals_required: terms.approvals,
        approvals_left: machine.approvals_missing(),
        approved_by: machine.approvals.iter().map(|approval| approval.by.clone()).collect(),
        approvers: terms.approvers.clone(),
        authors: terms.authors.clone(),
        freeze: terms.freeze.clone(),
        frozen: machine.frozen().filter(|_| !machine.is_over()).map(frozen),
        overridden: machine.overridden.as_ref().map(overridden),
    })
}

/// How a rollout ended, in Chinese.
#[must_use]
pub fn outcome_in_chinese(row: &rows::Rollout) -> Option<String> {
    match state::decode(row).ok()?.phase {
        Phase::Over(outcome) => Some(chinese::outcome(&outcome)),
        _ => None,
    }
}

/// Where a rollout is, and who holds it.
fn standing(machine: &Rollout) -> String {
    let phase = machine.phase.to_string();
    held(machine).map_or(phase.clone(), |held| format!("{phase}, {held}"))
}

fn standing_zh(machine: &Rollout) -> String {
    let phase = match &machine.phase {
        Phase::Over(outcome) => chinese::outcome(outcome),
        phase => chinese::phase(phase),
    };
    held(machine).map_or(phase.clone(), |held| format!("{phase}，{}", chinese::entry(&held)))
}

fn held(machine: &Rollout) -> Option<Entry> {
    machine.pause.as_ref().map(|pause| Entry::Paused { by: pause.by.clone() })
}

async fn last_answer(app: &App, row: &rows::Rollout, machine: &Rollout) -> Result<Option<AnswerRecord>> {
    let round = i64::from(machine.watches);
    let last = rows::judge_tick_last(&mut *app.store.read().await?, row.id, round).await?;
    last.map(|tick| record::decode(&tick.answer)).transpose()
}

/// The comparison of a rollout's newest judging, tick by tick.
///
/// # Errors
/// Where the database fails.
pub async fn judge_ticks(app: &App, row: &rows::Rollout, after: i64) -> Result<Vec<rest::JudgeTick>> {
    let machine = state::decode(row)?;
    let round = i64::from(machine.watches);
    let ticks = rows::judge_tick_list(&mut *app.store.read().await?, row.id, round, after).await?;
    let canary: Vec<String> = machine.canary_nodes().into_iter().map(|node| node.0).collect();
    let shown = ticks.into_iter().map(|tick| {
        let answer: AnswerRecord = record::decode(&tick.answer)?;
        let metrics = answer.chart.iter().map(|(metric, values)| point(metric, values, &canary)).collect();
        Ok(rest::JudgeTick { round, tick: tick.tick, at: tick.at, metrics, verdict: answer.verdict })
    });
    shown.collect()
}

fn point(metric: &str, values: &BTreeMap<String, f64>, canary: &[String]) -> rest::ChartPoint {
    let (new, old): (Vec<_>, Vec<_>) = values.iter().partition(|(node, _)| canary.contains(node));
    let mean = |list: &[(&String, &f64)]| {
        (!list.is_empty()).then(|| list.iter().map(|(_, value)| **value).sum::<f64>() / list.len() as f64)
    };
    let old_values = || old.iter().map(|(_, value)| **value);
    rest::ChartPoint {
        metric: metric.to_owned(),
        canary: mean(&new),
        baseline: mean(&old),
        low: old_values().reduce(f64::min),
        high: old_values().reduce(f64::max),
    }
}

/// What happened so far, in sentences.
#[must_use]
pub fn timeline(machine: &Rollout) -> Vec<rest::TimelineEntry> {
    let line = |(at, entry): &(serin_model::Timestamp, Entry)| rest::TimelineEntry {
        at: at.0,
        message: entry.to_string(),
        message_zh: chinese::entry(entry),
    };
    machine.history.iter().map(line).collect()
}

fn steps(machine: &Rollout) -> Vec<rest::RolloutStep> {
    let step = |name: String, state: &str| rest::RolloutStep { name, state: state.to_owned() };
    match machine.kind {
        serin_rollout::Kind::Canary => {
            let active = match machine.phase {
                Phase::Stepping { step, .. } => step,
                Phase::Held | Phase::Deciding => machine.settings.steps.len(),
                _ => usize::MAX,
            };
            let shares = machine.settings.steps.iter().enumerate().map(|(index, wanted)| {
                let name = format!("{} %", f64::from(wanted.traffic_ppm) / 10_000.0);
                let state = match active {
                    usize::MAX => "waiting",
                    active if index < active => "done",
                    active if index == active => "active",
                    _ => "waiting",
                };
                step(name, state)
            });
            shares.collect()
        }
        serin_rollout::Kind::Release => {
            let active = match &machine.phase {
                Phase::AwaitingPool { pool } | Phase::Watching { pool, .. } | Phase::Rolling { pool: Some(pool) } => {
                    Some(pool)
                }
                _ => None,
            };
            let pools = machine.pools().into_iter().map(|pool| {
                let state = match (machine.released.contains(pool), active == Some(pool)) {
                    (true, _) => "done",
                    (false, true) => "active",
                    (false, false) => "waiting",
                };
                step(format!("pool {pool}"), state)
            });
            pools.collect()
        }
        serin_rollout::Kind::Deploy => Vec::new(),
    }
}

fn actions(machine: &Rollout, before: Option<rows::Whole>) -> Vec<rest::RolloutAction> {
    let action =
        |name: &str, pool: Option<String>| rest::RolloutAction { action: name.to_owned(), pool, ..Default::default() };
    let back = before.map(|before| rest::RolloutAction { digest: Some(before.digest), ..action("roll_back", None) });
    machine
        .actions()
        .into_iter()
        .map(|possible| match possible {
            serin_rollout::Action::ReleasePool(pool) => action("release", Some(pool.0)),
            serin_rollout::Action::Pause => action("pause", None),
            serin_rollout::Action::Resume => action("resume", None),
            serin_rollout::Action::Accept { watch } => {
                rest::RolloutAction { watch: Some(watch), ..action("accept", None) }
            }
            serin_rollout::Action::Abort => action("abort", None),
            serin_rollout::Action::RollBack => action("roll_back", None),
            serin_rollout::Action::Approve => action("approve", None),
            serin_rollout::Action::Override => action("override", None),
        })
        .chain(back)
        .collect()
}
