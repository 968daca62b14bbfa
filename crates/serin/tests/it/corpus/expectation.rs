//! What a run is expected to have come to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serin_objects::archive::{self, Limits};
use serin_objects::digest::sha256_hex;

/// A run that is over.
pub struct Ran {
    /// What `--format json` says.
    pub outcome: Value,
    pub code: i32,
    /// Texts of the case and what stands for them here.
    pub same: BTreeMap<String, String>,
}

/// Compares a run, or a child pipeline of it.
pub fn check(expected: &Value, ran: &Ran) -> Result<(), String> {
    let failed = ran.outcome["status"] == "failed";
    if failed != (ran.code == 1) || (!failed && ran.code != 0) {
        return Err(format!("exit code {} of a pipeline that is {}", ran.code, ran.outcome["status"]));
    }
    pipeline(expected, &ran.outcome, ran)
}

fn pipeline(expected: &Value, outcome: &Value, ran: &Ran) -> Result<(), String> {
    for (name, expected) in expected["jobs"].as_object().into_iter().flatten() {
        let job = job(outcome, name).ok_or_else(|| format!("there is no job `{name}`"))?;
        check_job(expected, job, ran).map_err(|why| format!("`{name}`: {why}\n{}", log(job)))?;
    }
    if let Some(status) = expected["pipeline_status"].as_str() {
        same("pipeline_status", &Value::from(status), &outcome["status"])?;
    }
    for order in expected["order"].as_array().into_iter().flatten() {
        started_in_order(order, outcome)?;
    }
    for (name, expected) in expected["children"].as_object().into_iter().flatten() {
        let trigger = job(outcome, name).ok_or_else(|| format!("there is no trigger job `{name}`"))?;
        if !trigger["child"].is_object() {
            return Err(format!("`{name}` made no child pipeline: {trigger}"));
        }
        pipeline(expected, &trigger["child"], ran).map_err(|why| format!("child of `{name}`: {why}"))?;
    }
    Ok(())
}

fn job<'a>(outcome: &'a Value, name: &str) -> Option<&'a Value> {
    outcome["jobs"].as_array()?.iter().find(|job| job["name"] == name)
}

fn started_in_order(order: &Value, outcome: &Value) -> Result<(), String> {
    let names: Vec<&str> = order.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let start = |name: &&str| job(outcome, name).and_then(|job| job["order"].as_u64());
    let starts: Vec<Option<u64>> = names.iter().map(start).collect();
    let rising = starts.windows(2).all(|pair| pair[0].is_some() && pair[0] < pair[1]);
    if rising { Ok(()) } else { Err(format!("{names:?} started as {starts:?}")) }
}

fn check_job(expected: &Value, job: &Value, ran: &Ran) -> Result<(), String> {
    for (key, wanted) in expected.as_object().into_iter().flatten() {
        match key.as_str() {
            "status" | "allowed_to_fail" | "exit_code" | "attempts" => same(key, wanted, &job[key])?,
            "coverage" => {
                let (a, b) = (wanted.as_f64().unwrap_or(-1.0), job["coverage"].as_f64().unwrap_or(-2.0));
                if (a - b).abs() > 1e-9 {
                    return Err(format!("coverage is {b}, not {a}"));
                }
            }
            "log_has" | "log_lacks" | "log_exact" | "log_order" => check_log(key, wanted, job)?,
            "files_present" | "files_absent" => check_files(key, wanted, job)?,
            "artifacts_has" | "artifacts_lacks" | "artifacts_empty" => check_artifacts(key, wanted, job)?,
            "cache_saved" | "cache_not_saved" => check_cache(key, wanted, &ran.outcome)?,
            "env" | "env_absent" => check_environment(key, wanted, (job, ran))?,
            other => return Err(format!("unknown expectation `{other}`")),
        }
    }
    Ok(())
}

fn same(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what} is {found}, not {expected}")) }
}

fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(word) => vec![word],
        other => other.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    }
}

fn check_log(key: &str, wanted: &Value, job: &Value) -> Result<(), String> {
    let lines = output(job);
    let text = lines.join("\n");
    match key {
        "log_exact" if words(wanted) != lines => Err(format!("the output is {lines:?}, not {wanted}")),
        "log_has" | "log_lacks" => {
            let has = key == "log_has";
            let wrong = words(wanted).into_iter().find(|word| text.contains(word) != has);
            wrong.map_or(Ok(()), |word| Err(format!("{key} {word:?}")))
        }
        "log_order" => {
            let lists = wanted.as_array().map_or(&[][..], Vec::as_slice);
            let nested = lists.iter().any(Value::is_array);
            let lists = if nested { lists.to_vec() } else { vec![wanted.clone()] };
            lists.iter().try_for_each(|list| in_order(&text, &words(list)))
        }
        _ => Ok(()),
    }
}

fn in_order(text: &str, words: &[&str]) -> Result<(), String> {
    let mut rest = text;
    for word in words {
        let (_, after) = rest.split_once(word).ok_or_else(|| format!("{words:?} do not follow each other"))?;
        rest = after;
    }
    Ok(())
}

fn log(job: &Value) -> String {
    let logs = job["logs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
}

/// What the job's scripts wrote: no colours, no commands, nothing of the runner.
fn output(job: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    // Output need not end its last line; the mark of a section's end follows at once then.
    let marks = regex::Regex::new(r"([^\nK])(section_(?:start|end):\d+:)").unwrap();
    let log = log(job);
    for line in marks.replace_all(&log, "$1\n$2").split('\n') {
        let mut line = line;
        let mut title = false;
        while let Some((mark, rest)) = line.split_once("\r\x1b[0K").filter(|(mark, _)| mark.starts_with("section_")) {
            let script = mark.ends_with(":step_script") || mark.ends_with(":after_script");
            title = script && mark.starts_with("section_start");
            inside = title;
            line = rest;
        }
        let command = line.starts_with("\x1b[32;1m$ ");
        if inside && !command && !title {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn check_files(key: &str, wanted: &Value, job: &Value) -> Result<(), String> {
    let folder = PathBuf::from(job["workspace"].as_str().ok_or("it has no workspace")?);
    let wrong = words(wanted).into_iter().find(|file| folder.join(file).exists() != (key == "files_present"));
    wrong.map_or(Ok(()), |file| Err(format!("{key} {file:?}")))
}

fn entries(archive: &Path) -> BTreeSet<String> {
    let listed = archive::list(archive, Limits::default()).unwrap_or_default();
    listed.into_iter().map(|entry| entry.path.trim_end_matches('/').to_owned()).collect()
}

fn check_artifacts(key: &str, wanted: &Value, job: &Value) -> Result<(), String> {
    let found = job["artifacts"].as_str().map(|path| entries(Path::new(path))).unwrap_or_default();
    let holds = match key {
        "artifacts_has" => words(wanted).iter().all(|path| found.contains(*path)),
        "artifacts_lacks" => words(wanted).iter().all(|path| !found.contains(*path)),
        _ => found.is_empty() == wanted.as_bool().unwrap_or(true),
    };
    if holds { Ok(()) } else { Err(format!("{key} {wanted}: the archive has {found:?}")) }
}

fn check_cache(key: &str, wanted: &Value, outcome: &Value) -> Result<(), String> {
    let caches = PathBuf::from(outcome["caches"].as_str().unwrap_or_default());
    let archive = |name: &str| caches.join(format!("{}.zip", sha256_hex(name.as_bytes())));
    if key == "cache_not_saved" {
        let saved = words(wanted).into_iter().find(|name| archive(name).exists());
        return saved.map_or(Ok(()), |name| Err(format!("the cache `{name}` was saved")));
    }
    for (name, paths) in wanted.as_object().into_iter().flatten() {
        let found = entries(&archive(name));
        if let Some(path) = words(paths).into_iter().find(|path| !found.contains(*path)) {
            return Err(format!("the cache `{name}` has no {path:?}: {found:?}"));
        }
    }
    Ok(())
}

fn check_environment(key: &str, wanted: &Value, (job, ran): (&Value, &Ran)) -> Result<(), String> {
    let workspace = PathBuf::from(job["workspace"].as_str().ok_or("it has no workspace")?);
    let dumped = std::fs::read(workspace.join("../environment")).map_err(|error| format!("environment: {error}"))?;
    let dumped = String::from_utf8_lossy(&dumped).into_owned();
    let found: BTreeMap<&str, &str> = dumped.split('\0').filter_map(|entry| entry.split_once('=')).collect();
    if key == "env_absent" {
        let present = words(wanted).into_iter().find(|name| found.contains_key(name));
        return present.map_or(Ok(()), |name| Err(format!("`{name}` is {:?}", found[name])));
    }
    for (name, value) in wanted.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = ran.same.get(&value).unwrap_or(&value);
        if found.get(name.as_str()) != Some(&value.as_str()) {
            return Err(format!("`{name}` is {:?}, not {value:?}", found.get(name.as_str())));
        }
    }
    Ok(())
}
