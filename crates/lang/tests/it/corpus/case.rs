//! Cases with an `expect.json`: their `config` parts.

use std::path::Path;

use serde_json::Value;
use serin_lang::merged::Origins;
use serin_lang::{Compilation, Severity};

use super::expectation::{check_job, short};
use super::world::World;
use super::{Tally, folders, name};

pub fn walk(part: &Path) -> Tally {
    let mut tally = Tally::default();
    for folder in folders(part) {
        let Ok(bytes) = std::fs::read(folder.join("expect.json")) else { continue };
        let expect: Value = serde_json::from_slice(&bytes).unwrap();
        let uncertain = expect.get("uncertain").is_some_and(|value| *value != false && !value.is_null());
        match case(&folder, &expect) {
            Err(why) if uncertain => {
                tally.uncertain += 1;
                tally.remarks.push(format!("uncertain {}: {why}", name(&folder)));
            }
            outcome => tally.note(&name(&folder), outcome),
        }
    }
    tally
}

fn case(folder: &Path, expect: &Value) -> Result<(), String> {
    let entry = expect["entry"].as_str().unwrap_or(".gitlab-ci.yml");
    for scenario in expect["scenarios"].as_array().into_iter().flatten() {
        let Some(config) = scenario.get("config").filter(|config| config.is_object()) else { continue };
        let world = World::new(folder, scenario["context"].clone());
        let compiled = world.compile(entry)?;
        merged_is_the_same(&compiled, &world)?;
        check(&compiled, config, &world)
            .map_err(|why| format!("[{}] {why}", scenario["name"].as_str().unwrap_or_default()))?;
    }
    Ok(())
}

/// The merged file, printed and read again, makes the same pipeline.
fn merged_is_the_same(compiled: &Compilation, world: &World) -> Result<(), String> {
    if compiled.plan.is_none() {
        return Ok(());
    }
    let text = compiled.merged.yaml(Origins::Hidden);
    let again = world.compile_text(&text)?;
    if again.plan == compiled.plan {
        Ok(())
    } else {
        Err(format!("the merged file is another pipeline: {:?}\n{text}", errors(&again)))
    }
}

fn errors(compiled: &Compilation) -> Vec<String> {
    let errors = compiled.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    errors.map(|found| format!("{}:{}: {}", found.file, found.line, found.message)).collect()
}

fn check(compiled: &Compilation, config: &Value, world: &World) -> Result<(), String> {
    let errors = errors(compiled);
    if config["valid"] == false {
        return check_error(compiled, &config["error"], &errors);
    }
    if !errors.is_empty() {
        return Err(format!("should be valid: {}", errors.join(" | ")));
    }
    if config["pipeline_created"] == false {
        return if compiled.not_created.is_some() { Ok(()) } else { Err("should not be created".to_owned()) };
    }
    let Some(plan) = &compiled.plan else { return Err(format!("not created: {:?}", compiled.not_created)) };
    if let Some(expected) = config["jobs"].as_array() {
        let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
        let wanted: Vec<&str> = expected.iter().filter_map(|job| job["name"].as_str()).collect();
        if names != wanted {
            return Err(format!("jobs are {names:?}, not {wanted:?}"));
        }
        for ((job, detail), wanted) in plan.jobs.iter().zip(&compiled.details).zip(expected) {
            check_job(plan, job, detail, wanted, world).map_err(|why| format!("`{}`: {why}", job.name))?;
        }
    }
    for excluded in config["excluded"].as_array().into_iter().flatten() {
        if plan.jobs.iter().any(|job| Some(job.name.as_str()) == excluded.as_str()) {
            return Err(format!("{excluded} should not be there"));
        }
    }
    if let Some(stages) = config["stages"].as_array() {
        let wanted: Vec<&str> = stages.iter().filter_map(Value::as_str).collect();
        if plan.stages != wanted {
            return Err(format!("stages are {:?}, not {wanted:?}", plan.stages));
        }
    }
    for (key, value) in config["global_variables"].as_object().into_iter().flatten() {
        let found = plan.variables.iter().find(|variable| variable.key == *key).map(|variable| variable.value.as_str());
        if found != value.as_str() {
            return Err(format!("variable {key} is {found:?}, not {value}"));
        }
    }
    Ok(())
}

fn check_error(compiled: &Compilation, expected: &Value, errors: &[String]) -> Result<(), String> {
    if errors.is_empty() {
        return Err(format!("should be refused: {}", short(expected)));
    }
    let all = errors.join(" | ");
    for mention in expected["mentions"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !all.contains(mention) {
            return Err(format!("no error mentions `{mention}`: {all}"));
        }
    }
    if compiled.diagnostics.iter().any(|found| found.line == 0 || found.column == 0) {
        return Err(format!("an error without a place: {all}"));
    }
    Ok(())
}
