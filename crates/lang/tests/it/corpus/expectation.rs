//! One job of a plan against what a case says of it.

use serde_json::{Value, json};
use serin_lang::JobDetail;
use serin_lang::duration::parse_ms;
use serin_lang::expand::{Unknown, expand};
use serin_model::plan::{
    AllowFailure, Artifacts, ArtifactsWhen, Cache, Environment, Image, Job, Plan, Script, Trigger, When, Work,
};

use super::world::{SHA, World, text};

pub fn short(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}

type Outcome = Result<(), String>;

pub fn check_job(plan: &Plan, job: &Job, detail: &JobDetail, wanted: &Value, world: &World) -> Outcome {
    for (key, value) in wanted.as_object().into_iter().flatten() {
        if key == "name" {
            continue;
        }
        if key == "cache" {
            caches(job, value, world)?;
            continue;
        }
        let found = attribute(plan, job, detail, key, value)?;
        same(key, &found, value)?;
    }
    Ok(())
}

/// `null` and `[]` both say "none"; mappings are compared by the keys that are listed.
fn same(key: &str, found: &Value, wanted: &Value) -> Outcome {
    let empty = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    let holds = match (found, wanted) {
        (found, wanted) if empty(found) && empty(wanted) => true,
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| same(key, found, value).is_ok()))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| same(key, found, wanted).is_ok())
        }
        (Value::String(found), Value::String(wanted)) => *found == wanted.replace("<sha>", SHA),
        _ => found == wanted,
    };
    if holds { Ok(()) } else { Err(format!("{key} is {}, not {}", short(found), short(wanted))) }
}

fn attribute(plan: &Plan, job: &Job, detail: &JobDetail, key: &str, wanted: &Value) -> Result<Value, String> {
    let empty = Script::default();
    let script = if let Work::Script(script) = &job.work { script } else { &empty };
    Ok(match key {
        "stage" => json!(plan.stages[job.stage]),
        "when" => json!(job.when.as_str()),
        "allow_failure" => json!(job.allow_failure == AllowFailure::Yes),
        "allow_failure_exit_codes" => match &job.allow_failure {
            AllowFailure::ExitCodes(codes) => json!(codes),
            _ => Value::Null,
        },
        "script" => json!(script.script),
        "before_script" => json!(script.before_script),
        "after_script" => json!(script.after_script),
        "hooks" => json!({"pre_get_sources_script": script.pre_get_sources_script}),
        "variables" => {
            let pairs = job.variables.iter().map(|variable| (variable.key.clone(), json!(variable.value)));
            if wanted.as_object().is_some_and(serde_json::Map::is_empty) {
                json!({})
            } else {
                Value::Object(pairs.collect())
            }
        }
        "needs" => needs(job, wanted),
        "image" => script.image.as_ref().map_or(Value::Null, |image| json!(image.name)),
        "services" => Value::Array(script.services.iter().map(service).collect()),
        "tags" => json!(job.tags),
        "environment" => job.environment.as_ref().map_or(Value::Null, environment),
        "trigger" => trigger(job, wanted),
        "interruptible" => json!(job.interruptible),
        "resource_group" => json!(job.resource_group),
        "retry" => json!({"max": job.retry.max, "when": job.retry.when, "exit_codes": job.retry.exit_codes}),
        "timeout" => json!(job.timeout_ms.map(|ms| ms / 1000)),
        "start_in" => match job.when {
            When::Delayed { start_in_ms } if parse_ms(&text(wanted)) == Some(start_in_ms) => wanted.clone(),
            _ => Value::Null,
        },
        "artifacts_expire_seconds" => json!(script.artifacts.as_ref().and_then(expiry)),
        "manual_confirmation" => json!(job.manual_confirmation),
        "id_tokens" => id_tokens(detail),
        "artifacts" => script.artifacts.as_ref().map_or(Value::Null, artifacts),
        "coverage" => json!(script.coverage.as_ref().map(|pattern| format!("/{pattern}/"))),
        "release" | "secrets" | "pages" | "run" | "inputs" | "identity" => extra(detail, key),
        _ => return Err(format!("the test does not know the attribute `{key}`")),
    })
}

fn extra(detail: &JobDetail, key: &str) -> Value {
    let json = detail.extra.iter().find(|(name, _)| name == key).map(|(_, json)| json.as_str());
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or(Value::Null)
}

fn expiry(artifacts: &Artifacts) -> Option<i64> {
    artifacts.expire_in_ms.filter(|ms| *ms != i64::MAX).map(|ms| ms / 1000)
}

fn moment(when: ArtifactsWhen) -> &'static str {
    match when {
        ArtifactsWhen::OnSuccess => "on_success",
        ArtifactsWhen::OnFailure => "on_failure",
        ArtifactsWhen::Always => "always",
    }
}

fn artifacts(artifacts: &Artifacts) -> Value {
    json!({
        "name": artifacts.name, "paths": artifacts.paths, "exclude": artifacts.exclude, "untracked": artifacts.untracked,
        "when": moment(artifacts.when), "expose_as": artifacts.expose_as, "access": artifacts.access,
        "reports": Value::Object(artifacts.reports.iter().map(|(kind, paths)| (kind.clone(), json!(paths))).collect()),
    })
}

/// Names, and mappings where the case writes them so.
fn needs(job: &Job, wanted: &Value) -> Value {
    let Some(needs) = &job.needs else { return json!("no needs") };
    let shown = needs.iter().enumerate().map(|(at, need)| {
        let hash = wanted.get(at).is_some_and(Value::is_object);
        if hash { json!({"job": need.job, "artifacts": need.artifacts, "optional": false}) } else { json!(need.job) }
    });
    Value::Array(shown.collect())
}

fn service(image: &Image) -> Value {
    let variables = image.variables.iter().map(|variable| (variable.key.clone(), json!(variable.value)));
    json!({
        "name": image.name, "alias": image.aliases.join(","), "command": image.command, "entrypoint": image.entrypoint,
        "variables": Value::Object(variables.collect()), "pull_policy": image.pull_policy,
    })
}

fn environment(environment: &Environment) -> Value {
    json!({
        "name": environment.name, "url": environment.url, "action": environment.action, "on_stop": environment.on_stop,
        "auto_stop_in": environment.auto_stop_in, "deployment_tier": environment.deployment_tier,
    })
}

fn trigger(job: &Job, wanted: &Value) -> Value {
    let Work::Trigger(trigger) = &job.work else { return Value::Null };
    let Trigger { project, branch, include, strategy, .. } = &**trigger;
    if wanted == "child" && project.is_none() && !include.is_empty() {
        return json!("child");
    }
    json!({
        "project": project, "branch": branch, "strategy": strategy,
        "forward": {"yaml_variables": trigger.forward_yaml_variables, "pipeline_variables": trigger.forward_pipeline_variables},
    })
}

fn id_tokens(detail: &JobDetail) -> Value {
    let mut tokens = extra(detail, "id_tokens");
    for token in tokens.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
        if token["aud"].is_string() {
            token["aud"] = json!([token["aud"]]);
        }
    }
    tokens
}

fn caches(job: &Job, wanted: &Value, world: &World) -> Outcome {
    let Work::Script(script) = &job.work else { return Err("no script".to_owned()) };
    let found: Vec<Value> = script.caches.iter().map(|cache| self::cache(job, cache, world)).collect();
    same("cache", &Value::Array(found), wanted)
}

/// A cache as the runner would see it: variables expanded, a key of files that are not there ends in `default`.
fn cache(job: &Job, cache: &Cache, world: &World) -> Value {
    let lookup =
        |name: &str| job.variables.iter().find(|variable| variable.key == name).map(|variable| variable.value.as_str());
    let expanded = |text: &String| expand(text, &lookup, Unknown::Keep);
    let listing = world.listing();
    let there = cache.key_files.iter().any(|file| listing.contains(file));
    let key = match (&cache.key, cache.key_files.is_empty(), there) {
        (Some(prefix), false, false) => format!("{prefix}-default"),
        (None, false, false) => "default".to_owned(),
        (key, ..) => key.as_ref().map_or_else(|| "default".to_owned(), expanded),
    };
    json!({
        "key": key, "paths": cache.paths, "untracked": cache.untracked, "unprotect": cache.unprotect,
        "policy": cache.policy.as_ref().map_or_else(|| "pull-push".to_owned(), expanded),
        "when": moment(cache.when), "fallback_keys": cache.fallback_keys,
    })
}
