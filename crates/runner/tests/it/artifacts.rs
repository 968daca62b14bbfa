use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serin_model::plan::{Artifacts, ArtifactsWhen, Cache};
use serin_model::{FailureReason, JobId};
use serin_objects::archive::{self, Limits};
use serin_runner::{Dependency, Outcome};

use crate::desk::{Desk, lines, run};

fn names(archive: &Path) -> Vec<String> {
    archive::list(archive, Limits::default()).unwrap().into_iter().map(|entry| entry.path).collect()
}

#[tokio::test]
async fn artifacts_go_from_job_to_job() {
    let desk = Desk::new();
    let mut first =
        desk.job(&["mkdir -p out/x", "echo built > out/x/shop", "echo no > out/x.o", "chmod +x out/x/shop"]);
    first.script.after_script = lines(&["echo late > out/late"]);
    first.script.artifacts = Some(Artifacts {
        paths: lines(&["$OUT/", "${CI_PROJECT_DIR}/absent"]),
        exclude: lines(&["**/*.o"]),
        ..Artifacts::default()
    });
    first.variables.push(serin_model::plan::Variable::plain("OUT", "out"));
    let (report, trace) = run(first).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    let archive = report.artifacts.unwrap();
    assert_eq!(names(&archive), ["out/", "out/late", "out/x/", "out/x/shop"]);
    assert!(trace.contains("absent: no matching files"), "{trace}");
    let kept = desk.path("kept.zip");
    fs::rename(archive, &kept).unwrap();
    let mut second = desk.job(&["test -x out/x/shop", "cat out/x/shop"]);
    second.dependencies = vec![Dependency { job_id: JobId(1), name: "first".into(), archive: kept }];
    let (report, trace) = run(second).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert!(trace.contains("Downloading artifacts for first (1)") && trace.contains("\nbuilt\n"), "{trace}");
}

#[tokio::test]
async fn when_says_when_and_nothing_is_a_warning() {
    let desk = Desk::new();
    for (when, script, kept) in [
        (ArtifactsWhen::OnSuccess, "true", true),
        (ArtifactsWhen::OnSuccess, "false", false),
        (ArtifactsWhen::OnFailure, "true", false),
        (ArtifactsWhen::OnFailure, "false", true),
        (ArtifactsWhen::Always, "false", true),
    ] {
        let mut job = desk.job(&["touch a", script]);
        job.script.artifacts = Some(Artifacts { paths: lines(&["a"]), when, ..Artifacts::default() });
        assert_eq!(run(job).await.0.artifacts.is_some(), kept, "{when:?} {script}");
    }
    let mut job = desk.job(&["ln -s /etc/passwd link", "ln -s / root"]);
    let paths = lines(&["link", "root/etc/passwd", "../x", "/etc/hostname", "none"]);
    job.script.artifacts = Some(Artifacts { paths, ..Artifacts::default() });
    let (report, trace) = run(job).await;
    assert_eq!((report.outcome, report.artifacts), (Outcome::Success, None));
    for words in ["link: left out", "`../x`", "`/etc/hostname`", "none: no matching files", "no files to upload"] {
        assert!(trace.contains(words), "{words}: {trace}");
    }
}

#[tokio::test]
async fn untracked_files_are_those_that_the_commit_has_not() {
    let desk = Desk::new();
    let mut job = desk.job(&["echo x > new", "echo x > ignored", "git add new", "echo changed > tracked"]);
    job.source = desk.repository("main", &[("tracked", "x"), (".gitignore", "ignored\n")]);
    job.script.artifacts = Some(Artifacts { untracked: true, ..Artifacts::default() });
    let (report, trace) = run(job).await;
    let archive = report.artifacts.unwrap_or_else(|| panic!("{trace}"));
    assert_eq!(names(&archive), ["ignored", "new"]);
}

#[tokio::test]
async fn reports_and_dotenv_come_also_from_a_failed_job() {
    let desk = Desk::new();
    let mut job =
        desk.job(&["echo '<x/>' > junit.xml", "printf 'A=1\\nB=x=y\\n' > vars.env", "echo 'total 81.5%'", "exit 1"]);
    job.script.coverage = Some(r"total (\d+\.\d+)%".into());
    let reports = vec![("junit".into(), lines(&["*.xml"])), ("dotenv".into(), lines(&["*.env"]))];
    job.script.artifacts = Some(Artifacts { reports, ..Artifacts::default() });
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(1) });
    assert_eq!(report.dotenv, [("A".into(), "1".into()), ("B".into(), "x=y".into())], "{trace}");
    assert_eq!(report.coverage, Some(81.5));
    assert_eq!((report.reports.len(), names(&report.reports[0].archive)), (1, vec!["junit.xml".to_owned()]));
}

#[tokio::test]
async fn a_malformed_dotenv_line_fails_the_job() {
    let desk = Desk::new();
    let mut job = desk.job(&["printf 'A=1\\n\\n' > vars.env"]);
    let reports = vec![("dotenv".into(), lines(&["vars.env"]))];
    job.script.artifacts = Some(Artifacts { reports, ..Artifacts::default() });
    let (report, trace) = run(job).await;
    assert!(matches!(report.outcome, Outcome::Failed { .. }) && report.dotenv.is_empty());
    assert!(trace.contains("`vars.env`: line 2 is not `KEY=value`"), "{trace}");
}

#[tokio::test]
async fn a_dependency_that_is_gone_or_hostile_fails_the_job_before_its_script() {
    let desk = Desk::new();
    let hostile = desk.path("hostile.zip");
    let mut zip = zip::ZipWriter::new(File::create(&hostile).unwrap());
    zip.start_file("../../../escaped", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"x").unwrap();
    zip.finish().unwrap();
    for (archive, reason) in
        [(desk.path("gone.zip"), FailureReason::MissingDependency), (hostile, FailureReason::RunnerSystemFailure)]
    {
        let mut job = desk.job(&["touch \"$DESK/ran\""]);
        job.dependencies = vec![Dependency { job_id: JobId(9), name: "dep".into(), archive }];
        let (report, trace) = run(job).await;
        assert_eq!(report.outcome, Outcome::Failed { reason, exit_code: None }, "{trace}");
        assert!(trace.contains("`dep` (9)"), "{trace}");
    }
    assert!(!desk.path("ran").exists() && !desk.path("escaped").exists());
}

#[tokio::test]
async fn a_cache_is_restored_before_artifacts_and_never_fails_a_job() {
    let desk = Desk::new();
    let cache = |policy: &str| Cache {
        key: Some("../$KEY".into()),
        paths: lines(&["deps/"]),
        policy: Some(policy.into()),
        ..Cache::default()
    };
    let job = |script: &str, policy: &str| {
        let mut job = desk.job(&[script]);
        job.variables.push(serin_model::plan::Variable::plain("KEY", "k"));
        job.script.caches = vec![cache(policy)];
        job
    };
    let (report, _) = run(job("mkdir deps; echo 1 > deps/a", "pull-push")).await;
    assert_eq!(report.outcome, Outcome::Success);
    let (report, trace) = run(job("grep 1 deps/a; echo 2 > deps/a", "pull")).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    let (report, trace) = run(job("grep 1 deps/a", "pull-push")).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    let (report, _) = run(job("! test -e deps; mkdir deps; echo 3 > deps/a", "push")).await;
    assert_eq!(report.outcome, Outcome::Success);
    let caches: Vec<_> = fs::read_dir(desk.path("caches")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(caches.len(), 1);
    fs::write(&caches[0], "damaged").unwrap();
    let (report, trace) = run(job("! test -e deps", "pull")).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert!(trace.contains("the cache could not be extracted"), "{trace}");
    let (report, trace) = run(job("true", "sideways")).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
}
