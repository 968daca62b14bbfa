//! `serin judge`: the stream on standard input, a file of it again, or the data of a Prometheus.

mod prometheus;
mod story;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serin_judge::Verdict;

use crate::cli::{Judge, Language};
use crate::judge::{self, Detail};
use crate::terminal;
use story::Story;

/// Carries `serin judge` out.
pub async fn run(args: Judge) -> Result<ExitCode> {
    let detail = if args.explain { Detail::Explained(language(&args)) } else { Detail::Estimates };
    if args.source.prometheus.is_some() {
        return prometheus::run(&args).await;
    }
    if let Some(file) = &args.replay {
        let open = File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        return replay(BufReader::new(open), &args);
    }
    if let Err(error) = judge::serve(BufReader::new(io::stdin().lock()), io::stdout().lock(), detail) {
        terminal::error(&error.into());
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

fn language(args: &Judge) -> serin_judge::Language {
    match args.language {
        Language::En => serin_judge::Language::English,
        Language::Zh => serin_judge::Language::Chinese,
    }
}

/// Judges every run of a file, each up to its verdict; the code of the worst.
fn replay(input: impl BufRead, args: &Judge) -> Result<ExitCode> {
    let mut story = Story::new(language(args), args.format);
    let mut worst = None;
    let mut run: Option<judge::Run> = None;
    judge::each_line(input, |line| {
        match line {
            judge::Step::Start(started) => {
                worst = worse(worst, run.take().map(|r| r.verdict()));
                story.begin(&started);
                run = Some(*started);
            }
            judge::Step::Tick(tick) => {
                let Some(run) = run.as_mut() else { return Err("a tick before any header".to_owned()) };
                let decided = run.verdict() != Verdict::Continue;
                if let Some(answer) = run.observe(tick).filter(|_| !decided) {
                    story.tell(run, &answer);
                }
            }
            judge::Step::End => worst = worse(worst, run.take().map(|r| r.verdict())),
        }
        Ok(())
    })?;
    worst = worse(worst, run.map(|r| r.verdict()));
    match worst {
        Some(verdict) => Ok(code(verdict)),
        None => bail!("the file holds no run; a run begins with a line of type `header`"),
    }
}

/// Exit code of a verdict: 0 pass, 3 fail, 4 neither.
fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(3),
        Verdict::Continue | Verdict::Inconclusive => ExitCode::from(4),
    }
}

fn worse(a: Option<Verdict>, b: Option<Verdict>) -> Option<Verdict> {
    let rank = |v: &Verdict| match v {
        Verdict::Pass => 0,
        Verdict::Continue | Verdict::Inconclusive => 1,
        Verdict::Fail => 2,
    };
    [a, b].into_iter().flatten().max_by_key(rank)
}

/// Writes an answer as a line of the stream.
fn write_line(answer: &serin_wire::judge::AnswerLine) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
