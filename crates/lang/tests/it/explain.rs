//! Where everything came from: explanations and the merged file.

use serin_lang::merged::{Origins, VariableSource};
use serin_lang::{Answer, Answers, Compilation, Context, Reason, Request, SettingVariable, SourceFile, Step, compile};
use serin_model::plan::Variable;

const FILE: &str = "\
include: [base.yml]
variables: {GLOBAL: g, OVER: g}
default: {image: alpine}
job:
  extends: .base
  variables: {OWN: o, OVER: j}
  rules:
    - if: $CI_COMMIT_TAG
    - if: $CI_COMMIT_BRANCH
      variables: {RULE: r}
out: {script: x, rules: [{if: $CI_COMMIT_TAG}]}
";
const BASE: &str = ".base:\n  script: [make]\n  variables: {BASE: b}\n";

fn done(context: &Context) -> Compilation {
    let mut answers = Answers::default();
    answers.give(Request::ProjectFile { path: "base.yml".to_owned() }, Answer::File(BASE.as_bytes().to_vec()));
    match compile(&SourceFile::new(".gitlab-ci.yml", FILE), context, &answers) {
        Step::Done(done) => *done,
        Step::Ask(requests) => panic!("{requests:?}"),
    }
}

fn context() -> Context {
    let secret = Variable { masked: true, ..Variable::plain("OWN", "hidden-secret") };
    Context {
        branch: Some("main".to_owned()),
        default_branch: "main".to_owned(),
        project_variables: vec![SettingVariable { variable: secret, ..SettingVariable::plain("", "") }],
        ..Context::default()
    }
}

#[test]
fn a_job_is_explained() {
    let context = context();
    let explanation = done(&context).explain("job", &context).unwrap();
    assert_eq!((explanation.detail.reason, explanation.detail.included), (Reason::Rule, true));
    assert_eq!(explanation.detail.rule.as_ref().unwrap().line, 9);
    let keys: Vec<String> = explanation
        .keys
        .iter()
        .map(|key| format!("{} {}:{} {}", key.key, key.location.file, key.location.line, key.from_default))
        .collect();
    assert_eq!(
        keys,
        [
            "script base.yml:2 false",
            "variables .gitlab-ci.yml:6 false",
            "rules .gitlab-ci.yml:7 false",
            "image .gitlab-ci.yml:3 true"
        ]
    );
    let variables: Vec<String> = explanation
        .variables
        .iter()
        .map(|variable| {
            let place = variable.location.as_ref().map_or_else(String::new, |at| format!(" {}:{}", at.file, at.line));
            format!("{}={} {:?}{place}", variable.key, variable.value, variable.source)
        })
        .collect();
    assert_eq!(
        variables,
        [
            "GLOBAL=g Global .gitlab-ci.yml:2",
            "OVER=j Job .gitlab-ci.yml:6",
            "BASE=b Job base.yml:3",
            "OWN=[MASKED] Project",
            "RULE=r Rule .gitlab-ci.yml:10",
        ]
    );
    assert!(VariableSource::Project > VariableSource::Job);
}

#[test]
fn a_job_that_is_left_out_is_explained() {
    let context = context();
    let explanation = done(&context).explain("out", &context).unwrap();
    assert_eq!((explanation.detail.reason, explanation.detail.included), (Reason::NoRuleHolds, false));
    assert!(done(&context).explain("nope", &context).is_none());
}

#[test]
fn the_merged_file_says_where_each_line_came_from() {
    let merged = done(&context()).merged;
    let text = merged.yaml(Origins::Shown);
    assert!(text.contains("  script:  # base.yml:2\n    - make\n"), "{text}");
    assert!(text.contains("    OVER: j  # .gitlab-ci.yml:6\n"), "{text}");
    assert!(!text.contains(".base:"), "{text}");
    assert!(merged.json().contains("\"BASE\":\"b\""));
}
