//! The built-in template of the three flows.

mod checks;

use std::fmt::Write;

use serin_model::service::{Branches, Config, Service};

use crate::SourceFile;

/// Name of the built-in template, as `include:template` says it.
pub const DEVOPS: &str = "DevOps.gitlab-ci.yml";

/// The three flows for a service, as a pipeline file: CI on merge requests into develop, CD on develop, Release on
/// master. Jobs without commands are left out; code checks and tests that a service does not name are run by the
/// ecosystem's own tools, chosen by the files that are there.
#[must_use]
pub fn devops(config: &Config) -> SourceFile {
    let when = When::of(&config.branches);
    let has = |name: &str| config.environments.iter().any(|environment| environment.name == name);
    let service = &config.service;
    let mut out = String::from("stages: [build, package, deploy, test, canary, clear, production]\n\n");
    out.push_str("workflow:\n  rules:\n");
    for rule in [&when.ci, &when.cd, &when.release] {
        let _ = writeln!(out, "    - if: {}", quote(rule));
    }
    let commands: Vec<&String> = service.build.iter().chain(&service.test).collect();
    if !commands.is_empty() {
        job(&mut out, "build", "build", &[&when.ci, &when.cd, &when.release]);
        list(&mut out, "  script:", "    ", commands.into_iter());
        out.push_str("  interruptible: true\n");
        checks::reports_of_build(&mut out, service);
    }
    checks::jobs(&mut out, service, &[&when.ci, &when.cd]);
    job(&mut out, "package", "package", &[&when.ci, &when.cd, &when.release]);
    out.push_str("  serin: { action: package }\n");
    if has("test") {
        job(&mut out, "deploy", "deploy", &[&when.ci]);
        out.push_str("  serin: { action: deploy, environment: test }\n");
        integration(&mut out, "test", &when.ci, service);
    }
    if has("production") {
        job(&mut out, "take-two", "deploy", &[&when.cd]);
        let _ = writeln!(out, "  serin: {{ action: detach, environment: production, nodes: {} }}", config.canary.nodes);
        integration(&mut out, "integration", &when.cd, service);
        job(&mut out, "canary", "canary", &[&when.cd]);
        out.push_str("  serin: { action: canary, environment: production }\n");
    }
    job(&mut out, "clear", "clear", &[&when.release]);
    let Branches { develop, master } = &config.branches;
    let _ = writeln!(out, "  serin: {{ action: clear, from: {}, into: {} }}", quote(master), quote(develop));
    if has("production") {
        let _ = write!(
            out,
            "\nproduction:\n  stage: production\n  rules:\n    - if: {}\n      when: manual\n",
            quote(&when.release)
        );
        out.push_str("  serin: { action: release, environment: production }\n");
    }
    SourceFile::new(DEVOPS, out)
}

/// The conditions of the three flows.
struct When {
    ci: String,
    cd: String,
    release: String,
}

impl When {
    fn of(branches: &Branches) -> Self {
        let push = |branch: &str| format!("$CI_COMMIT_BRANCH == {}", text(branch));
        let target = text(&branches.develop);
        Self {
            ci: format!(
                "$CI_PIPELINE_SOURCE == \"merge_request_event\" && $CI_MERGE_REQUEST_TARGET_BRANCH_NAME == {target}"
            ),
            cd: push(&branches.develop),
            release: push(&branches.master),
        }
    }
}

/// A branch's name as a text of an expression; names cannot hold quotes of both kinds and stay sane.
fn text(branch: &str) -> String {
    let quote = if branch.contains('"') { '\'' } else { '"' };
    format!("{quote}{branch}{quote}")
}

/// A text as a YAML scalar in double quotes.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn job(out: &mut String, name: &str, stage: &str, rules: &[&String]) {
    let _ = write!(out, "\n{name}:\n  stage: {stage}\n  rules:\n");
    for rule in rules {
        let _ = writeln!(out, "    - if: {}", quote(rule));
    }
}

fn list<'t>(out: &mut String, head: &str, indent: &str, texts: impl Iterator<Item = &'t String>) {
    let _ = writeln!(out, "{head}");
    for text in texts {
        let _ = writeln!(out, "{indent}- {}", quote(text));
    }
}

/// Tests against the fresh nodes; `SERIN_TARGET_URLS` holds their addresses.
fn integration(out: &mut String, name: &str, rule: &String, service: &Service) {
    if service.integration.is_empty() {
        return;
    }
    job(out, name, "test", &[rule]);
    list(out, "  script:", "    ", service.integration.iter());
    checks::reports(out, service.integration_reports.iter().map(|(kind, files)| (kind.as_str(), files.as_slice())));
}

#[cfg(test)]
mod tests {
    use super::devops;
    use crate::{Answer, Answers, Compilation, Context, PipelineSource, Request, SourceFile, Step, compile, service};
    use serin_model::plan::{Job, Variable, Work};

    const SERVICE: &str = "
service: {name: shop, build: [make build], test: ['echo \"$X: y\"'], integration: [./it.sh], outputs: [shop]}
environments: {test: {nodes: 1}, production: {pools: {a: {nodes: 3}, b: {nodes: 3}}}}
";

    fn flow(service: &str, source: PipelineSource, branch: &str) -> Vec<String> {
        let plan = plan(service, (source, branch), &["serin.yml"]);
        let show = |job: &Job| match &job.work {
            Work::Action(action) => format!("{}={}/{}", job.name, action.as_str(), job.when.as_str()),
            _ => job.name.clone(),
        };
        plan.iter().map(show).collect()
    }

    fn plan(service: &str, (source, branch): (PipelineSource, &str), files: &[&str]) -> Vec<Job> {
        let config = service::parse(&SourceFile::new("serin.yml", service)).0.unwrap();
        let predefined = match source {
            PipelineSource::MergeRequestEvent => vec![Variable::plain("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", branch)],
            _ => Vec::new(),
        };
        let context = Context {
            source,
            branch: Some(branch.to_owned()),
            default_branch: "develop".to_owned(),
            predefined,
            ..Context::default()
        };
        let mut answers = Answers::default();
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        answers.give(Request::TreeListing { project: None, reference: None }, Answer::Files(files));
        let Step::Done(done) = compile(&devops(&config), &context, &answers) else { panic!("asked") };
        let Compilation { plan, diagnostics, .. } = *done;
        assert_eq!(diagnostics, []);
        plan.map(|plan| plan.jobs).unwrap_or_default()
    }

    fn reports(job: &Job) -> Vec<(String, Vec<String>)> {
        let Work::Script(script) = &job.work else { return Vec::new() };
        script.artifacts.as_ref().map(|artifacts| artifacts.reports.clone()).unwrap_or_default()
    }

    #[test]
    fn tools_are_chosen_by_the_files() {
        let jobs = |files: &[&str]| {
            let service = "service: {name: shop, build: [make]}";
            let jobs = plan(service, (PipelineSource::MergeRequestEvent, "develop"), files);
            jobs.into_iter().filter(|job| job.name.contains('-')).collect::<Vec<_>>()
        };
        let names = |files: &[&str]| jobs(files).iter().map(|job| job.name.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&["serin.yml"]), "");
        assert_eq!(names(&["Cargo.toml", "src/main.rs"]), "check-rust");
        assert_eq!(names(&["Cargo.toml", ".config/nextest.toml"]), "check-rust test-rust");
        assert_eq!(names(&["pyproject.toml", "tests/test_a.py"]), "check-python test-python");
        assert_eq!(names(&["package.json", "eslint.config.mjs"]), "check-javascript");
        assert_eq!(names(&["go.mod", "pom.xml"]), "check-go test-go test-java");
        let check = &jobs(&["Cargo.toml"])[0];
        assert_eq!(reports(check), [("codequality".to_owned(), vec!["check-rust.json".to_owned()])]);
    }

    #[test]
    fn a_service_that_names_its_check_gets_that_one() {
        let service = "service: {name: shop, build: [make], test: [make test], check: [make lint], \
                       reports: {sarif: lint.sarif, junit: [a.xml, b.xml], coverage_report: c.xml}}";
        let jobs = plan(service, (PipelineSource::MergeRequestEvent, "develop"), &["Cargo.toml", "go.mod"]);
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["build", "check", "package"]);
        assert_eq!(reports(&jobs[1]), [("sarif".to_owned(), vec!["lint.sarif".to_owned()])]);
        let of_build = reports(&jobs[0]);
        assert_eq!(of_build.len(), 2, "{of_build:?}");
        assert!(of_build.contains(&("junit".to_owned(), vec!["a.xml".to_owned(), "b.xml".to_owned()])), "{of_build:?}");
        let none = "service: {name: shop, build: [make], test: [make test], check: [], reports: {sarif: x}}";
        let jobs = plan(none, (PipelineSource::Push, "develop"), &["Cargo.toml"]);
        assert_eq!(jobs[0].name, "build");
        assert_eq!(reports(&jobs[0]).len(), 1);
        assert!(jobs.iter().all(|job| !job.name.starts_with("check")));
    }

    #[test]
    fn integration_tests_leave_their_reports_whether_they_pass_or_not() {
        let service = "service: {name: shop, integration: [./it.sh], integration_reports: {junit: it.xml}}\n\
                       environments: {test: {nodes: 1}, production: {nodes: 4}}";
        for (source, name) in [(PipelineSource::MergeRequestEvent, "test"), (PipelineSource::Push, "integration")] {
            let jobs = plan(service, (source, "develop"), &["serin.yml"]);
            let job = jobs.iter().find(|job| job.name == name).unwrap();
            assert_eq!(reports(job), [("junit".to_owned(), vec!["it.xml".to_owned()])]);
            let Work::Script(script) = &job.work else { panic!("{job:?}") };
            assert_eq!(script.artifacts.as_ref().unwrap().when, serin_model::plan::ArtifactsWhen::Always);
        }
    }

    #[test]
    fn three_flows() {
        let ci = flow(SERVICE, PipelineSource::MergeRequestEvent, "develop");
        assert_eq!(ci, ["build", "package=package/on_success", "deploy=deploy/on_success", "test"]);
        let cd = flow(SERVICE, PipelineSource::Push, "develop");
        assert_eq!(
            cd,
            [
                "build",
                "package=package/on_success",
                "take-two=detach/on_success",
                "integration",
                "canary=canary/on_success"
            ]
        );
        let release = flow(SERVICE, PipelineSource::Push, "master");
        assert_eq!(
            release,
            ["build", "package=package/on_success", "clear=clear/on_success", "production=release/manual"]
        );
        assert!(flow(SERVICE, PipelineSource::Push, "feature").is_empty());
        assert!(flow(SERVICE, PipelineSource::MergeRequestEvent, "master").is_empty());
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let service = "service: {name: shop}\nenvironments: {production: {nodes: 4}}";
        assert_eq!(flow(service, PipelineSource::MergeRequestEvent, "develop"), ["package=package/on_success"]);
        let cd = flow(service, PipelineSource::Push, "develop");
        assert_eq!(cd, ["package=package/on_success", "take-two=detach/on_success", "canary=canary/on_success"]);
    }
}
