//! How a merge request stands before its quality gate, as its page shows it.

use serin_server::error::Result;
use serin_server::quality::{self as server, Details, TestDetails};
use serin_store::merge_request::MergeRequest;
use serin_store::pipeline::Pipeline;
use serin_wire::quality::{Coverage, Judgement, Quality};

use crate::address::encode;
use crate::chart::{self, Spark};
use crate::diff;
use crate::icon;
use crate::mark::Mark;
use crate::text::{Language, Text};
use crate::visit::Visit;

/// New findings and tests that the page lists; the API has the rest.
const LISTED_MAX: usize = 50;

/// The gate of one merge request.
pub(crate) struct QualityView {
    pub(crate) mark: Mark,
    /// What kind of gate it is: it blocks, or it informs.
    pub(crate) effect: &'static str,
    pub(crate) conditions: Vec<(Mark, String)>,
    pub(crate) facts: Vec<String>,
    pub(crate) findings: Vec<Row>,
    pub(crate) tests: Vec<TestRow>,
    pub(crate) notes: Vec<String>,
    /// Who let it pass, and why.
    pub(crate) passed_by: Option<(String, String)>,
    pub(crate) may_override: bool,
}

/// A finding.
pub(crate) struct Row {
    /// Where the changes show it.
    pub(crate) href: Option<String>,
    pub(crate) mark: Mark,
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) message: String,
}

/// A test that fails or is flaky.
pub(crate) struct TestRow {
    pub(crate) mark: Mark,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) output: String,
    /// How often it fails without reason.
    pub(crate) flaky: Option<String>,
    pub(crate) spark: Option<Spark>,
}

/// Reads how a merge request stands; `None` where no report and no condition is there.
///
/// # Errors
/// Where database or repository fail.
pub(super) async fn view(
    visit: &Visit,
    request: &MergeRequest,
    newest: Option<&Pipeline>,
) -> Result<Option<QualityView>> {
    let shown = server::shown_of(&visit.app, request).await?;
    let details = match newest.filter(|_| shown.judgement.is_some()) {
        Some(pipeline) => server::details_of(&visit.app, pipeline).await?.unwrap_or_default(),
        None => Details::default(),
    };
    let shown = Shown { quality: shown, details, is_open: request.state == "opened" };
    Ok(of(shown, visit.language))
}

/// What is shown.
struct Shown {
    quality: Quality,
    details: Details,
    is_open: bool,
}

fn of(shown: Shown, language: Language) -> Option<QualityView> {
    let Shown { quality: shown, details, is_open: open } = shown;
    let t = language.text();
    let judgement = shown.judgement?;
    let measured = judgement.findings.is_some() || judgement.tests.is_some() || judgement.coverage.is_some();
    let measured = measured || !judgement.job_coverage.is_empty();
    if judgement.conditions.is_empty() && !measured {
        return None;
    }
    let failed = judgement.status == "failed";
    let mark = match (judgement.status.as_str(), &shown.overridden) {
        ("failed", Some(_)) => Mark::new(icon::WARNING, t.quality_let_pass, "warn"),
        ("failed", None) if judgement.blocks => Mark::new(icon::FAILED, t.quality_failed, "bad"),
        ("failed", None) => Mark::new(icon::WARNING, t.quality_failed, "warn"),
        ("passed", _) => Mark::new(icon::SUCCESS, t.quality_passed, "ok"),
        _ => Mark::new(icon::CREATED, t.quality_unmeasured, "idle"),
    };
    Some(QualityView {
        mark,
        effect: if judgement.blocks { t.quality_blocks } else { t.quality_informs },
        conditions: conditions(&judgement, language),
        facts: facts(&judgement, t),
        findings: findings(&judgement),
        tests: details.tests.into_iter().take(LISTED_MAX).map(|test| self::test(test, t)).collect(),
        may_override: open && failed && judgement.blocks && shown.overridden.is_none(),
        passed_by: shown.overridden.map(|by| (by.name, by.reason)),
        notes: match language {
            Language::Chinese if judgement.notes_zh.len() == judgement.notes.len() => judgement.notes_zh,
            _ => judgement.notes,
        },
    })
}

fn conditions(judgement: &Judgement, language: Language) -> Vec<(Mark, String)> {
    let t = language.text();
    let shown = judgement.conditions.iter().map(|condition| {
        let mark = match condition.verdict.as_str() {
            "passed" => Mark::new(icon::SUCCESS, t.quality_holds, "ok"),
            "missing" => Mark::new(icon::WARNING, t.quality_missing, "warn"),
            _ => Mark::new(icon::FAILED, t.quality_fails, "bad"),
        };
        let sentence = match language {
            Language::English => &condition.english,
            Language::Chinese => &condition.chinese,
        };
        (mark, sentence.clone())
    });
    shown.collect()
}

fn facts(judgement: &Judgement, t: &'static Text) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(found) = &judgement.findings {
        let counts =
            [(found.new, t.quality_new), (found.fixed, t.quality_fixed), (found.remaining, t.quality_remaining)];
        let words = counts.map(|(count, word)| format!("{count} {word}")).join(" · ");
        facts.push(format!("{}: {words}", t.quality_findings));
    }
    if let Some(tests) = &judgement.tests {
        let failing = tests.newly_failing.len();
        let words = format!(
            "{} {} · {} {} · {} {} · {failing} {} · {} {}",
            tests.passed,
            t.quality_tests_passed,
            tests.failed,
            t.quality_tests_failed,
            tests.skipped,
            t.quality_tests_skipped,
            t.quality_newly_failing,
            tests.newly_passing,
            t.quality_newly_passing,
        );
        let rare = [(tests.slower, t.quality_slower), (tests.removed, t.quality_removed)];
        let rare = rare.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(" · {count} {word}"));
        facts.push(format!("{}: {words}{}", t.quality_tests, rare.collect::<String>()));
    }
    facts.extend(judgement.coverage.as_ref().map(|coverage| format!("{}: {}", t.quality_coverage, told(coverage, t))));
    facts.extend(judgement.job_coverage.iter().map(|job| {
        let before = job.before.map(|before| format!(" ({} {before:.1} %)", t.quality_before)).unwrap_or_default();
        format!("{}, {}: {:.1} %{before}", t.quality_coverage, job.job, job.percent)
    }));
    facts
}

fn told(coverage: &Coverage, t: &'static Text) -> String {
    let share = |(covered, total): (u64, u64)| match total {
        0 => "–".to_owned(),
        // Rounded as the gate does it, so that both say the same.
        total => serin_quality::gate::percent(covered as f64 / total as f64),
    };
    let before = coverage.before.map(|before| format!(" ({} {})", t.quality_before, share(before))).unwrap_or_default();
    let changed = coverage.changed.map(|changed| format!(" · {} {}", t.quality_changed_lines, share(changed)));
    format!("{}{before}{}", share(coverage.whole), changed.unwrap_or_default())
}

fn findings(judgement: &Judgement) -> Vec<Row> {
    let shown = judgement.findings.iter().flat_map(|found| &found.shown).take(LISTED_MAX).map(|finding| Row {
        href: finding.path.as_ref().map(|path| format!("file={}#{}", encode(path), diff::anchor(path))),
        mark: crate::mark::severity(&finding.severity),
        place: finding.path.as_ref().map_or_else(String::new, |path| format!("{path}:{}", finding.line)),
        what: format!("{} {}", finding.tool, finding.rule),
        message: finding.message.clone(),
    });
    shown.collect()
}

fn test(test: TestDetails, t: &'static Text) -> TestRow {
    TestRow {
        mark: match test.state.as_str() {
            "newly_failing" => Mark::new(icon::FAILED, t.quality_newly_failing, "bad"),
            "still_failing" => Mark::new(icon::FAILED, t.quality_still_failing, "bad"),
            _ => Mark::new(icon::WARNING, t.quality_attempts, "warn"),
        },
        flaky: test.flaky_rate.map(|rate| format!("{} {:.0} %", t.quality_flaky, 100.0 * rate)),
        spark: chart::spark(&test.history, (t.quality_runs, t.quality_failing)),
        name: test.name,
        message: test.message,
        output: test.output,
    }
}

#[cfg(test)]
mod tests_of_the_view {
    use askama::Template;
    use serin_wire::quality::{Condition, Finding, Findings, Override};

    use super::*;
    use crate::frame::Frame;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'";

    #[derive(Template)]
    #[template(path = "quality.html")]
    struct Card {
        f: Frame,
        href: String,
        quality: QualityView,
    }

    fn quality(overridden: Option<Override>) -> Shown {
        let condition = Condition {
            key: "new_findings.major".into(),
            verdict: "failed".into(),
            english: HOSTILE.into(),
            chinese: "新增".into(),
        };
        let finding =
            Finding { message: HOSTILE.into(), path: Some(HOSTILE.into()), rule: HOSTILE.into(), ..Finding::default() };
        let judgement = Judgement {
            status: "failed".into(),
            blocks: true,
            conditions: vec![condition],
            findings: Some(Findings { new: 1, fixed: 0, remaining: 3, shown: vec![finding] }),
            notes: vec![HOSTILE.into()],
            ..Judgement::default()
        };
        let test = TestDetails {
            name: HOSTILE.into(),
            state: "newly_failing".into(),
            message: HOSTILE.into(),
            output: HOSTILE.into(),
            flaky_rate: Some(0.25),
            history: "ppfp".into(),
        };
        shown(Quality { judgement: Some(judgement), overridden }, Details { tests: vec![test], ..Details::default() })
    }

    fn shown(quality: Quality, details: Details) -> Shown {
        Shown { quality, details, is_open: true }
    }

    #[test]
    fn texts_of_reports_stay_text() {
        let by = Override { name: HOSTILE.into(), reason: HOSTILE.into(), created_at: String::new() };
        for overridden in [None, Some(by)] {
            let quality = of(quality(overridden), Language::English).unwrap();
            let html = Card { f: crate::frame::tests::frame(), href: "/x".into(), quality }.render().unwrap();
            assert!(!html.contains("<img") && !html.contains("onerror=alert(1)>"), "{html}");
            assert!(!html.contains(" style=") && !html.contains("<script"), "{html}");
            assert!(html.contains("4 runs, 1 failing") && html.contains("flaky 25 %"), "{html}");
        }
    }

    #[test]
    fn only_a_gate_that_blocks_is_overridden_and_only_once() {
        let view = of(quality(None), Language::Chinese).unwrap();
        assert!(view.may_override);
        assert_eq!((view.mark.class, view.conditions[0].1.as_str()), ("bad", "新增"));
        let by = Override { name: "a".into(), reason: "b".into(), created_at: String::new() };
        let view = of(quality(Some(by)), Language::English).unwrap();
        assert!(!view.may_override && view.mark.class == "warn");
        let merged = Shown { is_open: false, ..quality(None) };
        assert!(!of(merged, Language::English).unwrap().may_override);
        let empty = Quality { judgement: Some(Judgement::default()), overridden: None };
        assert!(of(shown(empty, Details::default()), Language::English).is_none());
    }
}
