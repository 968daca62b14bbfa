//! What never changes about a pipeline's jobs: who waits for whom, and an order that respects it.

use serin_model::JobId;

use crate::Job;

/// Why jobs make no pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The number of ids is not the number of jobs.
    #[error("the plan has {jobs} jobs but {ids} ids were given")]
    IdCount {
        /// Jobs in the plan.
        jobs: usize,
        /// Ids given.
        ids: usize,
    },
    /// Two jobs have one name.
    #[error("two jobs are named `{job}`")]
    DuplicateName {
        /// The name.
        job: String,
    },
    /// Two jobs have one id.
    #[error("two jobs have the id {job}")]
    DuplicateId {
        /// The id.
        job: JobId,
    },
    /// A job's stage does not exist.
    #[error("job `{job}` is in stage number {stage}, which does not exist")]
    UnknownStage {
        /// The job's name.
        job: String,
        /// The stage's index.
        stage: usize,
    },
    /// A needed job does not exist.
    #[error("job `{job}` needs `{need}`, which is not in the pipeline")]
    UnknownNeed {
        /// The job's name.
        job: String,
        /// The needed name or index.
        need: String,
    },
    /// A needed job is in a later stage.
    #[error("job `{job}` needs `{need}`, which is in a later stage")]
    LaterNeed {
        /// The job's name.
        job: String,
        /// The needed job's name.
        need: String,
    },
    /// Jobs need each other in a circle.
    #[error("job `{job}` needs itself through other jobs")]
    Circle {
        /// The name of one of them.
        job: String,
    },
}

/// Indexes over the jobs, made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    by_id: Vec<(JobId, usize)>,
    dependents: Vec<Vec<usize>>,
    order: Vec<usize>,
}

impl Topology {
    pub(crate) fn of(stages: usize, jobs: &[Job]) -> Result<Self, Invalid> {
        let by_id = index_ids(jobs)?;
        let mut dependents = vec![Vec::new(); jobs.len()];
        for (index, job) in jobs.iter().enumerate() {
            check_stage(stages, job)?;
            for &need in job.spec.needs.iter().flatten() {
                check_need(jobs, job, need)?;
                dependents[need].push(index);
            }
        }
        let order = order(stages, jobs, &dependents)?;
        Ok(Self { by_id, dependents, order })
    }

    pub(crate) fn index_of(&self, id: JobId) -> Option<usize> {
        let position = self.by_id.binary_search_by_key(&id, |entry| entry.0).ok()?;
        Some(self.by_id[position].1)
    }

    /// The jobs that need that one directly.
    pub(crate) fn dependents(&self, index: usize) -> &[usize] {
        &self.dependents[index]
    }

    /// All jobs, by stage, and behind those of the same stage that they need.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }
}

fn index_ids(jobs: &[Job]) -> Result<Vec<(JobId, usize)>, Invalid> {
    let mut by_id: Vec<_> = jobs.iter().enumerate().map(|(index, job)| (job.id, index)).collect();
    by_id.sort_unstable();
    match by_id.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Invalid::DuplicateId { job: pair[0].0 }),
        None => Ok(by_id),
    }
}

fn check_stage(stages: usize, job: &Job) -> Result<(), Invalid> {
    if job.stage < stages {
        return Ok(());
    }
    Err(Invalid::UnknownStage { job: job.name.clone(), stage: job.stage })
}

fn check_need(jobs: &[Job], job: &Job, need: usize) -> Result<(), Invalid> {
    let Some(needed) = jobs.get(need) else {
        return Err(Invalid::UnknownNeed { job: job.name.clone(), need: need.to_string() });
    };
    if needed.stage <= job.stage {
        return Ok(());
    }
    Err(Invalid::LaterNeed { job: job.name.clone(), need: needed.name.clone() })
}

fn order(stages: usize, jobs: &[Job], dependents: &[Vec<usize>]) -> Result<Vec<usize>, Invalid> {
    let same_stage = |job: &Job, other: usize| jobs[other].stage == job.stage;
    let mut open: Vec<usize> =
        jobs.iter().map(|job| job.spec.needs.iter().flatten().filter(|need| same_stage(job, **need)).count()).collect();
    let mut ready = vec![Vec::new(); stages];
    for (index, job) in jobs.iter().enumerate().filter(|(index, _)| open[*index] == 0) {
        ready[job.stage].push(index);
    }
    let mut order = Vec::with_capacity(jobs.len());
    for mut stage in ready {
        let mut next = 0;
        while let Some(&index) = stage.get(next) {
            next += 1;
            for &dependent in dependents[index].iter().filter(|dependent| same_stage(&jobs[index], **dependent)) {
                open[dependent] -= 1;
                if open[dependent] == 0 {
                    stage.push(dependent);
                }
            }
        }
        order.append(&mut stage);
    }
    match open.iter().position(|count| *count > 0) {
        Some(index) => Err(Invalid::Circle { job: jobs[index].name.clone() }),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use serin_model::{JobId, PipelineId, Status};

    use super::Invalid;
    use crate::Pipeline;
    use crate::scene::plan;

    fn made(text: &str) -> Result<Pipeline, Invalid> {
        let plan = plan(text);
        let ids: Vec<JobId> = (1..).take(plan.jobs.len()).map(JobId).collect();
        Pipeline::from_plan(PipelineId(1), &plan, &ids)
    }

    #[test]
    fn contradictions_are_named() {
        let cases = [
            ("a: x(needs y)", "job `x` needs `y`, which is not in the pipeline"),
            ("a: x(needs y) | b: y", "job `x` needs `y`, which is in a later stage"),
            ("a: x(needs x)", "job `x` needs itself through other jobs"),
            ("a: w x(needs y) y(needs x)", "job `x` needs itself through other jobs"),
            ("a: x x", "two jobs are named `x`"),
        ];
        for (text, message) in cases {
            assert_eq!(made(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn ids_and_stages_are_checked() {
        let plan = plan("a: x y");
        let count = Pipeline::from_plan(PipelineId(1), &plan, &[JobId(1)]);
        assert_eq!(count, Err(Invalid::IdCount { jobs: 2, ids: 1 }));
        let twice = Pipeline::from_plan(PipelineId(1), &plan, &[JobId(1), JobId(1)]);
        assert_eq!(twice, Err(Invalid::DuplicateId { job: JobId(1) }));
        let jobs = made("a: x | b: y").unwrap().jobs;
        let stage = Pipeline::restore(PipelineId(1), Status::Created, vec!["a".to_owned()], jobs, plan.auto_cancel);
        assert_eq!(stage, Err(Invalid::UnknownStage { job: "y".to_owned(), stage: 1 }));
    }

    #[test]
    fn ids_in_any_order_are_found() {
        let plan = plan("a: x y z");
        let pipeline = Pipeline::from_plan(PipelineId(1), &plan, &[JobId(30), JobId(10), JobId(20)]).unwrap();
        for (id, name) in [(10, "y"), (20, "z"), (30, "x")] {
            assert_eq!(pipeline.job(JobId(id)).map(|job| job.name.as_str()), Some(name));
        }
        assert_eq!(pipeline.job(JobId(15)), None);
    }
}
