//! `serin quality`: reads reports here, compares them with those of another commit, and holds them against the gate.

mod of_run;
mod print;
mod repository;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serin_quality::compare::{self, FindingChange, TestChange};
use serin_quality::gate::{self, Condition, Facts, Language, Presence, ReportState};
use serin_quality::test_case::Counts;
use serin_quality::{Content, Coverage, Finding, Format, Gate, Places, Ratio, TestCase, Traced, fingerprint, read};

pub use self::of_run::{base_kept, of_run};
pub use self::print::{text, whole};
use self::repository::Repository;
use crate::cli::{self, Quality};
use crate::terminal;
use crate::worktree::SERVICE_FILE;

/// Bytes by which a format is told.
const HEAD_BYTES: u64 = 64 << 10;
/// Bytes of `serin.yml`.
const CONFIG_BYTES_MAX: u64 = serin_model::limit::CONFIG_BYTES_MAX as u64;

/// The reports of one side, by content.
#[derive(Default)]
struct Reports {
    findings: Option<Vec<Finding>>,
    tests: Option<Vec<TestCase>>,
    coverage: Option<Coverage>,
    states: Vec<ReportState>,
}

/// All that is printed.
pub struct Outcome {
    findings: Option<(Vec<Traced>, FindingChange)>,
    tests: Option<(Vec<TestCase>, TestChange)>,
    coverage: Option<Ratio>,
    changed: Option<Ratio>,
    conditions: Vec<Condition>,
}

impl From<cli::Language> for Language {
    fn from(language: cli::Language) -> Self {
        match language {
            cli::Language::En => Self::English,
            cli::Language::Zh => Self::Chinese,
        }
    }
}

/// Reads, compares and prints; exit code 1 where the gate is not passed or a report cannot be read.
pub fn run(flags: &Quality) -> Result<ExitCode> {
    let repository = Repository::open(&flags.folder, flags.against.as_deref())?;
    let places = repository.places(&[]);
    let head = reports(&flags.reports, &places);
    let base = reports(&flags.base, &places);
    if let Some(broken) = base.states.iter().find(|report| report.state != Presence::Read) {
        bail!("the base's report cannot be read: {}", problem(broken));
    }
    // Files have no kinds here: which must be there is the server's and the run's matter.
    let gate = gate_of(&flags.folder)?.map(|gate| Gate { reports: Vec::new(), ..gate });
    let outcome = outcome(&repository, gate.as_ref(), (head, base))?;
    print::print(&outcome, flags);
    Ok(ExitCode::from(u8::from(!gate::passed(&outcome.conditions))))
}

fn problem(report: &ReportState) -> String {
    match &report.state {
        Presence::Broken(problem) => format!("{}: {problem}", report.kind),
        _ => report.kind.clone(),
    }
}

fn reports(paths: &[PathBuf], places: &Places) -> Reports {
    let mut all = Reports::default();
    for path in paths {
        let state = match read_file(path, places).and_then(|content| all.take(content)) {
            Ok(()) => Presence::Read,
            Err(error) => Presence::Broken(format!("{error:#}")),
        };
        all.states.push(ReportState { kind: path.display().to_string(), state });
    }
    all
}

fn read_file(path: &Path, places: &Places) -> Result<Content> {
    let mut file = File::open(path).context("cannot open it")?;
    let mut head = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut head).context("cannot read it")?;
    file.seek(SeekFrom::Start(0)).context("cannot read it from its beginning: give a file")?;
    read_content(&head, file, (&path.display().to_string(), places))
}

/// Reads a report whose format its first bytes tell.
fn read_content(head: &[u8], whole: impl Read, (name, places): (&str, &Places)) -> Result<Content> {
    let format = Format::detect(head).context("it is in no known format")?;
    let reading = read(format, whole, places)?;
    for note in &reading.notes {
        terminal::note(&format!("{name}: {}", note.sentence(Language::English)));
    }
    Ok(reading.content)
}

impl Reports {
    fn take(&mut self, content: Content) -> Result<()> {
        match content {
            Content::Findings(findings) => self.findings.get_or_insert_default().extend(findings),
            Content::Tests(tests) => self.tests.get_or_insert_default().extend(tests),
            Content::Coverage(coverage) => self.coverage.get_or_insert_default().merge(&coverage)?,
        }
        Ok(())
    }
}

fn outcome(repository: &Repository, gate: Option<&Gate>, (head, base): (Reports, Reports)) -> Result<Outcome> {
    let (touched, renames) = repository.touched()?;
    let is_compared = repository.is_compared();
    let findings = head.findings.map(|found| {
        let found = fingerprint::trace(found, |path| repository.now(path));
        let change = match base.findings {
            Some(before) => {
                let before = fingerprint::trace(before, |path| repository.before(path));
                compare::findings(&before, &found, &renames)
            }
            None if is_compared => compare::findings_without_base(&found, &touched),
            None => FindingChange { new: (0..found.len()).collect(), ..FindingChange::default() },
        };
        (found, change)
    });
    let tests = head.tests.map(|tests| {
        let change = compare::tests(base.tests.as_deref().unwrap_or_default(), &tests);
        (tests, change)
    });
    let coverage = head.coverage;
    let changed = coverage.as_ref().filter(|_| is_compared).map(|coverage| coverage.changed(&touched));
    let wants_duplicates = is_compared && gate.is_some_and(|gate| gate.duplicated_lines.is_some());
    let mut outcome =
        Outcome { findings, tests, coverage: coverage.as_ref().map(Coverage::ratio), changed, conditions: Vec::new() };
    let facts = Facts {
        reports: head.states,
        duplicated: if wants_duplicates { repository.duplicated(&touched) } else { None },
        ..facts(&outcome)
    };
    outcome.conditions = gate::judge(gate, &facts);
    Ok(outcome)
}

fn facts(outcome: &Outcome) -> Facts {
    let today = Some(jiff::Timestamp::now().strftime("%Y-%m-%d").to_string());
    let mut facts = Facts { changed_coverage: outcome.changed, today, ..Facts::default() };
    if let Some((found, change)) = &outcome.findings {
        let mut new: Vec<&Finding> = change.new.iter().map(|index| &found[*index].finding).collect();
        new.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        facts.new_findings = Some(new.iter().map(|finding| finding.severity).collect());
        facts.worst_findings =
            new.iter().map(|finding| format!("{} {}", print::place(finding), finding.rule)).collect();
    }
    if let Some((tests, change)) = &outcome.tests {
        facts.failing_tests = Some(Counts::of(tests).failed.into());
        let failing = change.newly_failing.iter().chain(&change.still_failing);
        facts.first_failing = failing.map(|index| print::test_name(&tests[*index])).collect();
    }
    facts
}

/// The gate of the folder's `serin.yml`.
fn gate_of(folder: &Path) -> Result<Option<Gate>> {
    let path = folder.join(SERVICE_FILE);
    let Ok(file) = File::open(&path) else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("read `{}`", path.display()))?;
    let source = serin_lang::SourceFile::new(SERVICE_FILE, bytes);
    let (config, found) = serin_lang::service::parse(&source);
    let Some(config) = config else {
        bail!("{}", serin_lang::render(&found, &[source], serin_lang::Color::Plain));
    };
    Ok(config.quality)
}
