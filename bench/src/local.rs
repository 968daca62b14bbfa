//! `serin run` against gitlab-ci-local, and against a bare loop of the same shells.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::statistics::quantile;

/// Runs of each, in turn.
const ROUNDS: usize = 5;
/// Files of the repository whose copies jobs work in.
const FILES: usize = 1_000;

/// Without one gitlab-ci-local refuses to run.
const REMOTE: [&str; 4] = ["remote", "add", "origin", "https://gitlab.com/bench/bench.git"];

/// What a run took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    cpu: Duration,
}

/// A measurement: two commands, and how much longer the first may take.
struct Pair<'a> {
    name: &'a str,
    serin: Command,
    other: Command,
    bound: Bound,
}

enum Bound {
    /// The other takes so many times longer, at least.
    Faster(f64),
    /// It takes so many times as long as the other, at most.
    Within(f64),
}

/// Measures all; whether every bound holds.
pub fn measure(serin: &Path, gitlab_ci_local: Option<&Path>) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let parallel = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let hundred = project(&folder.path().join("hundred"), 100, ("", 1))?;
    let bare = project(&folder.path().join("bare"), 1_000, ("variables: {GIT_STRATEGY: none}\n", 1))?;
    let isolated = project(&folder.path().join("isolated"), 1_000, ("", FILES))?;
    let run = |project: &Path| {
        let mut command = Command::new(serin);
        command.args(["run", "--offline", "-j", &parallel]).current_dir(project);
        command.env("SERIN_CACHE", folder.path().join("cache"));
        command
    };
    let shells = || {
        let mut command = Command::new("bash");
        let script = "n=$(( 1000 / $1 )); for ((j = 0; j < $1; j++)); do \
                      ( for ((i = 0; i < n; i++)); do bash -c true; done ) & done; wait";
        command.args(["-c", script, "bash", &parallel]);
        command
    };
    let mut pairs = vec![
        Pair {
            name: "1,000 jobs, GIT_STRATEGY none / bash",
            serin: run(&bare),
            other: shells(),
            bound: Bound::Within(1.5),
        },
        Pair {
            name: "1,000 jobs, 1,000 files / bash",
            serin: run(&isolated),
            other: shells(),
            bound: Bound::Within(3.0),
        },
    ];
    match gitlab_ci_local {
        Some(program) => {
            let mut other = Command::new("node");
            other.arg(program).current_dir(&hundred);
            pairs.push(Pair {
                name: "100 jobs / gitlab-ci-local",
                serin: run(&hundred),
                other,
                bound: Bound::Faster(15.0),
            });
        }
        None => println!("gitlab-ci-local is not measured: name it by `--gitlab-ci-local PATH`"),
    }
    let mut good = true;
    for pair in pairs {
        good &= compare(pair)?;
    }
    Ok(good)
}

fn compare(mut pair: Pair<'_>) -> Result<bool> {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        mine.push(time(&mut pair.serin)?);
        theirs.push(time(&mut pair.other)?);
    }
    let median = |list: &[Took], of: fn(&Took) -> Duration| quantile(&list.iter().map(of).collect::<Vec<_>>(), 0.5);
    let (wall, other_wall) = (median(&mine, |took| took.wall), median(&theirs, |took| took.wall));
    let (cpu, other_cpu) = (median(&mine, |took| took.cpu), median(&theirs, |took| took.cpu));
    let ratio = cpu.as_secs_f64() / other_cpu.as_secs_f64();
    let (good, words) = match pair.bound {
        Bound::Within(most) => (ratio <= most, format!("{ratio:.2} times the processor time, at most {most}")),
        Bound::Faster(least) => {
            let times = other_wall.as_secs_f64() / wall.as_secs_f64();
            (times >= least, format!("{times:.1} times as fast, at least {least}"))
        }
    };
    println!(
        "{}: {wall:.2?} / {other_wall:.2?} wall, {cpu:.2?} / {other_cpu:.2?} processor; {words}{}",
        pair.name,
        if good { "" } else { "  BROKEN" }
    );
    Ok(good)
}

fn time(command: &mut Command) -> Result<Took> {
    let before = used()?;
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("start the program")?;
    let wall = start.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(Took { wall, cpu: used()?.saturating_sub(before) })
}

/// Processor time of all children that ended, and of theirs.
fn used() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(microseconds.unsigned_abs()))
}

/// A repository with a pipeline of so many jobs of `true`.
fn project(folder: &Path, jobs: usize, (head, files): (&str, usize)) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let list: String = (0..jobs).map(|number| format!("job-{number}: {{script: 'true'}}\n")).collect();
    std::fs::write(folder.join(".gitlab-ci.yml"), format!("{head}{list}"))?;
    for number in 0..files {
        let inner = folder.join(format!("folder-{}", number / 50));
        std::fs::create_dir_all(&inner)?;
        std::fs::write(inner.join(format!("file-{number}")), format!("{number}\n").repeat(100))?;
    }
    for args in [&["init", "-q", "-b", "main", "."][..], &["add", "-A"], &["commit", "-q", "-m", "first"], &REMOTE] {
        let identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"];
        let status = Command::new("git").args(identity).args(args).current_dir(folder).status()?;
        ensure!(status.success(), "git {args:?} failed");
    }
    Ok(folder.to_owned())
}
