//! `serin explain`: why a job is there, and where everything in it came from.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use serin_lang::merged::{Explanation, VariableOrigin, VariableSource};
use serin_lang::{JobDetail, Location, Reason, SourceFile};
use serin_model::plan::Job;

use super::list;
use super::table::{Cell, draw};
use crate::cli::{Explain, Format};
use crate::terminal::{self, BOLD, CYAN, DIM, GREEN, YELLOW, plain, styled};
use crate::worktree::Local;

/// Characters of one value in the table.
const VALUE_CHARS_MAX: usize = 60;
/// Names that are suggested where a job is not there.
const SUGGESTED_MAX: usize = 10;

/// Explains the job; exit code 1 where the files have errors.
pub fn run(explain: &Explain) -> Result<ExitCode> {
    let Some(local) = super::compiled(&explain.of)? else { return Ok(ExitCode::from(1)) };
    let Some(mut explanation) = local.compilation.explain(&explain.job, &local.context) else {
        let known = local.compilation.details.iter().chain(&local.compilation.excluded);
        let names: Vec<String> = known.map(|detail| format!("`{}`", plain(&detail.job))).take(SUGGESTED_MAX).collect();
        bail!("there is no job `{}`; there are {}", explain.job, names.join(", "));
    };
    // What a person keeps beside the repository is a secret whatever it is called.
    let kept = explanation.variables.iter_mut().filter(|variable| variable.source == VariableSource::Project);
    kept.for_each(|variable| "[MASKED]".clone_into(&mut variable.value));
    match explain.format {
        Format::Json => terminal::json(&json(&local, &explanation)?)?,
        Format::Text => terminal::line(&text(&local, &explanation)),
    }
    Ok(ExitCode::SUCCESS)
}

fn planned<'l>(local: &'l Local, detail: &JobDetail) -> Option<&'l Job> {
    local.compilation.plan.as_ref()?.jobs.iter().find(|job| job.name == detail.job)
}

fn text(local: &Local, explanation: &Explanation) -> String {
    let mut lines = verdict(local, &explanation.detail);
    let keys: Vec<Vec<Cell>> = explanation
        .keys
        .iter()
        .map(|key| {
            let place =
                if key.from_default { format!("{}, default", place(&key.location)) } else { place(&key.location) };
            vec![
                Cell::styled(&format!("  {}", key.key), CYAN),
                Cell::new(&short(&key.value)),
                Cell::styled(&place, DIM),
            ]
        })
        .collect();
    lines.push(String::new());
    lines.push(styled(BOLD, "keys"));
    lines.push(draw(&["", "", ""], &keys));
    if !explanation.variables.is_empty() {
        let variables: Vec<Vec<Cell>> = explanation
            .variables
            .iter()
            .map(|variable| {
                vec![
                    Cell::styled(&format!("  {}", variable.key), CYAN),
                    Cell::new(&short(&variable.value)),
                    Cell::styled(&came_from(variable), DIM),
                ]
            })
            .collect();
        lines.push(String::new());
        lines.push(styled(BOLD, "variables"));
        lines.push(draw(&["", "", ""], &variables));
    }
    lines.join("\n")
}

fn verdict(local: &Local, detail: &JobDetail) -> Vec<String> {
    let name = styled(BOLD, &plain(&detail.job));
    let mut lines = vec![if local.compilation.plan.is_none() && detail.included {
        format!("{name} {}", styled(YELLOW, "would be in the pipeline, if there were one"))
    } else if detail.included {
        format!("{name} {}", styled(GREEN, "is in the pipeline"))
    } else {
        format!("{name} {}", styled(YELLOW, "is not in the pipeline"))
    }];
    let why = match (detail.reason, detail.included) {
        (Reason::NoRules, _) => "it has no rules",
        (Reason::Rule, true) => "the first rule that holds is",
        (Reason::Rule, false) => "the first rule that holds says never",
        (Reason::NoRuleHolds, _) => "it has rules, and none holds",
        (Reason::Filter, true) => "`only` and `except` let it in",
        (Reason::Filter, false) => {
            "`only` and `except` keep it out; without them and without rules a job runs for branches and tags"
        }
    };
    let rule = detail.rule.as_ref();
    lines.push(format!("  because {why}{}", rule.map_or_else(String::new, |rule| format!(" {}", place(rule)))));
    if let Some(line) = rule.and_then(|rule| source_line(&local.compilation.sources, rule)) {
        lines.push(format!("    {}", styled(DIM, &plain(line.trim()))));
    }
    lines.push(format!("  defined at {}", place(&detail.defined)));
    if let (Some(plan), Some(job)) = (&local.compilation.plan, planned(local, detail)) {
        lines.push(format!("  stage {}, when {}", plain(list::stage(plan, job)), job.when.as_str()));
        if let Some(needs) = &job.needs {
            let names: Vec<String> = needs.iter().map(|need| plain(&need.job)).collect();
            let names = if names.is_empty() { "nothing, and starts at once".to_owned() } else { names.join(", ") };
            lines.push(format!("  needs {names}"));
        }
    }
    lines
}

fn source_line<'s>(sources: &'s [SourceFile], place: &Location) -> Option<std::borrow::Cow<'s, str>> {
    let source = sources.iter().find(|source| source.path == place.file)?;
    let at = (place.line as usize).checked_sub(1)?;
    Some(match source.text() {
        std::borrow::Cow::Borrowed(text) => text.lines().nth(at)?.into(),
        std::borrow::Cow::Owned(text) => text.lines().nth(at)?.to_owned().into(),
    })
}

fn place(location: &Location) -> String {
    format!("{}:{}:{}", plain(&location.file), location.line, location.column)
}

fn came_from(variable: &VariableOrigin) -> String {
    let source = word(variable.source);
    match &variable.location {
        Some(location) => format!("{source}, {}", place(location)),
        None => source.to_owned(),
    }
}

fn word(source: VariableSource) -> &'static str {
    match source {
        VariableSource::Global => "global",
        VariableSource::Workflow => "workflow",
        VariableSource::Job => "job",
        VariableSource::Parallel => "parallel",
        VariableSource::Rule => "rule",
        VariableSource::Group => "group",
        VariableSource::Project => ".serin.env",
        VariableSource::Pipeline => "--var",
    }
}

fn short(value: &str) -> String {
    let mut chars = value.chars();
    let mut short: String = chars.by_ref().take(VALUE_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

fn json(local: &Local, explanation: &Explanation) -> Result<Value> {
    let detail = &explanation.detail;
    let location = |place: &Location| json!({ "file": place.file, "line": place.line, "column": place.column });
    let keys = explanation.keys.iter().map(|key| {
        let value: Value = serde_json::from_str(&key.value)?;
        Ok(json!({
            "key": key.key, "value": value, "from_default": key.from_default, "location": location(&key.location),
        }))
    });
    let variables = explanation.variables.iter().map(|variable| {
        json!({
            "key": variable.key,
            "value": variable.value,
            "source": format!("{:?}", variable.source).to_lowercase(),
            "location": variable.location.as_ref().map(location),
        })
    });
    let reason = match detail.reason {
        Reason::NoRules => "no_rules",
        Reason::Rule => "rule",
        Reason::NoRuleHolds => "no_rule_holds",
        Reason::Filter => "only_except",
    };
    Ok(json!({
        "name": detail.job,
        "included": detail.included,
        "reason": reason,
        "rule": detail.rule.as_ref().map(location),
        "defined": location(&detail.defined),
        "when": planned(local, detail).map(|job| job.when.as_str()),
        "keys": keys.collect::<Result<Vec<_>>>()?,
        "variables": variables.collect::<Vec<_>>(),
    }))
}
