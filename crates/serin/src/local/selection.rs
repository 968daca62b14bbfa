//! The jobs that were asked for by name, with what they need.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serin_model::plan::{Job, Plan, When, Work};

/// What of a pipeline is to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Jobs by name, an instance's or that of all instances; empty: the whole pipeline.
    pub jobs: Vec<String>,
    /// Whether the named jobs run without what they need.
    pub alone: bool,
}

/// Leaves only the selected jobs in the plan; named ones run whatever their `when` says.
pub fn select(plan: &mut Plan, selection: &Selection) -> Result<()> {
    if selection.jobs.is_empty() {
        return Ok(());
    }
    let mut wanted = BTreeSet::new();
    for name in &selection.jobs {
        let found: Vec<usize> = matching(&plan.jobs, name);
        if found.is_empty() {
            bail!("the pipeline has no job `{name}`{}", hint(&plan.jobs, name));
        }
        wanted.extend(found);
    }
    let named = wanted.clone();
    if !selection.alone {
        close(&plan.jobs, &mut wanted);
    }
    for index in &named {
        asked_for(&mut plan.jobs[*index]);
    }
    let names: BTreeSet<String> = wanted.iter().map(|index| plan.jobs[*index].name.clone()).collect();
    plan.jobs.retain(|job| names.contains(&job.name));
    for job in &mut plan.jobs {
        if let Some(needs) = &mut job.needs {
            needs.retain(|need| names.contains(&need.job));
        }
    }
    Ok(())
}

/// The indexes of the jobs of that name, or of its instances.
pub fn matching(jobs: &[Job], name: &str) -> Vec<usize> {
    let exact = jobs.iter().position(|job| job.name == name);
    let instance = |job: &Job| job.name.strip_prefix(name).is_some_and(is_instance);
    let all = || jobs.iter().enumerate().filter(|(_, job)| instance(job)).map(|(index, _)| index).collect();
    exact.map_or_else(all, |index| vec![index])
}

/// Whether what follows the name makes an instance of it: ` 1/3` or `: [a, b]`.
pub fn is_instance(rest: &str) -> bool {
    let copy =
        |text: &str| text.split_once('/').is_some_and(|(i, n)| i.parse::<u32>().is_ok() && n.parse::<u32>().is_ok());
    rest.starts_with(": [") || rest.strip_prefix(' ').is_some_and(copy)
}

fn asked_for(job: &mut Job) {
    if job.when != When::Always {
        job.when = When::OnSuccess;
    }
}

/// Adds what the wanted jobs need: by `needs`, or else the jobs of earlier stages that hand something on.
fn close(jobs: &[Job], wanted: &mut BTreeSet<usize>) {
    let mut open: Vec<usize> = wanted.iter().copied().collect();
    while let Some(index) = open.pop() {
        for (other, job) in jobs.iter().enumerate() {
            if needed(&jobs[index], job) && wanted.insert(other) {
                open.push(other);
            }
        }
    }
}

fn needed(by: &Job, job: &Job) -> bool {
    let included = match &by.work {
        Work::Trigger(trigger) => serin_lang::child::artifact_entry(trigger).is_some_and(|(_, name)| name == job.name),
        _ => false,
    };
    let needed = match (&by.needs, &by.dependencies) {
        (Some(needs), _) => needs.iter().any(|need| need.job == job.name),
        (None, Some(dependencies)) => job.stage < by.stage && dependencies.contains(&job.name),
        (None, None) => job.stage < by.stage && job.when != When::Manual && hands_on(job),
    };
    included || needed
}

/// Whether later stages get something of the job.
fn hands_on(job: &Job) -> bool {
    let Work::Script(script) = &job.work else { return false };
    script.artifacts.as_ref().is_some_and(|artifacts| {
        artifacts.untracked || !artifacts.paths.is_empty() || artifacts.reports.iter().any(|(kind, _)| kind == "dotenv")
    })
}

fn hint(jobs: &[Job], name: &str) -> String {
    let similar = |job: &&Job| {
        let (a, b) = (job.name.to_lowercase(), name.to_lowercase());
        a.contains(&b) || b.contains(&a)
    };
    let found: Vec<String> = jobs.iter().filter(similar).take(3).map(|job| format!("`{}`", job.name)).collect();
    let first: Vec<String> = jobs.iter().take(8).map(|job| format!("`{}`", job.name)).collect();
    match (found.is_empty(), first.is_empty()) {
        (false, _) => format!("; did you mean {}?", found.join(" or ")),
        (true, false) => format!("; it has {}", first.join(", ")),
        (true, true) => String::new(),
    }
}
