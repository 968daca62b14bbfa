use serin_model::FailureReason;
use serin_model::plan::{Script, Variable};
use serin_runner::Outcome;

use crate::desk::{Desk, host_with, lines, run};

fn failed(code: i32) -> Outcome {
    Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(code) }
}

#[tokio::test]
async fn a_job_that_goes_well_reads_like_the_official_runners() {
    let desk = Desk::new();
    let mut job = desk.job(&["echo \"hello $WHO\""]);
    job.variables.push(Variable::plain("WHO", "world"));
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success);
    let expected = [
        "Running with serin",
        "\r\x1b[0K\x1b[0K\x1b[36;1mPreparing the \"shell\" executor\x1b[0;m\n",
        "Using Shell (bash) executor...\n",
        "Getting source from Git repository",
        "Executing \"step_script\" stage of the job script\x1b[0;m\n\x1b[32;1m$ echo \"hello $WHO\"\x1b[0;m\nhello world\n",
        "\x1b[32;1mJob succeeded\x1b[0;m\n",
    ];
    let mut rest = trace.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is missing in {trace:?}"));
        rest = &rest[at + part.len()..];
    }
    let count = |word: &str| trace.matches(word).count();
    assert_eq!(count("section_start:"), count("section_end:"));
}

#[tokio::test]
async fn the_first_line_that_fails_ends_the_job() {
    let desk = Desk::new();
    for (script, code) in [
        (&["false", "echo not-reached"][..], 1),
        (&["exit 42", "echo not-reached"], 42),
        (&["false | true", "echo not-reached"], 1),
        (&["kill -KILL $$", "echo not-reached"], 137),
        (&["no-such-program-here", "echo not-reached"], 127),
        (&["echo 'open", "echo not-reached"], 2),
    ] {
        let (report, trace) = run(desk.job(script)).await;
        assert_eq!(report.outcome, failed(code), "{script:?}: {trace}");
        assert!(!trace.contains("\nnot-reached"), "{trace}");
        assert!(trace.contains(&format!("ERROR: Job failed: exit code {code}")), "{trace}");
    }
}

#[tokio::test]
async fn before_script_and_script_are_one_shell_and_after_script_another() {
    let desk = Desk::new();
    let mut job = desk.job(&[]);
    job.script = Script {
        before_script: lines(&["mkdir sub", "cd sub", "export CARRIED=yes"]),
        script: lines(&["echo \"carried $CARRIED in ${PWD##*/}\"", "exit 3"]),
        after_script: lines(&["echo \"after: [$CARRIED] ${PWD##*/} $CI_JOB_STATUS\"", "false", "echo not-reached"]),
        ..Script::default()
    };
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, failed(3));
    assert!(trace.contains("\ncarried yes in sub\n"), "{trace}");
    assert!(trace.contains("\nafter: [] project failed\n"), "{trace}");
    assert!(!trace.contains("\nnot-reached") && trace.contains("after_script failed with exit code 1"), "{trace}");
}

#[tokio::test]
async fn values_arrive_as_they_are() {
    let desk = Desk::new();
    let odd = "a'b\"c\nd $(touch pwned) `touch pwned`;\t\\ \u{1f426} ";
    let mut job = desk.job(&["printf %s \"$ODD\" > \"$DESK/odd\"", "printf %s \"$USES\" > \"$DESK/uses\"", "ls"]);
    job.variables.push(Variable { raw: true, ..Variable::plain("ODD", odd) });
    job.variables.push(Variable::plain("USES", "<${ODD}> $$ $UNKNOWN."));
    job.variables.push(Variable::plain("NOT A NAME", "x"));
    job.variables.push(Variable::plain("A=B", "x"));
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert_eq!(desk.text("odd"), odd);
    assert_eq!(desk.text("uses"), format!("<{odd}> $ ."));
    assert!(!desk.path("builds/project/pwned").exists());
}

#[tokio::test]
async fn only_the_jobs_own_environment_is_there() {
    let desk = Desk::new();
    let mut job =
        desk.job(&["env -0 > \"$DESK/env\"", "cat \"$FILE\" > \"$DESK/file\"", "stat -c %a \"$FILE\" \"$TMPDIR\""]);
    job.host = host_with("SERIN_TOKEN", "secret-of-the-server");
    job.variables.push(Variable { file: true, ..Variable::plain("FILE", "in $DESK\nfile") });
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    let environment = desk.text("env");
    let mut names: Vec<&str> = environment.split('\0').filter_map(|entry| Some(entry.split_once('=')?.0)).collect();
    names.sort_unstable();
    let expected = [
        "CI_BUILDS_DIR",
        "CI_PROJECT_DIR",
        "CI_SHARED_ENVIRONMENT",
        "DESK",
        "FILE",
        "HOME",
        "LANG",
        "PATH",
        "PWD",
        "SERIN_JOB_MARK",
        "SHLVL",
        "TMPDIR",
        "_",
    ];
    assert_eq!(names, expected);
    assert!(!environment.contains("secret-of-the-server"));
    assert_eq!(desk.text("file"), "in $DESK\nfile");
    assert!(trace.contains("\n600\n700\n"), "{trace}");
}

#[tokio::test]
async fn a_job_that_cannot_be_started_says_why() {
    let desk = Desk::new();
    let mut long = desk.job(&["true"]);
    long.variables.push(Variable::plain("LONG", "x".repeat(300_000)));
    let mut strategy = desk.job(&["true"]);
    strategy.variables.push(Variable::plain("GIT_STRATEGY", "teleport"));
    let mut guard = desk.job(&["true"]);
    guard.guard = serin_runner::GuardCommand { program: "/no/such/guard".into(), args: Vec::new() }.into();
    let mut shell = desk.job(&["true"]);
    shell.host = host_with("X", "y");
    let no_path = serin_runner::HostEnvironment::from_entries([("PATH".into(), "/no/such/folder".into())]);
    shell.host = no_path;
    for (job, words) in [
        (long, "variable `LONG` is too long"),
        (strategy, "unknown GIT_STRATEGY `teleport`"),
        (guard, "cannot start `/no/such/guard`"),
        (shell, "no `bash` and no `sh`"),
    ] {
        let (report, trace) = run(job).await;
        let expected = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
        assert_eq!(report.outcome, expected, "{trace}");
        assert!(trace.contains("Job failed (system failure)") && trace.contains(words), "{trace}");
    }
}

#[tokio::test]
async fn sh_does_where_there_is_no_bash() {
    let desk = Desk::new();
    let bin = desk.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).unwrap();
    let mut job = desk.job(&["echo it\\'s fine", "false", "echo not-reached"]);
    job.host = serin_runner::HostEnvironment::from_entries([("PATH".into(), bin.into())]);
    let (report, trace) = run(job).await;
    assert_eq!(report.outcome, failed(1), "{trace}");
    assert!(trace.contains("Using Shell (sh)") && trace.contains("\nit's fine\n"), "{trace}");
}

#[tokio::test]
async fn an_image_is_one_line_of_notice() {
    let desk = Desk::new();
    let mut job = desk.job(&["true"]);
    job.script.image = Some(serin_model::plan::Image { name: "rust:$DESK".into(), ..Default::default() });
    let (_, trace) = run(job).await;
    assert_eq!(trace.matches("is not used").count(), 1, "{trace}");
}
