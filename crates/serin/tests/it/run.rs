//! `serin run`: what it prints, leaves and ends.

mod builtin;
mod interrupt;
mod quality;
mod snapshots;
mod terminal;
mod watch;

use std::path::{Path, PathBuf};

use crate::project::{Project, Said};

/// A project of that pipeline, with one commit.
pub fn project(pipeline: &str) -> Project {
    let project = Project::new("demo", "main");
    project.write(".gitlab-ci.yml", pipeline);
    project.commit("first");
    project
}

fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.output).unwrap_or_else(|_| panic!("{}{}", said.output, said.errors))
}

fn statuses(outcome: &serde_json::Value) -> Vec<String> {
    let jobs = outcome["jobs"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    jobs.iter().map(|job| format!("{} {}", text(&job["name"]), text(&job["status"]))).collect()
}

#[test]
fn a_persons_folder_is_never_touched_and_uncommitted_changes_are_seen() {
    let project = project("a: {script: ['cat file', 'echo changed > file', 'touch new', 'git status --porcelain']}");
    project.write("file", "uncommitted");
    let said = project.serin(&["run"]);
    assert_eq!(said.code, 0, "{}", said.errors);
    assert!(said.output.contains("a | uncommitted"), "{}", said.output);
    assert_eq!(std::fs::read_to_string(project.root().join("file")).unwrap(), "uncommitted");
    assert!(!project.root().join("new").exists());
}

#[test]
fn jobs_after_one_another_do_not_see_each_others_files() {
    let jobs: String = (0..6)
        .map(|i| format!("j{i}: {{script: ['ls -A', 'test ! -e made', 'touch made', 'echo {i} > kept']}}\n"))
        .collect();
    let project = Project::new("demo", "main");
    project.write(".gitlab-ci.yml", jobs);
    project.write("kept", "as it was");
    project.commit("first");
    let said = project.serin(&["run", "-j", "2"]);
    assert_eq!(said.code, 0, "{}", said.output);
}

#[test]
fn the_next_run_finds_the_tree_as_it_is_then() {
    let project =
        project("a: {script: ['cat file deep/other', 'ls -A deep', 'echo spoiled > file', 'touch deep/junk']}");
    project.write("file", "one\n");
    project.write("deep/other", "two\n");
    project.write("deep/gone", "");
    assert!(project.serin(&["run"]).output.contains("a | one\na | two\na |"));
    std::fs::remove_file(project.root().join("deep/gone")).unwrap();
    project.write("deep/other", "six\n");
    let said = project.serin(&["run"]);
    assert!(said.output.contains("a | one\na | six\n"), "{}", said.output);
    assert!(!said.output.contains("a | gone") && !said.output.contains("a | junk"), "{}", said.output);
}

#[test]
fn logs_of_the_last_five_runs_are_kept_and_hold_nothing_older() {
    let project = Project::new("demo", "main");
    let log = |run: &Path, job: &str| std::fs::read_to_string(run.join(format!("logs/{job}.log")));
    let folder = |outcome: &serde_json::Value| PathBuf::from(outcome["run"].as_str().unwrap());
    let mut runs = Vec::new();
    for number in 1..=8 {
        // Each run says less than the one before, and half of its jobs are others.
        let lines = format!("echo run {number}{}", "; echo more".repeat(9 - number));
        project
            .write(".gitlab-ci.yml", format!("same: {{script: '{lines}'}}\nother-{number}: {{script: '{lines}'}}\n"));
        runs.push(folder(&json(&project.serin(&["run", "--format", "json"]))));
    }
    let old = &runs[..3];
    assert!(old.iter().all(|run| !run.exists()), "{old:?}");
    for (index, run) in runs.iter().enumerate().skip(3) {
        let number = index + 1;
        let other = format!("other-{number}");
        for job in ["same", other.as_str()] {
            let text = log(run, job).unwrap();
            let said: Vec<&str> = text.lines().filter(|line| *line == "more" || line.starts_with("run ")).collect();
            let expected = [format!("run {number}")].into_iter().chain(vec!["more".to_owned(); 9 - number]);
            assert_eq!(said, expected.collect::<Vec<_>>(), "{text}");
            assert!(
                text.starts_with("Running with serin") && text.trim_end().ends_with("Job succeeded\u{1b}[0;m"),
                "{text}"
            );
        }
        assert_eq!(std::fs::read_dir(run.join("logs")).unwrap().count(), 2);
        assert!(!run.join("spare").exists());
    }
}

#[test]
fn a_delayed_job_need_not_be_waited_for() {
    let project = project("a: {script: 'true', when: delayed, start_in: 1 week}");
    let said = project.serin(&["run", "--no-delay", "--format", "json"]);
    assert_eq!(statuses(&json(&said)), ["a success"]);
}

#[test]
fn named_jobs_run_with_what_they_need() {
    let project = project(
        "stages: [build, test, deploy]\n\
         build: {stage: build, script: 'touch out', artifacts: {paths: [out]}}\n\
         lint: {stage: build, script: 'false'}\n\
         test: {stage: test, script: 'test -e out'}\n\
         deploy: {stage: deploy, script: 'true', needs: [test], when: manual}\n",
    );
    let run = |args: &[&str]| json(&project.serin(&[&["run", "--format", "json"], args].concat()));
    assert_eq!(statuses(&run(&["test"])), ["build success", "test success"]);
    assert_eq!(statuses(&run(&["deploy"])), ["build success", "test success", "deploy success"]);
    assert_eq!(statuses(&run(&["test", "--no-needs"])), ["test failed"]);
    let said = project.serin(&["run", "tets"]);
    assert_eq!(said.code, 1);
    assert!(said.errors.contains("the pipeline has no job `tets`"), "{}", said.errors);
}

#[test]
fn secrets_are_hidden_and_extra_secrets_come_from_the_environment() {
    let project = project("a: {script: ['echo \"$TOKEN $OTHER $FILED $MODE\"'], rules: [{if: $TOKEN}]}");
    project.write(".serin.env", "FILED=filed-secret-1\nMODE=production\n[plain]\nSHOWN=shown-anyway\n");
    let mut command = project.command(&["run", "--secret", "TOKEN", "--secret", "OTHER=other-secret"]);
    let said = Said::of(&command.env("TOKEN", "token-secret").output().unwrap());
    assert!(said.output.contains("a | [MASKED] [MASKED] [MASKED] production"), "{}", said.output);
}

#[test]
fn only_failed_and_cached_take_what_is_known() {
    let project = project(
        "stages: [one, two]\n\
         make: {stage: one, script: 'date +%N > out', artifacts: {paths: [out], reports: {dotenv: v.env}}, before_script: ['echo V=1 > v.env']}\n\
         use: {stage: two, script: ['cat out', 'test \"$V\" = 1', 'test -e fixed']}\n",
    );
    let run = |args: &[&str]| json(&project.serin(&[&["run", "--format", "json"], args].concat()));
    assert_eq!(statuses(&run(&[])), ["make success", "use failed"]);
    let before = std::fs::read_to_string(project.root().join(".gitlab-ci.yml")).unwrap();
    let again = run(&["--only-failed"]);
    assert_eq!(
        (statuses(&again), &again["jobs"][0]["taken_from_run"]),
        (vec!["make success".into(), "use failed".into()], &1.into())
    );
    project.write(".gitlab-ci.yml", before.replace(", 'test -e fixed'", ""));
    assert_eq!(statuses(&run(&["--only-failed"])), ["make success", "use success"]);
    let first = run(&["--cached"]);
    let second = run(&["--cached"]);
    assert!(first["jobs"][1]["taken_from_run"].is_null(), "{first}");
    assert_eq!(second["jobs"][1]["taken_from_run"], first["number"], "{second}");
    project.write("other", "changed");
    assert!(run(&["--cached"])["jobs"][0]["taken_from_run"].is_null());
}

#[test]
fn a_folder_outside_of_git_runs_as_well() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".gitlab-ci.yml"), "a: {script: 'cat data'}").unwrap();
    std::fs::write(folder.path().join("data"), "here").unwrap();
    let project = Project::new("unused", "main");
    let output = project.command(&["run", "--offline"]).current_dir(folder.path()).output().unwrap();
    let said = Said::of(&output);
    assert!(said.code == 0 && said.output.contains("a | here"), "{}{}", said.output, said.errors);
}

#[test]
fn a_resource_group_lets_one_job_after_the_other() {
    let job = |name: &str| {
        format!("{name}: {{resource_group: g, script: ['mkdir \"$LOCK\"', 'sleep 0.1', 'rmdir \"$LOCK\"']}}\n")
    };
    let project = project(&["a", "b", "c"].map(job).concat());
    let lock = format!("LOCK={}", project.above().join("lock").display());
    let said = project.serin(&["run", "-j", "3", "--var", &lock]);
    assert_eq!(said.code, 0, "{}", said.output);
}

#[test]
fn caches_outlive_the_run_and_policies_hold() {
    let project = project(
        "variables: {GIT_STRATEGY: empty}\n\
         fill: {script: 'cat c/x || true; mkdir -p c; echo $RUN > c/x', cache: {key: k, paths: [c]}, stage: build}\n\
         pull: {script: 'cat c/x; echo spoiled > c/x', cache: {key: k, paths: [c], policy: pull}}\n",
    );
    let run = |number: &str| project.serin(&["run", "--var", &format!("RUN={number}")]).output;
    run("one");
    let second = run("two");
    assert!(second.contains("fill | one") && second.contains("pull | two"), "{second}");
}

#[test]
fn time_outs_and_retries() {
    let project = project(
        "slow: {script: 'sleep 100', timeout: 1 second, allow_failure: true}\n\
         again: {script: 'echo x >> \"$COUNT\"; test $(wc -l < \"$COUNT\") = 3', retry: 2}\n",
    );
    let count = format!("COUNT={}", project.above().join("count").display());
    let outcome = json(&project.serin(&["run", "--format", "json", "--var", &count]));
    assert_eq!(statuses(&outcome), ["slow failed", "again success"], "{outcome}");
    assert_eq!(
        (&outcome["jobs"][1]["attempts"], &outcome["jobs"][0]["failure"]),
        (&3.into(), &"job_execution_timeout".into())
    );
}
