use super::*;

fn gate() -> Gate {
    Gate {
        blocks: true,
        new_findings: vec![(Severity::Critical, 0), (Severity::Minor, 5)],
        coverage_on_changed_lines: Some(0.8),
        failing_tests: Some(0),
        duplicated_lines: Some(0.05),
        reports: vec!["junit".into(), "sast".into()],
        quarantine: Vec::new(),
    }
}

fn told(conditions: &[Condition], language: Language) -> Vec<(String, &'static str, String)> {
    conditions.iter().map(|c| (c.subject.key(), c.verdict.as_str(), sentence(c, language))).collect()
}

#[test]
fn nothing_reported_is_never_a_pass() {
    let conditions = judge(Some(&gate()), &Facts::default());
    assert_eq!(conditions.len(), 7);
    assert!(conditions.iter().all(|condition| condition.verdict == Verdict::Missing));
    assert!(!passed(&conditions));
    assert!(judge(None, &Facts::default()).is_empty());
}

#[test]
fn each_condition_says_what_would_satisfy_it() {
    let facts = Facts {
        new_findings: Some(vec![Severity::Critical, Severity::Minor]),
        worst_findings: vec!["src/a.rs:3 clippy unwrap_used".into()],
        failing_tests: Some(2),
        first_failing: vec!["shop::pays".into(), "shop::ships".into()],
        changed_coverage: Some(Ratio { covered: 5, total: 8 }),
        duplicated: Some(Ratio { covered: 1, total: 40 }),
        today: None,
        gates: Vec::new(),
        reports: vec![
            ReportState { kind: "junit".into(), state: Presence::Read },
            ReportState { kind: "sast".into(), state: Presence::Broken("line 3: it ends in the middle".into()) },
        ],
    };
    let conditions = judge(Some(&gate()), &facts);
    let line = |key: &str, verdict, text: &str| (key.to_owned(), verdict, text.to_owned());
    assert_eq!(
        told(&conditions, Language::English),
        [
            line("report.junit", "passed", "the report `junit` is there"),
            line("report.sast", "failed", "the report `sast` cannot be read (line 3: it ends in the middle)"),
            line(
                "new_findings.critical",
                "failed",
                "1 new finding of severity critical or worse, 0 allowed: fix 1 (src/a.rs:3 clippy unwrap_used)"
            ),
            line("new_findings.minor", "passed", "2 new findings of severity minor or worse, 5 allowed"),
            line("failing_tests", "failed", "2 tests fail, 0 allowed: mend 2 (shop::pays; shop::ships)"),
            line(
                "coverage_on_changed_lines",
                "failed",
                "62.5 % of the changed lines are tested (5 of 8), 80 % asked: test 2 more lines"
            ),
            line("duplicated_lines", "passed", "2.5 % of the added lines repeat others, 5 % allowed"),
        ]
    );
    let chinese = told(&conditions, Language::Chinese);
    assert_eq!(chinese[5].2, "变更行覆盖率 62.5 %（5/8），要求 80 %：还需覆盖 2 行");
    assert_eq!(chinese[4].2, "2 个测试失败，允许 0 个：请修复 2 个（shop::pays；shop::ships）");
    assert!(!passed(&conditions));
}

#[test]
fn the_default_asks_only_of_what_is_reported() {
    let facts = Facts { failing_tests: Some(1), ..Facts::default() };
    let conditions = judge(None, &facts);
    assert_eq!(conditions.len(), 1);
    assert_eq!((&conditions[0].subject, conditions[0].verdict), (&Subject::FailingTests, Verdict::Failed));
    let absent = ReportState { kind: "junit".into(), state: Presence::Absent };
    let conditions = judge(None, &Facts { reports: vec![absent], ..Facts::default() });
    assert_eq!(conditions[0].verdict, Verdict::Missing);
}

#[test]
fn limits_are_met_exactly() {
    let covered = |covered, total| coverage(Some(Ratio { covered, total }), 0.8).verdict;
    assert_eq!(covered(4, 5), Verdict::Passed);
    assert_eq!(covered(799_999, 1_000_000), Verdict::Failed);
    assert_eq!(covered(0, 0), Verdict::Passed);
    assert_eq!(coverage(Some(Ratio { covered: 3, total: 3 }), 1.0).verdict, Verdict::Passed);
    let almost = sentence(&coverage(Some(Ratio { covered: 7_999, total: 10_000 }), 0.8), Language::English);
    assert!(almost.starts_with("79.9 %"), "{almost}");
}

#[test]
fn a_quarantine_is_told_and_ends() {
    let entry = |test: &str, until: &str| Quarantine {
        test: test.into(),
        owner: "dana".into(),
        until: until.into(),
        reason: String::new(),
    };
    let gate = Gate {
        quarantine: vec![entry("shop pays", "2026-12-01"), entry("shop ships", "2026-11-01")],
        new_findings: Vec::new(),
        ..Gate::default()
    };
    let facts = Facts {
        failing_tests: Some(2),
        first_failing: vec!["shop pays".into(), "shop ships".into()],
        today: Some("2026-11-23".into()),
        ..Facts::default()
    };
    let conditions = judge(Some(&gate), &facts);
    let said: Vec<String> = conditions.iter().map(|one| sentence(one, Language::English)).collect();
    assert_eq!(
        said,
        [
            "1 test fails, 0 allowed: mend 1 (shop ships)",
            "1 test fails and is in quarantine, so that this does not count (shop pays: dana, 2026-12-01)",
            "1 failing test counts again, because the quarantine is over (shop ships: dana, 2026-11-01)",
        ]
    );
    assert!(!passed(&conditions));
    let gate = Gate { quarantine: vec![entry("shop *", "2026-11-23")], ..gate };
    assert!(passed(&judge(Some(&gate), &facts)));
    assert!(!passed(&judge(Some(&gate), &Facts { today: None, ..facts })));
}

#[test]
fn another_gate_is_heard() {
    let gate = |verdict| OtherGate {
        name: "SonarQube shop".into(),
        verdict,
        open: vec!["new_coverage 61.2 < 80".into()],
        open_chinese: vec!["新代码覆盖率 61.2 < 80".into()],
    };
    let judged = |verdict| judge(None, &Facts { gates: vec![gate(verdict)], ..Facts::default() });
    let failed = judged(Verdict::Failed);
    assert_eq!(
        told(&failed, Language::English),
        [(
            "gate.SonarQube shop".to_owned(),
            "failed",
            "the quality gate of SonarQube shop is not passed: mend what it names (new_coverage 61.2 < 80)".to_owned()
        )]
    );
    let said = sentence(&failed[0], Language::Chinese);
    assert_eq!(said, "SonarQube shop 的质量门禁未通过：请修复其指出的问题（新代码覆盖率 61.2 < 80）");
    assert!(!passed(&judged(Verdict::Missing)) && passed(&judged(Verdict::Passed)));
}
