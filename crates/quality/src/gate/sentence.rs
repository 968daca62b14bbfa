//! Each condition in a sentence, with what would satisfy it.

use super::{Condition, Subject, Value, Verdict, lines_missing};
use crate::coverage::Ratio;

/// In which language people are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese.
    Chinese,
}

/// Names of things at fault that a sentence holds.
const NAMES_MAX: usize = 3;

/// Tells how a condition stands, and where it does not hold what to do.
#[must_use]
pub fn sentence(condition: &Condition, language: Language) -> String {
    let told = Told { condition, language };
    match &condition.subject {
        Subject::NewFindings(_) => told.findings(),
        Subject::FailingTests => told.tests(),
        Subject::ChangedCoverage => told.coverage(),
        Subject::DuplicatedLines => told.duplicated(),
        Subject::Quarantine | Subject::QuarantineEnded => told.quarantine(),
        Subject::Gate(name) => told.gate(name),
        Subject::Report(kind) => told.report(kind),
    }
}

struct Told<'a> {
    condition: &'a Condition,
    language: Language,
}

impl Told<'_> {
    fn pick(&self, english: impl Into<String>, chinese: impl Into<String>) -> String {
        match self.language {
            Language::English => english.into(),
            Language::Chinese => chinese.into(),
        }
    }

    fn counts(&self) -> Option<(u64, u64)> {
        match (self.condition.value, self.condition.limit) {
            (Some(Value::Count(value)), Some(Value::Count(limit))) => Some((value, limit)),
            _ => None,
        }
    }

    fn lines(&self) -> Option<(Ratio, f64)> {
        match (self.condition.value, self.condition.limit) {
            (Some(Value::Lines(lines)), Some(Value::Share(limit))) => Some((lines, limit)),
            _ => None,
        }
    }

    /// The first things at fault, in brackets.
    fn names(&self) -> String {
        let names = match (self.language, &self.condition.names_chinese) {
            (Language::Chinese, Some(names)) => names,
            _ => &self.condition.names,
        };
        if names.is_empty() {
            return String::new();
        }
        let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>();
        let more = if names.len() > NAMES_MAX { self.pick("; …", "；……") } else { String::new() };
        self.pick(format!(" ({}{more})", shown.join("; ")), format!("（{}{more}）", shown.join("；")))
    }

    fn findings(&self) -> String {
        let Subject::NewFindings(severity) = self.condition.subject else { return String::new() };
        let Some((found, allowed)) = self.counts() else {
            return self.pick(
                "no report of a code check came: have a job write one and name it in `artifacts:reports`",
                "没有代码检查报告：请让某个作业生成报告，并在 `artifacts:reports` 中声明",
            );
        };
        let excess = found.saturating_sub(allowed);
        let names = self.names();
        let (s, _) = plural(found);
        match (self.condition.verdict, found) {
            (Verdict::Passed, 0) => self.pick(
                format!("no new finding of severity {severity} or worse"),
                format!("没有新增的 {severity} 及以上级别问题"),
            ),
            (Verdict::Passed, _) => self.pick(
                format!("{found} new finding{s} of severity {severity} or worse, {allowed} allowed"),
                format!("新增 {found} 个 {severity} 及以上级别问题，允许 {allowed} 个"),
            ),
            _ => self.pick(
                format!(
                    "{found} new finding{s} of severity {severity} or worse, {allowed} allowed: fix {excess}{names}"
                ),
                format!("新增 {found} 个 {severity} 及以上级别问题，允许 {allowed} 个：请修复 {excess} 个{names}"),
            ),
        }
    }

    fn tests(&self) -> String {
        let Some((failing, allowed)) = self.counts() else {
            return self.pick(
                "no report of tests came: have a job write JUnit XML and name it in `artifacts:reports:junit`",
                "没有测试报告：请让某个作业生成 JUnit XML，并在 `artifacts:reports:junit` 中声明",
            );
        };
        let excess = failing.saturating_sub(allowed);
        let names = self.names();
        let (s, verb) = plural(failing);
        match (self.condition.verdict, failing) {
            (Verdict::Passed, 0) => self.pick("no test fails", "没有失败的测试"),
            (Verdict::Passed, _) => self.pick(
                format!("{failing} test{s} fail{verb}, {allowed} allowed"),
                format!("{failing} 个测试失败，允许 {allowed} 个"),
            ),
            _ => self.pick(
                format!("{failing} test{s} fail{verb}, {allowed} allowed: mend {excess}{names}"),
                format!("{failing} 个测试失败，允许 {allowed} 个：请修复 {excess} 个{names}"),
            ),
        }
    }

    fn coverage(&self) -> String {
        let Some((lines, asked)) = self.lines() else {
            return self.pick(
                "no coverage report came: have a job write one and name it in `artifacts:reports:coverage_report`",
                "没有覆盖率报告：请让某个作业生成报告，并在 `artifacts:reports:coverage_report` 中声明",
            );
        };
        let (Ratio { covered, total }, asked_text) = (lines, percent(asked));
        let Some(share) = lines.share() else {
            return self.pick("the change has no line that could run", "本次变更没有可执行的代码行");
        };
        let share = percent(share);
        if self.condition.verdict == Verdict::Passed {
            return self.pick(
                format!("{share} of the changed lines are tested ({covered} of {total}), {asked_text} asked"),
                format!("变更行覆盖率 {share}（{covered}/{total}），要求 {asked_text}"),
            );
        }
        let missing = lines_missing(lines, asked);
        let (s, _) = plural(missing);
        self.pick(
            format!(
                "{share} of the changed lines are tested ({covered} of {total}), {asked_text} asked: \
                 test {missing} more line{s}"
            ),
            format!("变更行覆盖率 {share}（{covered}/{total}），要求 {asked_text}：还需覆盖 {missing} 行"),
        )
    }

    fn duplicated(&self) -> String {
        let Some((lines, allowed)) = self.lines() else {
            return self.pick("duplicated lines were not counted", "没有统计重复代码行");
        };
        let (share, allowed) = (percent(lines.share().unwrap_or(0.0)), percent(allowed));
        let todo = match self.condition.verdict {
            Verdict::Passed => String::new(),
            _ => self.pick(": take what is repeated into one place", "：请合并重复的代码"),
        };
        self.pick(
            format!("{share} of the added lines repeat others, {allowed} allowed{todo}"),
            format!("新增代码中 {share} 是重复行，允许 {allowed}{todo}"),
        )
    }

    fn quarantine(&self) -> String {
        let Some(Value::Count(count)) = self.condition.value else { return String::new() };
        let (names, (s, verb)) = (self.names(), plural(count));
        let are = if count == 1 { "is" } else { "are" };
        if self.condition.subject == Subject::Quarantine {
            return self.pick(
                format!("{count} test{s} fail{verb} and {are} in quarantine, so that this does not count{names}"),
                format!("{count} 个失败的测试处于隔离期，不计入{names}"),
            );
        }
        self.pick(
            format!("{count} failing test{s} count{verb} again, because the quarantine is over{names}"),
            format!("{count} 个失败测试的隔离期已结束，重新计入{names}"),
        )
    }

    fn gate(&self, name: &str) -> String {
        let names = self.names();
        match self.condition.verdict {
            Verdict::Passed => {
                self.pick(format!("the quality gate of {name} is passed"), format!("{name} 的质量门禁已通过"))
            }
            Verdict::Failed => self.pick(
                format!("the quality gate of {name} is not passed: mend what it names{names}"),
                format!("{name} 的质量门禁未通过：请修复其指出的问题{names}"),
            ),
            Verdict::Missing => self.pick(
                format!(
                    "the quality gate of {name} says nothing yet: wait for its analysis, or analyse this commit \
                     again{names}"
                ),
                format!("{name} 的质量门禁尚无结果：请等待分析完成，或重新分析此提交{names}"),
            ),
        }
    }

    fn report(&self, kind: &str) -> String {
        match self.condition.verdict {
            Verdict::Passed => self.pick(format!("the report `{kind}` is there"), format!("报告 `{kind}` 已提供")),
            Verdict::Missing => self.pick(
                format!(
                    "the report `{kind}` is missing: have a job write it and name it in `artifacts:reports:{kind}`, \
                     with `when: always` if the job may fail"
                ),
                format!(
                    "缺少报告 `{kind}`：请让某个作业生成它，并在 `artifacts:reports:{kind}` 中声明；\
                     作业可能失败时请加 `when: always`"
                ),
            ),
            Verdict::Failed => self.pick(
                format!("the report `{kind}` cannot be read{}", self.names()),
                format!("报告 `{kind}` 无法读取{}", self.names()),
            ),
        }
    }
}

/// The endings of a noun and of its verb.
fn plural(count: u64) -> (&'static str, &'static str) {
    if count == 1 { ("", "s") } else { ("s", "") }
}

/// A share in percent, rounded down, so that one just below its limit does not read as if it reached it.
#[must_use]
pub fn percent(share: f64) -> String {
    let tenths = (share * 1000.0 + 1e-6).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}
