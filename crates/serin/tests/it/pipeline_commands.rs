//! `lint`, `list`, `explain`, `compile`, `graph`, `schema`: their whole output, with and without colours.

use super::folder::{Colors, Folder};

const PIPELINE: &str = "\
stages: [build, test, deploy]
include: ci/common.yml
default:
  image: rust:1
variables:
  PROFILE: release

compile:
  extends: .common
  stage: build
  script: [make]
  artifacts: {paths: [out]}
unit:
  stage: test
  needs: [compile]
  script: make test $PY
  parallel:
    matrix:
      - PY: [\"3.11\", \"3.12\"]
style:
  stage: test
  needs: []
  script: make style
  allow_failure: true
deploy:
  stage: deploy
  variables: {TARGET: production}
  script: make deploy
  environment: production
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      when: manual
      variables: {TARGET: main}
review:
  stage: deploy
  script: make review
  rules:
    - if: $CI_MERGE_REQUEST_IID
";

const COMMON: &str = ".common:\n  before_script: [. ci/env.sh]\n  retry: 1\n";

const BROKEN: &str = "\
include: ci/broken.yml
compile:
  scrpt: make
test:
  needs: [complie]
  script: make test
  script: make tests
never:
  script: exit
  rules: [{if: '$A ==', when: never}]
";

fn shop() -> Folder {
    let folder = Folder::new(&[(".gitlab-ci.yml", PIPELINE), ("ci/common.yml", COMMON)]);
    std::fs::write(folder.path.join(".serin.env"), "# mine\nTOKEN=abcdefghijklmnop\nPIN='1234'\n").unwrap();
    folder
}

fn snapshot(name: &str, folder: &Folder, arguments: &[&str]) {
    insta::assert_snapshot!(name, folder.shown(arguments, Colors::Off));
    insta::assert_snapshot!(format!("{name}_colored"), folder.shown(arguments, Colors::On));
}

#[test]
fn lint() {
    let files = [(".gitlab-ci.yml", BROKEN), ("ci/broken.yml", "other:\n  stage: [a]\n  script: x\n")];
    let folder = Folder::new(&files);
    snapshot("lint_broken", &folder, &["lint"]);
    insta::assert_snapshot!("lint_json", folder.shown(&["lint", "--format", "json"], Colors::On));
    insta::assert_snapshot!("lint_sarif", folder.shown(&["lint", "--format", "sarif"], Colors::On));
    snapshot("lint_clean", &shop(), &["lint"]);
}

#[test]
fn list() {
    let folder = shop();
    snapshot("list", &folder, &["list"]);
    snapshot("list_all", &folder, &["list", "--all", "--event", "merge_request"]);
    insta::assert_snapshot!("list_json", folder.shown(&["list", "--format", "json"], Colors::On));
    insta::assert_snapshot!("list_none", folder.shown(&["list", "--file", "ci/common.yml"], Colors::Off));
}

#[test]
fn explain() {
    let folder = shop();
    snapshot("explain", &folder, &["explain", "deploy", "--var", "X=1"]);
    snapshot("explain_left_out", &folder, &["explain", "review"]);
    insta::assert_snapshot!("explain_unknown", folder.shown(&["explain", "nope"], Colors::Off));
    let json = folder.shown(&["explain", "compile", "--format", "json"], Colors::On);
    insta::assert_snapshot!("explain_json", json);
    for arguments in [["explain", "deploy"], ["explain", "unit"]] {
        let shown = folder.shown(&arguments, Colors::Off);
        assert!(!shown.contains("abcdefgh") && !shown.contains("1234"), "{shown}");
    }
}

#[test]
fn graph() {
    let folder = shop();
    snapshot("graph", &folder, &["graph"]);
    for format in ["svg", "mermaid", "json"] {
        insta::assert_snapshot!(format!("graph_{format}"), folder.shown(&["graph", "--format", format], Colors::On));
    }
}

#[test]
fn compile() {
    let folder = shop();
    insta::assert_snapshot!("compile", folder.shown(&["compile"], Colors::On));
    // The merged file makes the same pipeline as the files that it came from.
    let merged = folder.stdout(&["compile", "--no-origins"]);
    std::fs::write(folder.path.join("merged.yml"), merged).unwrap();
    assert_eq!(folder.stdout(&["list"]), folder.stdout(&["list", "--file", "merged.yml"]));
    let json: serde_json::Value = serde_json::from_str(&folder.stdout(&["compile", "--format", "json"])).unwrap();
    assert_eq!(json["compile"]["retry"], 1);
}

#[test]
fn schemas_are_json() {
    let folder = shop();
    for (of, key) in [("pipeline", "stages"), ("service", "")] {
        let schema: serde_json::Value = serde_json::from_str(&folder.stdout(&["schema", of])).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(key.is_empty() || schema["properties"][key].is_object(), "{schema}");
    }
}

#[test]
fn events_decide() {
    let folder = Folder::new(&[(
        ".gitlab-ci.yml",
        "on-main: {script: x, rules: [{if: $CI_COMMIT_BRANCH == 'main'}]}\n\
         on-fix: {script: x, rules: [{if: $CI_COMMIT_BRANCH == 'fix'}]}\n\
         on-tag: {script: x, rules: [{if: $CI_COMMIT_TAG == 'v1'}]}\n\
         on-mr: {script: x, rules: [{if: $CI_MERGE_REQUEST_TARGET_BRANCH_NAME == 'main'}]}\n\
         on-var: {script: x, rules: [{if: $GO == 'yes'}]}\n\
         on-change: {script: x, rules: [{if: $CI_COMMIT_BRANCH == 'fix', changes: [src/*]}]}\n",
    )]);
    let names = |arguments: &[&str]| -> Vec<String> {
        let all = [&["list", "--format", "json"], arguments].concat();
        let jobs: Vec<serde_json::Value> = serde_json::from_str(&folder.stdout(&all)).unwrap();
        jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]), ["on-main"]);
    assert_eq!(names(&["--var", "GO=yes"]), ["on-main", "on-var"]);
    assert_eq!(names(&["--tag", "v1"]), ["on-tag"]);
    assert_eq!(names(&["--event", "merge_request", "--branch", "fix"]), ["on-mr"]);
    assert_eq!(names(&["--branch", "fix"]), ["on-fix"]);
    folder.git(&folder.path, &["checkout", "--quiet", "-b", "fix"]);
    std::fs::create_dir(folder.path.join("src")).unwrap();
    std::fs::write(folder.path.join("src/new"), "").unwrap();
    assert_eq!(names(&[]), ["on-fix", "on-change"]);
    let refused = folder.output(&["list", "--event", "tag"], Colors::Off);
    assert_eq!(refused.status.code(), Some(1));
}
