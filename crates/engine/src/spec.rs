//! The part of a planned job that decisions need.

use std::collections::BTreeMap;

use serin_model::plan::{self, AllowFailure, When, Work};

use crate::Invalid;

/// What decisions need to know of a planned job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// When it runs.
    pub when: When,
    /// Whether its failure counts.
    pub allow_failure: AllowFailure,
    /// Indexes of the jobs that it waits for; `None`: all earlier stages.
    pub needs: Option<Vec<usize>>,
    /// How often, and on what, it is tried again.
    pub retry: plan::Retry,
    /// How long it may run, in milliseconds.
    pub timeout_ms: Option<i64>,
    /// Whether a newer pipeline may cancel it.
    pub interruptible: bool,
    /// Key of its resource group.
    pub resource_group: Option<String>,
    /// Who carries it out.
    pub kind: Kind,
}

/// Who carries a job out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A runner.
    #[default]
    Script,
    /// The server, a built-in action.
    Action,
    /// The server, a downstream pipeline.
    Trigger,
}

impl From<&Work> for Kind {
    fn from(work: &Work) -> Self {
        match work {
            Work::Script(_) => Self::Script,
            Work::Action(_) => Self::Action,
            Work::Trigger(_) => Self::Trigger,
        }
    }
}

impl From<&plan::Job> for Spec {
    /// Takes over everything but [`Spec::needs`], which [`Spec::resolve`] fills in.
    fn from(job: &plan::Job) -> Self {
        Self {
            when: job.when,
            allow_failure: job.allow_failure.clone(),
            needs: None,
            retry: job.retry.clone(),
            timeout_ms: job.timeout_ms,
            interruptible: job.interruptible,
            resource_group: job.resource_group.clone(),
            kind: Kind::from(&job.work),
        }
    }
}

impl Spec {
    /// Makes the specs of all jobs of a plan, in its order, with the names of needed jobs turned into indexes.
    ///
    /// # Errors
    /// A need that is no job of the plan, and two jobs with one name.
    pub fn resolve<'a>(jobs: impl IntoIterator<Item = &'a plan::Job>) -> Result<Vec<Self>, Invalid> {
        let jobs: Vec<&plan::Job> = jobs.into_iter().collect();
        let mut by_name = BTreeMap::new();
        for (index, job) in jobs.iter().enumerate() {
            if by_name.insert(job.name.as_str(), index).is_some() {
                return Err(Invalid::DuplicateName { job: job.name.clone() });
            }
        }
        jobs.iter().map(|job| Ok(Self { needs: needs_of(job, &by_name)?, ..Self::from(*job) })).collect()
    }

    /// Whether a failure without a listed exit code is a warning only.
    #[must_use]
    pub fn allows_any_failure(&self) -> bool {
        self.allow_failure == AllowFailure::Yes
    }

    pub(crate) fn allows_failure(&self, exit_code: Option<i32>) -> bool {
        match &self.allow_failure {
            AllowFailure::No => false,
            AllowFailure::Yes => true,
            AllowFailure::ExitCodes(codes) => exit_code.is_some_and(|code| codes.contains(&code)),
        }
    }
}

fn needs_of(job: &plan::Job, by_name: &BTreeMap<&str, usize>) -> Result<Option<Vec<usize>>, Invalid> {
    let Some(needs) = &job.needs else { return Ok(None) };
    let index_of = |need: &plan::Need| {
        let found = by_name.get(need.job.as_str()).copied();
        found.ok_or_else(|| Invalid::UnknownNeed { job: job.name.clone(), need: need.job.clone() })
    };
    needs.iter().map(index_of).collect::<Result<_, _>>().map(Some)
}
