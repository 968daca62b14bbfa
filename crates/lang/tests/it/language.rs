//! The language, feature by feature: a file, an event, and what comes of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serin_lang::{
    Answer, Answers, Compilation, Context, PipelineSource, Request, SettingVariable, Severity, SourceFile, Step,
    compile,
};
use serin_model::plan::{AllowFailure, Job, Plan, Variable, Work};

struct Event {
    context: Context,
    files: BTreeMap<String, String>,
}

fn event() -> Event {
    let context = Context {
        branch: Some("main".to_owned()),
        default_branch: "main".to_owned(),
        project: "group/app".to_owned(),
        sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        server_url: "https://serin.example".to_owned(),
        ..Context::default()
    };
    Event { context, files: BTreeMap::new() }
}

impl Event {
    fn with(mut self, change: impl FnOnce(&mut Context)) -> Self {
        change(&mut self.context);
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn compile(&self, text: &str) -> Compilation {
        let entry = SourceFile::new(".gitlab-ci.yml", text);
        let mut answers = Answers::default();
        for _ in 0..50 {
            match compile(&entry, &self.context, &answers) {
                Step::Done(done) => return *done,
                Step::Ask(requests) => requests.into_iter().for_each(|request| {
                    let answer = self.answer(&request);
                    answers.give(request, answer);
                }),
            }
        }
        panic!("asks for ever");
    }

    fn answer(&self, request: &Request) -> Answer {
        let key = match request {
            Request::ProjectFile { path } => path.clone(),
            Request::OtherProject { project, reference, file } => {
                format!("{project}@{}:{file}", reference.as_deref().unwrap_or("HEAD"))
            }
            Request::Remote { url } => url.clone(),
            Request::Template { name } => name.clone(),
            Request::Component { address, version } => format!("{address}@{version}"),
            Request::TreeListing { .. } => return Answer::Files(self.files.keys().cloned().collect()),
            Request::ChangedFilesAgainst { reference } => {
                return Answer::Changes(Some(vec![format!("since-{reference}")]));
            }
        };
        match (self.files.get(&key), request) {
            (Some(text), Request::Component { .. }) => Answer::Component {
                bytes: text.clone().into_bytes(),
                project: "other/parts".to_owned(),
                sha: "feed".to_owned(),
                version: "1.2.3".to_owned(),
            },
            (Some(text), _) => Answer::File(text.clone().into_bytes()),
            (None, _) => Answer::Missing("not there".to_owned()),
        }
    }

    /// The jobs in a short form, or the errors.
    fn show(&self, text: &str) -> String {
        let done = self.compile(text);
        let errors: Vec<String> = done
            .diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .map(|found| format!("{}:{}:{} {}", found.file, found.line, found.column, found.message))
            .collect();
        if !errors.is_empty() {
            return errors.join("\n");
        }
        match &done.plan {
            Some(plan) => plan.jobs.iter().map(|job| line(plan, job)).collect::<Vec<_>>().join("\n"),
            None => format!("{:?}", done.not_created),
        }
    }
}

/// `name [stage] when! script needs`.
fn line(plan: &Plan, job: &Job) -> String {
    let mut line = format!("{} [{}]", job.name, plan.stages[job.stage]);
    if job.when.as_str() != "on_success" {
        let _ = write!(line, " {}", job.when.as_str());
    }
    if job.allow_failure != AllowFailure::No {
        line.push_str(" may-fail");
    }
    if let Work::Script(script) = &job.work {
        let _ = write!(line, " {}", [script.before_script.clone(), script.script.clone()].concat().join(";"));
    }
    if let Some(needs) = &job.needs {
        let names: Vec<&str> = needs.iter().map(|need| need.job.as_str()).collect();
        let _ = write!(line, " <- {names:?}");
    }
    line
}

#[track_caller]
fn check(event: &Event, text: &str, expected: &str) {
    assert_eq!(event.show(text), expected);
}

#[track_caller]
fn refused(text: &str, says: &[&str]) {
    let shown = event().show(text);
    for part in says {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    }
    assert!(shown.starts_with(".gitlab-ci.yml:"), "{shown}");
}

fn merge_request() -> Event {
    event().with(|context| context.source = PipelineSource::MergeRequestEvent)
}

#[test]
fn merge_keys_are_shallow_and_first_wins() {
    let text = "
.one: &one {variables: {A: 1, B: 1}, script: one}
.two: &two {script: two, stage: build}
job: {<<: [*one, *two], variables: {C: 3}}
";
    let done = event().compile(text);
    let plan = done.plan.unwrap();
    assert_eq!(line(&plan, &plan.jobs[0]), "job [build] one");
    assert_eq!(plan.jobs[0].variables, [Variable::plain("C", "3")]);
}

#[test]
fn before_script_replaces_the_default() {
    let text = "
default: {before_script: [d]}
a: {script: x}
b: {script: x, before_script: [own]}
c: {script: x, before_script: []}
d: {script: x, before_script: null}
";
    check(&event(), text, "a [test] d;x\nb [test] own;x\nc [test] x\nd [test] d;x");
}

#[test]
fn root_keys() {
    refused("foo: bar\njob: {script: x}", &["1:1 unknown root key `foo`"]);
    refused(".hidden: {script: x}", &["no visible job"]);
    refused("job: {stage: test}", &["1:1 job `job` needs `script`"]);
    refused("stagse: [a]\njob: {script: x}", &["`stagse`"]);
    refused("job: {script: x, stage: nope}", &["1:25 job `job`: the stage `nope` does not exist"]);
    refused("types: [a]\njob: {script: x}", &["`types`"]);
    let shown = event().compile("stagse: [a]\njob: {script: x}").diagnostics[0].hint.clone();
    assert_eq!(shown.as_deref(), Some("did you mean `stages`?"));
}

#[test]
fn misspelt_keys_are_errors_with_a_suggestion() {
    for (text, place, hint) in [
        ("job: {script: x, artefacts: {}}", "1:18", "did you mean `artifacts`?"),
        ("job:\n  script: x\n  artifacts:\n    path: [a]", "4:5", "did you mean `paths`?"),
        ("job: {script: x, rules: [{iff: $A}]}", "1:27", "did you mean `if`?"),
        ("job: {script: x, when: on_sucess}", "1:24", "did you mean `on_success`?"),
        ("job: {serin: {action: deplyo, environment: test}}", "1:23", "did you mean `deploy`?"),
        ("job: {script: x, needs: [jb]}\njob2: {script: x}", "1:26", "did you mean `job`?"),
    ] {
        let done = event().compile(text);
        let found = done.diagnostics.iter().find(|found| found.severity == Severity::Error).unwrap();
        assert_eq!(format!("{}:{}", found.line, found.column), place, "{text}: {}", found.message);
        assert_eq!(found.hint.as_deref(), Some(hint), "{text}");
    }
}

#[test]
fn all_errors_in_one_go() {
    let done = event().compile("a: {script: [], wen: always}\nb: {stage: x, script: y}\nc: {script: z, retry: 3}\n");
    let errors: Vec<&str> = done.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    let cascades = event()
        .compile("a: {scirpt: x, needs: [b]}\nb: {stage: biuld, script: y, needs: [a]}\nc: {script: z, needs: [b]}");
    let messages: Vec<&str> = cascades.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages.len(), 3, "each mistake is told once: {messages:#?}");
    assert!(messages.iter().any(|message| message.contains("circular")), "{messages:#?}");
    assert!(errors[3].contains("`retry` must be a number from 0 to 2"));
}

#[test]
fn rules_and_the_merge_request_default() {
    let text = "a: {script: x}\nb: {script: x, rules: [{if: $CI_MERGE_REQUEST_SOURCE_BRANCH_NAME}]}\nc: {script: x, only: [merge_requests]}";
    check(&merge_request(), text, "b [test] x\nc [test] x");
    check(&event(), text, "a [test] x");
    check(&merge_request(), "workflow: {rules: [{when: always}]}\na: {script: x}", "a [test] x");
    check(&event(), "workflow: {rules: [{if: $NOPE}]}\na: {script: x}", "Some(Workflow)");
    check(&event(), "a: {script: x, rules: [{when: never}]}", "Some(NoJobs)");
    check(&event(), "a: {script: x, stage: .pre}", "Some(NoJobs)");
}

#[test]
fn conditions_compare_raw_values() {
    let text = "
variables: {A: $B, B: x, RE: '/^ma/'}
raw: {script: x, rules: [{if: '$A == \"$B\"'}]}
not-expanded: {script: x, rules: [{if: '$A == \"x\"'}]}
pattern: {script: x, rules: [{if: $CI_COMMIT_BRANCH =~ $RE}]}
not: {script: x, rules: [{if: '!$NOPE && $B'}]}
";
    check(&event(), text, "raw [test] x\npattern [test] x\nnot [test] x");
}

#[test]
fn only_and_except() {
    let text = "
both: {script: x, only: {refs: [main], variables: [$GO]}}
either: {script: x, except: {refs: [nope], variables: [$GO]}}
changed: {script: x, only: {changes: ['src/**/*']}}
other: {script: x, only: [main@other/app]}
mine: {script: x, only: [main@group/app]}
regex: {script: x, only: ['/^MA/i']}
";
    let go = event().with(|context| {
        context.pipeline_variables.push(Variable::plain("GO", "1"));
        context.changed_files = Some(vec!["src/a/b.c".to_owned()]);
    });
    check(&go, text, "both [test] x\nchanged [test] x\nmine [test] x\nregex [test] x");
    let quiet = event().with(|context| context.changed_files = Some(Vec::new()));
    check(&quiet, text, "either [test] x\nmine [test] x\nregex [test] x");
}

#[test]
fn exists_and_changes() {
    let text = "
dir: {script: x, rules: [{exists: [docs]}]}
file: {script: x, rules: [{exists: ['docs/*.md']}]}
against: {script: x, rules: [{changes: {paths: [since-v1], compare_to: v1}}]}
not-against: {script: x, rules: [{changes: {paths: [since-v2], compare_to: v1}}]}
unknown: {script: x, rules: [{changes: ['$NOPE/a']}]}
";
    let event = event().file("docs/a.md", "").with(|context| context.changed_files = Some(vec!["b/a".to_owned()]));
    check(&event, text, "file [test] x\nagainst [test] x");
}

#[test]
fn needs() {
    let text = "
stages: [a, b]
one: {stage: a, script: x, parallel: 2}
two: {stage: b, script: x, needs: [one]}
three: {stage: b, script: x, needs: ['one 2/2']}
four: {stage: b, script: x, needs: []}
five: {stage: b, script: x, needs:}
";
    check(
        &event(),
        text,
        "one 1/2 [a] x\none 2/2 [a] x\ntwo [b] x <- [\"one 1/2\", \"one 2/2\"]\nthree [b] x <- [\"one 2/2\"]\nfour [b] x <- []\nfive [b] x",
    );
    refused("stages: [a, b]\na: {stage: a, script: x, needs: [b]}\nb: {stage: b, script: x}", &["2:34", "comes after"]);
    refused(
        "a: {script: x, needs: [{job: b, parallel: {matrix: [{K: v}]}}]}\nb: {script: x, parallel: {matrix: [{K: v, L: [w]}]}}",
        &["`b: [v]`"],
    );
    refused("a: {script: x, dependencies: [b]}\nb: {stage: deploy, script: x}", &["`b`", "comes later"]);
    refused("a: {script: x, needs: [c]}\nb: {script: x, needs: [a]}\nc: {script: x, needs: [b]}", &["circular"]);
    let many: Vec<String> = (0..51).map(|at| format!("j{at}")).collect();
    let jobs: String = many.iter().map(|job| format!("{job}: {{script: x, stage: build}}\n")).collect();
    refused(&format!("a: {{script: x, needs: [{}]}}\n{jobs}", many.join(", ")), &["needs more than 50 jobs"]);
}

#[test]
fn matrices() {
    let text = "
job:
  script: x
  parallel:
    matrix:
      - {A: [1, 2], B: [x, y]}
      - {A: [3], C: z}
";
    let done = event().compile(text);
    let plan = done.plan.unwrap();
    let names: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["job: [1, x]", "job: [1, y]", "job: [2, x]", "job: [2, y]", "job: [3, z]"]);
    let shown: Vec<String> = plan.jobs[4].variables.iter().map(|v| format!("{}={}", v.key, v.value)).collect();
    assert_eq!(shown, ["CI_NODE_INDEX=5", "CI_NODE_TOTAL=5", "A=3", "C=z"]);
    check(&event(), "job: {script: x, parallel: {matrix: [{A: [1]}, {B: [1]}]}}", "job: [1] [test] x");
}

#[test]
fn includes() {
    let event = event()
        .file("a.yml", "include: [/b.yml]\na: {script: a}\nshared: {script: a, stage: build}")
        .file("b.yml", "b: {script: b}\nshared: {script: b, image: i}")
        .file("https://x.example/r.yml", "r: {script: r}")
        .file("other/app@v1:ci/p.yml", "include: {local: ci/q.yml}\np: {script: p}")
        .file("other/app@v1:ci/q.yml", "q: {script: q}")
        .file("serin.example/other/parts/tool@1", "spec: {inputs: {x: {default: dx}}}\n---\nt: {script: '$[[ inputs.x ]] $[[ component.version ]] $[[ component.reference ]]'}");
    check(&event, "include: [a.yml]\nown: {script: o}", "shared [build] a\nb [test] b\na [test] a\nown [test] o");
    check(&event, "include: https://x.example/r.yml\nown: {script: o}", "r [test] r\nown [test] o");
    check(
        &event,
        "include: [{project: other/app, ref: v1, file: ci/p.yml}]\nown: {script: o}",
        "q [test] q\np [test] p\nown [test] o",
    );
    check(
        &event,
        "include: [{component: $CI_SERVER_FQDN/other/parts/tool@1, inputs: {x: given}}]\nown: {script: o}",
        "t [test] given 1.2.3 1\nown [test] o",
    );
    check(&event, "include: [{local: a.yml, rules: [{exists: [none]}]}]\nown: {script: o}", "own [test] o");
    let chained = event.compile("include:\n  - local: broken.yml\nown: {script: o}");
    assert!(chained.diagnostics[0].message.contains("broken.yml"));
}

#[test]
fn errors_in_included_files_show_the_chain() {
    let event = event().file("a.yml", "include: [b.yml]").file("b.yml", "b: {scirpt: x}");
    let done = event.compile("include:\n  - a.yml\nown: {script: o}");
    let found = done.diagnostics.iter().find(|found| found.message.contains("scirpt")).unwrap();
    assert_eq!((found.file.as_str(), found.line, found.column), ("b.yml", 1, 5));
    let chain: Vec<String> = found.chain.iter().map(|at| format!("{}:{}:{}", at.file, at.line, at.column)).collect();
    assert_eq!(chain, ["a.yml:1:11", ".gitlab-ci.yml:2:5"]);
    let drawn = serin_lang::render(&done.diagnostics, &done.sources, serin_lang::Color::Plain);
    assert!(
        drawn.contains("1 | b: {scirpt: x}")
            && drawn.contains("did you mean `script`?")
            && drawn.contains("included from a.yml:1:11"),
        "{drawn}"
    );
}

#[test]
fn inputs() {
    let template = "
spec:
  inputs:
    name: {}
    count: {type: number, default: 2}
    flags: {type: array, default: [a, b]}
    when: {default: manual, options: [manual, always]}
---
\"$[[ inputs.name ]]-job\":
  script: ['echo $[[ inputs.count ]] $[[ inputs.flags ]]']
  parallel: $[[ inputs.count ]]
  tags: [$[[ inputs.name ]]]
  when: $[[ inputs.when ]]
";
    let event = event().file("t.yml", template);
    check(
        &event,
        "include: [{local: t.yml, inputs: {name: n, when: always}}]\nown: {script: o}",
        "n-job 1/2 [test] always echo 2 [\"a\",\"b\"]\nn-job 2/2 [test] always echo 2 [\"a\",\"b\"]\nown [test] o",
    );
    for (inputs, says) in [
        ("{}", "`name` is required"),
        ("{name: 1}", "`name` must be a string"),
        ("{name: n, when: never}", "not one of its options"),
        ("{name: n, cuont: 3}", "`cuont` is given and not declared"),
        ("{name: n, count: '3'}", "`count` must be a number"),
    ] {
        let shown = event.show(&format!("include: [{{local: t.yml, inputs: {inputs}}}]\nown: {{script: o}}"));
        assert!(shown.contains(says), "{inputs}: {shown}");
    }
}

#[test]
fn inputs_of_the_entry_file() {
    let text = "spec:\n  inputs:\n    env: {options: [a, b]}\n    debug: {type: boolean, default: false}\n---\n$[[ inputs.env ]]: {script: x, interruptible: $[[ inputs.debug ]]}\n";
    let given = event().with(|context| {
        context.inputs = vec![("env".to_owned(), "\"b\"".to_owned()), ("debug".to_owned(), "true".to_owned())];
    });
    check(&given, text, "b [test] x");
    refused(text, &["`env` is required"]);
}

#[test]
fn variables_by_environment_and_protection() {
    let text = "
prod: {script: x, environment: production, rules: [{if: $SECRET == 'p'}]}
review: {script: x, environment: review/1, rules: [{if: $SECRET == 'r'}]}
none: {script: x, rules: [{if: $SECRET == 'all'}]}
guarded: {script: x, rules: [{if: $GUARDED}]}
";
    let scoped = |value: &str, scope: &str| SettingVariable {
        environment_scope: scope.to_owned(),
        ..SettingVariable::plain("SECRET", value)
    };
    let event = event().with(|context| {
        context.project_variables = vec![scoped("p", "production"), scoped("r", "review/*"), scoped("all", "*")];
        context.project_variables.push(SettingVariable { protected: true, ..SettingVariable::plain("GUARDED", "1") });
    });
    check(&event, text, "prod [test] x\nreview [test] x\nnone [test] x");
}

#[test]
fn the_serin_keyword() {
    let text = "
stages: [s]
package: {stage: s, serin: {action: package}}
deploy: {stage: s, serin: {action: deploy, environment: test}}
take-two: {stage: s, serin: {action: detach, environment: production, nodes: 2}}
canary: {stage: s, serin: {action: canary, environment: production}}
clear: {stage: s, serin: {action: clear, from: master, into: develop}}
production: {stage: s, serin: {action: release, environment: production}, when: manual}
";
    let plan = event().compile(text).plan.unwrap();
    let actions: Vec<&str> =
        plan.jobs.iter().map(|job| if let Work::Action(action) = &job.work { action.as_str() } else { "" }).collect();
    assert_eq!(actions, ["package", "deploy", "detach", "canary", "clear", "release"]);
    refused("a: {serin: {action: deploy}}", &["needs `serin:environment`"]);
    refused("a: {serin: {action: package, nodes: 2}}", &["`serin:nodes` does not go with"]);
    refused("a: {script: x, serin: {action: package}}", &["cannot be used together"]);
}

#[test]
fn duplicate_keys_warn_with_both_places() {
    let done = event().compile("job:\n  script: a\n  script: b\n");
    let found = &done.diagnostics[0];
    assert_eq!((found.severity, found.line, found.related[0].0.line), (Severity::Warning, 3, 2));
    assert!(done.plan.is_some());
}

#[test]
fn warnings_for_what_is_surely_not_meant() {
    let text = "
never: {script: x, rules: [{when: never}]}
shadowed: {script: x, rules: [{when: always}, {if: $CI_COMMIT_TAG}]}
typo: {script: x, rules: [{if: $CI_COMIT_BRANCH}, {when: always}]}
shaky: {script: x, needs: [maybe]}
maybe: {script: x, rules: [{if: $CI_COMMIT_BRANCH}]}
numbers: {script: x, variables: {CHIPS: 1_000, LIST: '70,75'}}
commas:
  script: x
  variables:
    CHIPS: 70,75,80
";
    let done = event().compile(text);
    let messages: Vec<&str> = done.diagnostics.iter().map(|found| found.message.as_str()).collect();
    for says in [
        "`never` can never run",
        "`shadowed`: this rule is never reached",
        "names `$CI_COMIT_BRANCH`",
        "`shaky` needs `maybe`, which its rules may leave out",
        "`70,75,80` is read as the number 707580",
    ] {
        assert!(messages.iter().any(|message| message.contains(says)), "{says}: {messages:#?}");
    }
    assert_eq!(messages.len(), 5, "{messages:#?}");
}

#[test]
fn a_need_whose_rules_are_wider_is_sound() {
    let needed = "
needed:
  script: x
  rules:
    - {if: $FORK, when: never}
    - if: $CI_COMMIT_BRANCH == 'main' || ($CI_COMMIT_TAG && $RELEASE)
    - if: $NIGHTLY
";
    let needing = |rules: &str| {
        let done = event().compile(&format!("{needed}a: {{script: x, needs: [needed], rules: [{rules}]}}\n"));
        done.diagnostics.iter().any(|found| found.message.contains("may leave out"))
    };
    for sound in [
        "{if: $FORK, when: never}, {if: $NIGHTLY && $SLOW}, {if: $RELEASE && $CI_COMMIT_TAG}",
        "{if: $FORK || $OLD, when: never}, {if: $CI_COMMIT_BRANCH == 'main' && $X || $RELEASE && $CI_COMMIT_TAG, changes: [x]}",
    ] {
        assert!(!needing(sound), "{sound}");
    }
    for shaky in [
        "{if: $NIGHTLY}",
        "{if: $FORK && $OLD, when: never}, {if: $NIGHTLY}",
        "{if: $FORK, when: never}, {if: $NIGHTLY || $CI_COMMIT_TAG}",
        "{if: $FORK, when: never}, {when: always}",
    ] {
        assert!(needing(shaky), "{shaky}");
    }
}

#[test]
fn what_jobs_share_is_told_once() {
    let done = event()
        .compile(".base: {script: x, retry: 9}\na: {extends: .base}\nb: {extends: .base}\nc: {script: x, retry: 9}\n");
    let places: Vec<_> = done.diagnostics.iter().map(|found| (found.line, found.message.as_str())).collect();
    let says = "`retry` must be a number from 0 to 2, not `9`";
    assert_eq!(places, [(1, format!("job `a`: {says}").as_str()), (4, format!("job `c`: {says}").as_str())]);
}

#[test]
fn a_pattern_behind_two_equals_signs() {
    let warned = |rule: &str| {
        let done = event().compile(&format!("a: {{script: x, rules: [{{if: \"{rule}\"}}, {{when: always}}]}}\n"));
        done.diagnostics.iter().any(|found| found.message.contains("whether a text is a pattern"))
    };
    assert!(warned("$CI_COMMIT_BRANCH == /^main$/") && warned("$CI_COMMIT_BRANCH != /^main$/"));
    assert!(!warned("$CI_COMMIT_BRANCH =~ /^main$/"));
}

#[test]
fn variables_of_a_job() {
    let text = "
variables: {GLOBAL: g, OVER: g, URL: '$CI_COMMIT_BRANCH/$OVER/$NOPE', RAW: {value: $OVER, expand: false}}
job 1: {script: x, parallel: 2, environment: {name: review/$CI_COMMIT_BRANCH, url: 'https://$CI_ENVIRONMENT_SLUG'}, variables: {OVER: j, FROM: dot}}
";
    let event = event().with(|context| {
        context.project_variables = vec![SettingVariable::plain("PROJECT", "p"), SettingVariable::plain("OVER", "p")];
        context.pipeline_variables = vec![Variable::plain("PROJECT", "pipeline")];
    });
    let plan = event.compile(text).plan.unwrap();
    let late = [Variable::plain("CI_JOB_ID", "7")];
    let dotenv = [Variable::plain("FROM", "dotenv"), Variable::plain("OVER", "dotenv")];
    let all = serin_lang::variables::of_job(&plan, &plan.jobs[1], &event.context, &late, &dotenv).unwrap();
    let get =
        |key: &str| all.iter().find(|variable| variable.key == key).map_or("-", |variable| variable.value.as_str());
    for (key, value) in [
        ("GLOBAL", "g"),
        ("OVER", "p"),
        ("URL", "main/p/$NOPE"),
        ("RAW", "$OVER"),
        ("FROM", "dotenv"),
        ("PROJECT", "pipeline"),
        ("CI_JOB_ID", "7"),
        ("CI_JOB_NAME", "job 1 2/2"),
        ("CI_JOB_GROUP_NAME", "job 1"),
        ("CI_NODE_INDEX", "2"),
        ("CI_NODE_TOTAL", "2"),
        ("CI_ENVIRONMENT_NAME", "review/main"),
        ("CI_ENVIRONMENT_TIER", "development"),
        ("CI_COMMIT_TAG", "-"),
    ] {
        assert_eq!(get(key), value, "{key}");
    }
    assert_eq!(get("CI_ENVIRONMENT_URL"), format!("https://{}", get("CI_ENVIRONMENT_SLUG")));
}

#[test]
fn workflow() {
    let text = "
workflow:
  name: '$WHO on $CI_COMMIT_BRANCH '
  auto_cancel: {on_new_commit: none}
  rules:
    - if: $CI_COMMIT_BRANCH == 'main'
      variables: {WHO: rule}
      auto_cancel: {on_job_failure: all}
variables: {WHO: global, B: $WHO}
job: {script: x, variables: {WHO: job}}
other: {script: x, inherit: {variables: [B]}}
";
    let plan = event().compile(text).plan.unwrap();
    assert_eq!(plan.name.as_deref(), Some("rule on main"));
    assert_eq!(format!("{:?}", plan.auto_cancel), "AutoCancel { on_new_commit: None, on_job_failure: All }");
    assert_eq!(plan.variables[0].value, "rule");
    assert_eq!(plan.jobs[0].variables[0].value, "job");
    assert_eq!(plan.jobs[1].variables, [Variable::plain("B", "$WHO")]);
}
