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

#[cfg(test)]
mod tests {
    use serin_judge::Language;
    use serin_wire::judge::AnswerLine;

    use super::*;

    /// A run with every kind of metric; what the fuzz target `judge` starts from, too.
    const HEADER: &str = r#"{"type":"header","schema":1,"alpha":0.05,"beta":0.05,"tick_seconds":1,"horizon_ticks":12,"warmup_ticks":2,"canary":["c"],"baseline":["a","b"],"metrics":[{"name":"n","kind":"count","role":"exposure"},{"name":"e","kind":"proportion","margin":{"ok":{"rel":0.5,"abs":0.001},"bad":{"rel":2.0,"abs":0.01}}},{"name":"h","kind":"histogram","scale":4,"quantiles":[0.5,0.99],"margin":{"ok":{"rel":0.1},"bad":{"rel":0.5}}},{"name":"w","kind":"count","exposure":"n","margin":{"ok":{"rel":0.2},"bad":{"rel":1.0}}},{"name":"g","kind":"gauge","load":"n","direction":"both","margin":{"ok":{"rel":0.1},"bad":{"rel":0.3}},"slope_pct_per_min":{"ok":1,"bad":5}},{"name":"t","kind":"counter","role":"watched","margin":{"ok":{"rel":0.1},"bad":{"rel":0.3}}}]}"#;

    fn stream() -> String {
        let node = |tick: i64| {
            format!(
                r#"{{"n":{},"e":[1,{}],"h":[20,[{},3,1]],"w":2,"g":{},"t":{}}}"#,
                50 + tick,
                50 + tick,
                40 + tick,
                30 + tick % 3,
                1000 + 7 * tick
            )
        };
        let tick = |t: i64| {
            let (a, b, c) = (node(t), node(t + 1), node(t + 2));
            format!(r#"{{"type":"tick","tick":{t},"nodes":{{"a":{a},"b":{b},"c":{c}}}}}"#)
        };
        let ticks: Vec<String> = (-12..12).map(tick).collect();
        format!("{HEADER}\n{}\n{{\"type\":\"end\"}}\n", ticks.join("\n"))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(state: &mut u64) -> usize {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)) >> 20) as usize
    }

    fn mutated(text: &str, state: &mut u64) -> Vec<u8> {
        const WORDS: [&str; 14] = [
            "-1",
            "1e308",
            "1e999",
            "null",
            "18446744073709551615",
            "-9223372036854775808",
            "0",
            "\"\"",
            "[]",
            "{}",
            "c",
            "\n",
            "0.5",
            "NaN",
        ];
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=next(state) % 4 {
            let at = next(state) % bytes.len();
            let end = (at + next(state) % 12).min(bytes.len());
            let word = WORDS[next(state) % WORDS.len()];
            match next(state) % 4 {
                0 => bytes[at] = next(state) as u8,
                1 => drop(bytes.splice(at..end, word.bytes())),
                2 => drop(bytes.drain(at..end)),
                _ => {
                    // a number in place of a number gets further than any other change
                    let digits = |b: &u8| b.is_ascii_digit();
                    let first = bytes[at..].iter().position(digits).map_or(at, |i| at + i);
                    let length = bytes[first..].iter().take_while(|b| digits(b)).count();
                    bytes.splice(first..first + length, word.bytes());
                }
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn any_stream_is_answered_or_refused() {
        let text = stream();
        let mut state = 7;
        let (mut answered, mut refused) = (0, 0);
        for _ in 0..3_000 {
            let mut answers = Vec::new();
            let input = mutated(&text, &mut state);
            match judge::serve(input.as_slice(), &mut answers, Detail::Explained(Language::English)) {
                Ok(()) => answered += 1,
                Err(_) => refused += 1,
            }
            for line in answers.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let answer: AnswerLine = serde_json::from_slice(line).unwrap();
                assert!(["continue", "pass", "fail", "inconclusive"].contains(&answer.verdict.as_str()));
            }
        }
        assert!(answered > 100 && refused > 300, "{answered} answered, {refused} refused");
    }

    #[test]
    fn first_answer_tells_what_cannot_be_shown() {
        let mut answers = Vec::new();
        judge::serve(stream().as_bytes(), &mut answers, Detail::Explained(Language::English)).unwrap();
        let lines: Vec<AnswerLine> =
            String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 12);
        let outlook = lines[0].outlook.as_deref().unwrap();
        assert!(outlook.starts_with("this canary cannot prove everything in its time: "), "{outlook}");
        assert!(lines[1..].iter().all(|line| line.outlook.is_none()));
    }

    #[test]
    fn worst_verdict_is_the_code() {
        assert_eq!(worse(Some(Verdict::Pass), Some(Verdict::Fail)), Some(Verdict::Fail));
        assert_eq!(worse(Some(Verdict::Inconclusive), Some(Verdict::Pass)), Some(Verdict::Inconclusive));
        assert_eq!(worse(None, None), None);
    }
}
