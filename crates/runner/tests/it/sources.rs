use std::fs;
use std::os::unix::fs::symlink;

use serin_model::plan::Variable;
use serin_model::{CommitId, FailureReason};
use serin_runner::{Afterwards, Outcome, Source};

use crate::desk::{Desk, git, lines, run, until};

#[tokio::test]
async fn the_commit_is_there_with_a_git_that_works() {
    let desk = Desk::new();
    let source = desk.repository("feature/x", &[("a/b.txt", "content"), ("run.sh", "#!/bin/sh\n")]);
    git(&desk.path("work"), &["tag", "-a", "-m", "one", "v1"]);
    let mut job = desk.job(&[
        "cat a/b.txt",
        "git status --porcelain > \"$DESK/status\"",
        "git log --format=%s > \"$DESK/log\"",
        "git describe > \"$DESK/describe\"",
        "git rev-parse origin/feature/x HEAD > \"$DESK/heads\"",
        "git -c user.name=x -c user.email=x commit -q --allow-empty -m mine",
    ]);
    job.source = source;
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert_eq!(
        (desk.text("status").as_str(), desk.text("log").trim(), desk.text("describe").trim()),
        ("", "first", "v1")
    );
    let heads = desk.text("heads");
    let mut heads = heads.lines();
    assert_eq!(heads.next(), heads.next());
    assert_eq!(git(&desk.path("work"), &["rev-list", "--all", "--count"]), "1");
    assert!(trace.contains("as detached HEAD (ref is feature/x)"), "{trace}");
}

#[tokio::test]
async fn nothing_that_a_repository_says_is_run() {
    let desk = Desk::new();
    let touch = |name: &str| format!("touch {}", desk.path(name).display());
    let source = desk.repository(
        "--upload-pack=x",
        &[(".gitattributes", "* filter=evil ident\n*.txt eol=lf\n"), ("a.txt", "$Id$\n"), ("$(touch x)", "odd")],
    );
    let work = desk.path("work");
    for (key, name) in [("filter.evil.smudge", "smudged"), ("core.fsmonitor", "monitored"), ("core.pager", "paged")] {
        git(&work, &["config", key, &touch(name)]);
    }
    let hook = work.join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{}\n", touch("hooked"))).unwrap();
    git(&work, &["config", "core.hooksPath", hook.parent().unwrap().to_str().unwrap()]);
    let mut job = desk.job(&["ls -1", "git rev-parse --verify refs/remotes/origin/--upload-pack=x"]);
    job.source = source;
    job.script.artifacts = Some(serin_model::plan::Artifacts { untracked: true, ..Default::default() });
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    for name in ["smudged", "monitored", "paged", "hooked"] {
        assert!(!desk.path(name).exists(), "{name}");
    }
    assert!(desk.path("builds/project/$(touch x)").is_file());
}

#[tokio::test]
async fn a_commit_that_is_not_there_or_is_none_fails_the_system() {
    let desk = Desk::new();
    let Source::LocalRepository { git_dir, ref_name, .. } = desk.repository("main", &[("a", "")]) else { panic!() };
    for commit in ["1".repeat(40), "--help".to_owned(), "HEAD".to_owned()] {
        let mut job = desk.job(&["true"]);
        job.source = Source::LocalRepository {
            git_dir: git_dir.clone(),
            commit: CommitId(commit.clone()),
            ref_name: ref_name.clone(),
        };
        let (report, trace) = run(job).await;
        let expected = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
        assert_eq!(report.outcome, expected, "{trace}");
        assert!(trace.contains(&commit), "{trace}");
    }
}

#[tokio::test]
async fn strategies_say_what_of_an_earlier_job_is_left() {
    let desk = Desk::new();
    let source = desk.repository("main", &[("a", "1")]);
    let mut job = desk.job(&["ls -A > \"$DESK/list\"", "mkdir -p ro/deep; chmod 500 ro; echo x > left"]);
    job.source = source;
    for (strategy, expected) in [
        ("clone", ".git\na\n"),
        ("fetch", ".git\na\n"),
        ("none", ".git\na\nleft\nro\n"),
        ("empty", ""),
        ("none", "left\nro\n"),
    ] {
        let mut job = job.clone();
        job.variables.push(Variable::plain("GIT_STRATEGY", strategy));
        let (report, trace) = run(job).await;
        assert_eq!(report.outcome, Outcome::Success, "{trace}");
        assert_eq!(desk.text("list"), expected, "{strategy}");
    }
}

#[tokio::test]
async fn a_hook_runs_before_the_sources() {
    let desk = Desk::new();
    let mut job = desk.job(&["cat a"]);
    job.source = desk.repository("main", &[("a", "content")]);
    job.script.pre_get_sources_script = lines(&["ls -A | wc -l > \"$DESK/count\""]);
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert_eq!(desk.text("count").trim(), "0");
}

#[tokio::test]
async fn a_work_tree_comes_as_it_is_without_ignored_files() {
    let desk = Desk::new();
    desk.repository("main", &[("kept", "old"), ("gone", "x"), (".gitignore", "ignored\n")]);
    let work = desk.path("work");
    fs::write(work.join("kept"), "new").unwrap();
    fs::write(work.join("fresh"), "fresh").unwrap();
    fs::write(work.join("ignored"), "ignored").unwrap();
    fs::remove_file(work.join("gone")).unwrap();
    symlink("kept", work.join("link")).unwrap();
    let mut job = desk.job(&["cat kept", "git status --porcelain > \"$DESK/status\"", "echo changed > kept"]);
    job.source = Source::WorkingTree { folder: work.clone() };
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert_eq!(desk.text("status"), " D gone\n M kept\n?? fresh\n?? link\n");
    assert_eq!(fs::read_to_string(work.join("kept")).unwrap(), "new");
}

#[tokio::test]
async fn the_checkout_goes_when_it_is_not_kept() {
    let desk = Desk::new();
    let mut job = desk.job(&["mkdir -p a/b", "touch a/b/c", "chmod 500 a/b a"]);
    job.afterwards = Afterwards::Remove;
    let (report, _) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success);
    until("the checkout is gone", || !desk.path("builds/project").exists()).await;
}
