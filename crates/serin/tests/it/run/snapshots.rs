//! The whole output of `serin run`, with and without colour; times and places are replaced.

use regex::Regex;

use super::project;
use crate::project::{Project, Said};

const PIPELINE: &str = "stages: [build, test, deploy]
build:
  stage: build
  image: alpine
  script: [echo building, mkdir out, echo 1 > out/x]
  artifacts: {paths: [out]}
lint:
  stage: build
  script: [echo odd, exit 3]
  allow_failure: true
test:
  stage: test
  script: [cat out/x, echo failing, exit 4]
  artifacts: {paths: [out], when: always}
child:
  stage: test
  needs: []
  trigger: {include: child.yml, strategy: depend}
deploy: {stage: deploy, script: [echo deploy]}
by-hand: {stage: test, script: [echo x], when: manual}
package: {stage: test, serin: {action: package}}
";

fn made() -> Project {
    let project = project(PIPELINE);
    project.write("child.yml", "inner: {script: [echo inside]}\n");
    project
}

fn shown(project: &Project, said: &Said) -> String {
    let text = format!("exit code {}\n{}{}", said.code, said.output, said.errors);
    let text = Regex::new(r"\d+\.\d s|\b\d+ s\b").unwrap().replace_all(&text, "0.0 s").into_owned();
    let cache =
        Regex::new(&format!(r"{}/cache/run/demo-[0-9a-f]+", regex::escape(&project.above().display().to_string())));
    let text = cache.unwrap().replace_all(&text, "CACHE").into_owned();
    text.replace('\x1b', "␛")
}

fn run(args: &[&str], colour: bool) -> String {
    let project = made();
    let mut command = project.command(&[&["run", "-j", "1"], args].concat());
    if colour {
        command.env("CLICOLOR_FORCE", "1");
    }
    let said = Said::of(&command.output().unwrap());
    shown(&project, &said)
}

#[test]
fn a_failing_pipeline() {
    insta::assert_snapshot!("failing", run(&[], false));
}

#[test]
fn a_failing_pipeline_in_colour() {
    insta::assert_snapshot!("failing_in_colour", run(&[], true));
}

#[test]
fn a_pipeline_that_goes_well() {
    insta::assert_snapshot!("well", run(&["child", "by-hand"], false));
}

#[test]
fn what_would_run() {
    insta::assert_snapshot!("dry", run(&["--dry-run"], false));
    insta::assert_snapshot!("dry_in_colour", run(&["--dry-run"], true));
}

#[test]
fn no_pipeline_and_a_broken_file() {
    let project = project("a: {script: x, rules: [{if: $NEVER}]}");
    insta::assert_snapshot!("none", shown(&project, &project.serin(&["run"])));
    project.write(".gitlab-ci.yml", "a: {scrip: x}");
    insta::assert_snapshot!("broken", shown(&project, &project.serin(&["run"])));
}
