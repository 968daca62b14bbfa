//! What is known of a merge request's change: its reports beside those of its merge base.

use std::collections::{BTreeMap, BTreeSet};

use serin_git::{Diff, DiffLimits, LineKind};
use serin_model::plan;
use serin_model::{CommitId, Status};
use serin_quality::compare::{self, FindingChange, Renames, TestChange};
use serin_quality::flaky::{Run, flakiness};
use serin_quality::gate::{Facts, OtherGate, Presence, ReportState, Verdict};
use serin_quality::named::{self, SONARQUBE};
use serin_quality::test_case::{Counts, TestId};
use serin_quality::{ChangedLines, Coverage, Outcome, Ratio, TestCase, Traced, TreePath};
use serin_store::pipeline::{self as pipelines, Job, Pipeline};
use serin_store::quality::{self as rows, Report};
use serin_wire::quality as wire;

use super::details::{Details, TESTS_MAX, TestDetails, end_of, history};
use super::record::{Body, Said, add_coverage};
use super::sonarqube::analysis::SILENT;
use crate::App;
use crate::error::{Error, Kind, Result};
use crate::pipeline::record::decode;

/// Commits before the target that are asked for reports.
const BASE_COMMITS_MAX: u32 = 100;
/// Findings and tests that are shown by name.
const SHOWN_MAX: usize = 100;
/// Pipelines in whose reports flaky tests are looked for.
const HISTORY_PIPELINES_MAX: i64 = 60;
/// Files, bytes of one, and bytes of all in which repeated lines are looked for.
const DUPLICATES_FILES_MAX: usize = 2_000;
const DUPLICATES_FILE_BYTES_MAX: u64 = 1 << 20;
const DUPLICATES_BYTES_MAX: usize = 16 << 20;
/// Names of failing tests that are held against the quarantine.
const FAILING_NAMES_MAX: usize = 10_000;
/// Bytes of reports in which flaky tests are looked for; the newest are read first.
const HISTORY_BYTES_MAX: i64 = 64 << 20;
/// What of a difference is looked at.
const LIMITS: DiffLimits =
    DiffLimits { files_max: 20_000, file_lines_max: 200_000, line_bytes_max: 16, patch_bytes_max: 128 << 20 };

/// What is known, for the gate and for people.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    pub(super) shown: wire::Judgement,
    pub(super) details: Details,
}

/// What history says of the tests that do not simply pass.
type Histories = BTreeMap<(String, String), Vec<Run>>;

/// The reports of one pipeline, by content.
#[derive(Default)]
struct Reports {
    findings: Option<Vec<Traced>>,
    tests: Option<Vec<TestCase>>,
    coverage: Option<Coverage>,
    notes: Vec<(String, String)>,
}

/// What a change touches.
struct Touched {
    lines: ChangedLines,
    renames: Renames,
    whole: bool,
}

/// What is to be gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What reports tell.
    Reports,
    /// That, and which added lines repeat others.
    WithDuplicates,
}

/// Gathers what is known of a merge request's pipeline.
pub(super) async fn gather(app: &App, pipeline: &Pipeline, wanted: Wanted) -> Result<Gathered> {
    let mut db = app.store.read().await?;
    let head_rows = rows::quality_report_list(&mut db, pipeline.id).await?;
    let jobs = pipelines::job_list(&mut db, pipeline.id).await?;
    let commits = (pipeline.commit_id.as_str(), pipeline.head_commit.as_deref().unwrap_or(&pipeline.commit_id));
    let sonarqube = rows::quality_sonarqube_list(&mut db, pipeline.project_id, commits).await?;
    drop(db);
    let mut states = states(&head_rows, &jobs)?;
    if !sonarqube.is_empty() && !states.iter().any(|state| state.kind == SONARQUBE) {
        states.push(ReportState { kind: SONARQUBE.to_owned(), state: Presence::Read });
    }
    let job_coverage = job_coverage(app, pipeline, &jobs).await?;
    let head = reports(head_rows)?;
    let (base_pipeline, base) = base(app, pipeline).await?;
    let touched = touched(app, pipeline).await?;
    let mut gathered = Gathered {
        facts: Facts { reports: states, today: today(), gates: gates(sonarqube), ..Facts::default() },
        shown: wire::Judgement { base_pipeline, job_coverage, ..Default::default() },
        details: Details::default(),
    };
    head.notes.iter().for_each(|(english, chinese)| gathered.note(english, chinese));
    gathered.findings(&head, &base, &touched);
    if let Some(tests) = &head.tests {
        let histories = histories(app, pipeline, tests).await?;
        gathered.tests(tests, base.tests.as_deref(), &histories);
    }
    gathered.coverage(&head, &base, &touched);
    if wanted == Wanted::WithDuplicates && touched.whole {
        gathered.facts.duplicated = duplicated(app, pipeline, touched.lines).await?;
    }
    gathered.details.settle();
    Ok(gathered)
}

/// What `coverage:` found in the jobs' output, beside the same of the target's commit.
async fn job_coverage(app: &App, pipeline: &Pipeline, jobs: &[Job]) -> Result<Vec<wire::JobCoverage>> {
    let found: Vec<(&Job, f64)> = jobs.iter().filter_map(|job| Some((job, job.coverage?))).collect();
    let Some(target) = pipeline.target_commit.clone().filter(|_| !found.is_empty()) else { return Ok(Vec::new()) };
    let tree = app.repository(pipeline.project_id)?.git.commit(&CommitId(target.clone())).await?.tree;
    let mut db = app.store.read().await?;
    let ids = (pipeline.project_id, pipeline.id);
    let before = rows::quality_job_coverage_list(&mut db, ids, (&target, &tree.0)).await?;
    let shown = |(job, percent): (&Job, f64)| wire::JobCoverage {
        job: job.name.clone(),
        percent,
        before: before.iter().find(|(name, _)| *name == job.name).map(|(_, percent)| *percent),
    };
    Ok(found.into_iter().map(shown).collect())
}

/// SonarQube's words, by its own projects.
fn gates(said: Vec<rows::Sonarqube>) -> Vec<OtherGate> {
    said.into_iter().map(other_gate).collect()
}

fn other_gate(said: rows::Sonarqube) -> OtherGate {
    let mut open: Vec<String> = serde_json::from_str(&said.conditions).unwrap_or_default();
    let is_silent = said.status == SILENT && open.len() == 2;
    let open_chinese = if is_silent { open.split_off(1) } else { open.clone() };
    let verdict = match said.status.as_str() {
        "OK" => Verdict::Passed,
        "ERROR" | "WARN" => Verdict::Failed,
        _ => Verdict::Missing,
    };
    OtherGate { name: format!("SonarQube {}", said.name), verdict, open, open_chinese }
}

/// The day in UTC.
fn today() -> Option<String> {
    let now = jiff::Timestamp::from_millisecond(crate::clock::now().0).ok()?;
    Some(now.strftime("%Y-%m-%d").to_string())
}

/// How many added lines repeat others of the changed files; `None`: the change is too large to look at.
async fn duplicated(app: &App, pipeline: &Pipeline, lines: ChangedLines) -> Result<Option<Ratio>> {
    let repository = app.repository(pipeline.project_id)?;
    let commit = CommitId(pipeline.commit_id.clone());
    let (mut files, mut bytes) = (BTreeMap::new(), 0);
    for path in lines.iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(path, _)| path) {
        // What is no text, too large or no file is not source code.
        let read = repository.git.read_file(&commit, path.as_str(), DUPLICATES_FILE_BYTES_MAX).await.ok().flatten();
        let Some(text) = read.and_then(|read| String::from_utf8(read).ok()) else { continue };
        bytes += text.len();
        if files.len() == DUPLICATES_FILES_MAX || bytes > DUPLICATES_BYTES_MAX {
            return Ok(None);
        }
        files.insert(path.clone(), text);
    }
    let count = tokio::task::spawn_blocking(move || serin_quality::duplicates::duplicated(&files, &lines)).await;
    Ok(Some(count.map_err(|error| Error::internal("duplicates", &error))?))
}

/// The reports that ran jobs name, and how they stand.
fn states(found: &[Report], jobs: &[Job]) -> Result<Vec<ReportState>> {
    let mut states: BTreeMap<String, Presence> = BTreeMap::new();
    for job in jobs {
        let has_run = matches!(Status::parse(&job.status), Some(Status::Success | Status::Failed));
        let plan: plan::Job = decode(&job.plan)?;
        for kind in named::owed(&plan).into_iter().filter(|_| has_run) {
            let of_job = found.iter().find(|report| report.job_id == job.id && report.kind == kind);
            let state = if of_job.is_some() { Presence::Read } else { Presence::Absent };
            let known = states.entry(kind.to_owned()).or_insert(Presence::Read);
            if state != Presence::Read {
                *known = state;
            }
        }
    }
    for report in found {
        let known = states.entry(report.kind.clone()).or_insert(Presence::Read);
        if let Some(problem) = &report.problem {
            *known = Presence::Broken(format!("{}: {problem}", report.path));
        }
    }
    Ok(states.into_iter().map(|(kind, state)| ReportState { kind, state }).collect())
}

fn reports(rows: Vec<Report>) -> Result<Reports> {
    let damaged = || Error::new(Kind::Internal, "stored report is damaged");
    let mut all = Reports::default();
    for row in rows {
        let notes: Vec<Said> = serde_json::from_str(&row.notes)?;
        let of_report = |said: String| format!("{} {}: {said}", row.kind, row.path);
        all.notes.extend(notes.into_iter().map(Said::both).map(|(en, zh)| (of_report(en), of_report(zh))));
        match decode(&row.body)? {
            Body::Nothing => {}
            Body::Findings(found) => {
                let list = all.findings.get_or_insert_default();
                for record in found {
                    list.push(record.traced().ok_or_else(damaged)?);
                }
            }
            Body::Tests(found) => all.tests.get_or_insert_default().extend(found.into_iter().map(Into::into)),
            Body::Coverage(files) => {
                add_coverage(&files, all.coverage.get_or_insert_default()).ok_or_else(damaged)?;
            }
        }
    }
    Ok(all)
}

/// The reports of the target's commit, or of the nearest commit before it that has some.
async fn base(app: &App, pipeline: &Pipeline) -> Result<(Option<i64>, Reports)> {
    let Some(target) = &pipeline.target_commit else { return Ok((None, Reports::default())) };
    let repository = app.repository(pipeline.project_id)?;
    let commits = repository.git.log(None, &CommitId(target.clone()), BASE_COMMITS_MAX).await?;
    for commit in commits {
        let mut db = app.store.read().await?;
        let wanted = (commit.id.0.as_str(), commit.tree.0.as_str());
        let found = rows::quality_report_pipeline(&mut db, (pipeline.project_id, pipeline.id), wanted).await?;
        if let Some(found) = found {
            let list = rows::quality_report_list(&mut db, found).await?;
            return Ok((Some(found), reports(list)?));
        }
    }
    Ok((None, Reports::default()))
}

/// The lines that the merged result has and the target has not.
async fn touched(app: &App, pipeline: &Pipeline) -> Result<Touched> {
    let target = CommitId(pipeline.target_commit.clone().unwrap_or_default());
    let repository = app.repository(pipeline.project_id)?;
    let diff = repository.git.diff(&target, &CommitId(pipeline.commit_id.clone()), LIMITS).await?;
    let whole = !diff.more_files && !diff.files.iter().any(|file| file.misses_lines);
    let (mut lines, mut renames) = (ChangedLines::new(), Renames::new());
    let Diff { files, .. } = diff;
    for file in files {
        let Some(path) = TreePath::parse(&file.new_path) else { continue };
        if let Some(old) = TreePath::parse(&file.old_path).filter(|old| *old != path) {
            renames.insert(path.clone(), old);
        }
        let all = file.hunks.iter().flat_map(|hunk| &hunk.lines);
        let added = all.filter(|line| line.kind == LineKind::Added);
        let numbers = added.filter_map(|line| line.new).filter_map(|line| u32::try_from(line).ok());
        lines.insert(path, ranges(numbers));
    }
    Ok(Touched { lines, renames, whole })
}

fn ranges(numbers: impl Iterator<Item = u32>) -> Vec<std::ops::RangeInclusive<u32>> {
    let mut ranges: Vec<std::ops::RangeInclusive<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end() + 1 == number => *last = *last.start()..=number,
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

/// The runs of the tests that do not simply pass, the oldest first, in the newest reports of the project.
async fn histories(app: &App, pipeline: &Pipeline, tests: &[TestCase]) -> Result<Histories> {
    let suspects: BTreeSet<TestId<'_>> =
        tests.iter().filter(|test| test.outcome == Outcome::Failed || test.flaky).map(TestCase::id).collect();
    let mut runs = Histories::new();
    if suspects.is_empty() {
        return Ok(runs);
    }
    let mut db = app.store.read().await?;
    let known = rows::quality_report_history(&mut db, pipeline.project_id, HISTORY_PIPELINES_MAX).await?;
    let mut bytes = 0;
    let newest = known.into_iter().take_while(|(_, length)| {
        bytes += length;
        bytes <= HISTORY_BYTES_MAX
    });
    for (id, _) in newest.collect::<Vec<_>>().into_iter().rev() {
        let Some(row) = rows::quality_report_get(&mut db, id).await? else { continue };
        let Body::Tests(found) = decode(&row.body)? else { continue };
        let subject = format!("{} {} {}", row.tree_id, row.job_name, row.path);
        for (name, run) in runs_of(found.into_iter().map(TestCase::from), &suspects, &subject) {
            runs.entry(name).or_default().push(run);
        }
    }
    Ok(runs)
}

/// What one report says of the suspects: of several tests of one name, that one of them failed.
fn runs_of(
    tests: impl Iterator<Item = TestCase>,
    suspects: &BTreeSet<TestId<'_>>,
    subject: &str,
) -> BTreeMap<(String, String), Run> {
    let mut runs: BTreeMap<(String, String), Run> = BTreeMap::new();
    for test in tests.filter(|test| test.outcome != Outcome::Skipped && suspects.contains(&test.id())) {
        let name = (test.class.to_string(), test.name.to_string());
        let known = runs.entry(name);
        let run = known.or_insert_with(|| Run { subject: subject.to_owned(), failed: false, flaky: false });
        run.failed |= test.outcome == Outcome::Failed;
        run.flaky |= test.flaky;
    }
    runs
}

impl Gathered {
    /// Notes what people should know.
    fn note(&mut self, english: &str, chinese: &str) {
        self.shown.notes.push(english.to_owned());
        self.shown.notes_zh.push(chinese.to_owned());
    }

    fn findings(&mut self, head: &Reports, base: &Reports, touched: &Touched) {
        let Some(found) = &head.findings else { return };
        let FindingChange { mut new, remaining, fixed } = match &base.findings {
            Some(before) => compare::findings(before, found, &touched.renames),
            None => compare::findings_without_base(found, &touched.lines),
        };
        if base.findings.is_none() {
            self.note(
                "the merge base has no report of findings: those on changed lines count as new",
                "合并基准没有问题报告：变更行上的问题均视为新增",
            );
        }
        new.sort_by_key(|index| std::cmp::Reverse(found[*index].finding.severity));
        new.iter().for_each(|index| self.details.finding(finding(&found[*index])));
        let shown: Vec<wire::Finding> = new.iter().take(SHOWN_MAX).map(|index| finding(&found[*index])).collect();
        self.facts.new_findings = Some(new.iter().map(|index| found[*index].finding.severity).collect());
        self.facts.worst_findings = shown.iter().map(named).collect();
        let others = found.len() - new.len();
        let remaining = if base.findings.is_some() { remaining.len() } else { others };
        self.shown.findings = Some(wire::Findings { new: new.len(), fixed: fixed.len(), remaining, shown });
    }

    fn tests(&mut self, tests: &[TestCase], base: Option<&[TestCase]>, histories: &Histories) {
        let TestChange { newly_failing, still_failing, newly_passing, slower, removed, .. } =
            compare::tests(base.unwrap_or_default(), tests);
        let counts = Counts::of(tests);
        let runs = |test: &TestCase| histories.get(&(test.class.to_string(), test.name.to_string()));
        let rate = |test: &TestCase| runs(test).and_then(|runs| flakiness(runs).rate());
        let shown = |test: &TestCase| wire::Test {
            name: test_name(test),
            message: test.detail.as_ref().map(|detail| detail.message.clone()).unwrap_or_default(),
            flaky_rate: rate(test),
        };
        let flaky: Vec<&TestCase> = tests.iter().filter(|test| rate(test).is_some()).take(SHOWN_MAX).collect();
        let failing = newly_failing.iter().chain(&still_failing).take(FAILING_NAMES_MAX);
        self.facts.failing_tests = Some(counts.failed.into());
        self.facts.first_failing = failing.map(|index| test_name(&tests[*index])).collect();
        let of = |state: &'static str, indices: &[usize]| {
            indices.iter().map(|index| (state, &tests[*index])).collect::<Vec<_>>()
        };
        let passed = flaky.iter().filter(|test| test.outcome == Outcome::Passed).map(|test| ("flaky", *test));
        let listed = of("newly_failing", &newly_failing).into_iter().chain(of("still_failing", &still_failing));
        let at_length = listed.chain(passed).take(TESTS_MAX).map(|(state, test)| {
            let detail = test.detail.as_deref().cloned().unwrap_or_default();
            TestDetails {
                name: test_name(test),
                state: state.to_owned(),
                message: detail.message,
                output: end_of(&detail.output),
                flaky_rate: rate(test),
                history: runs(test).map(|runs| history(runs)).unwrap_or_default(),
            }
        });
        self.details.tests = at_length.collect();
        self.shown.tests = Some(wire::Tests {
            passed: counts.passed,
            failed: counts.failed,
            skipped: counts.skipped,
            newly_passing: newly_passing.len(),
            still_failing: still_failing.len(),
            slower: slower.len(),
            removed: removed.len(),
            newly_failing: newly_failing.iter().take(SHOWN_MAX).map(|index| shown(&tests[*index])).collect(),
            flaky: flaky.into_iter().map(shown).collect(),
        });
    }

    fn coverage(&mut self, head: &Reports, base: &Reports, touched: &Touched) {
        let Some(coverage) = &head.coverage else { return };
        let pair = |ratio: Ratio| (ratio.covered, ratio.total);
        let changed = touched.whole.then(|| coverage.changed(&touched.lines));
        self.facts.changed_coverage = changed;
        if touched.whole {
            self.details.coverage(coverage, &touched.lines);
        } else {
            self.note(
                "the difference is too large to look at: coverage of the changed lines is not measured",
                "差异过大，无法统计变更行覆盖率",
            );
        }
        self.shown.coverage = Some(wire::Coverage {
            changed: changed.map(pair),
            whole: pair(coverage.ratio()),
            before: base.coverage.as_ref().map(|before| pair(before.ratio())),
        });
    }
}

pub(super) fn test_name(test: &TestCase) -> String {
    if test.class.is_empty() { test.name.to_string() } else { format!("{} {}", test.class, test.name) }
}

fn finding(traced: &Traced) -> wire::Finding {
    let finding = &traced.finding;
    wire::Finding {
        severity: finding.severity.as_str().to_owned(),
        tool: finding.tool.clone(),
        rule: finding.rule.clone(),
        message: finding.message.clone(),
        path: finding.location.as_ref().map(|at| at.path.to_string()),
        line: finding.location.as_ref().map_or(0, |at| at.line),
    }
}

fn named(finding: &wire::Finding) -> String {
    match &finding.path {
        Some(path) => format!("{path}:{} {}", finding.line, finding.rule),
        None => finding.rule.clone(),
    }
}
