//! What survives a crash: pipelines as rows, resource groups, and the effects that are still to be carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serin_engine::resource::Group;
use serin_engine::{Effect, Job, Pipeline};
use serin_model::plan::AutoCancel;
use serin_model::{JobId, PipelineId, Status};

/// A pipeline as it is stored.
pub struct Stored {
    pub id: PipelineId,
    pub status: Status,
    pub stages: Vec<String>,
    pub rows: Vec<Job>,
    pub auto_cancel: AutoCancel,
}

/// The database.
#[derive(Default)]
pub struct Disk {
    pub pipelines: Vec<Stored>,
    pub groups: BTreeMap<String, Group>,
    pub outbox: VecDeque<Effect>,
}

impl Disk {
    pub fn load(&self, index: usize) -> Result<Pipeline, String> {
        let stored = self.pipelines.get(index).ok_or_else(|| format!("there is no pipeline number {index}"))?;
        let (stages, rows) = (stored.stages.clone(), stored.rows.clone());
        Pipeline::restore(stored.id, stored.status, stages, rows, stored.auto_cancel)
            .map_err(|invalid| format!("the stored pipeline is invalid: {invalid}"))
    }

    /// Stores a step: the rows that its effects name, and the effects. Nothing else may have changed.
    pub fn commit(&mut self, index: usize, pipeline: &Pipeline, effects: Vec<Effect>) -> Result<(), String> {
        let written: BTreeSet<JobId> = effects.iter().filter_map(written_job).collect();
        let stored = &mut self.pipelines[index];
        for (row, job) in stored.rows.iter_mut().zip(&pipeline.jobs) {
            if written.contains(&job.id) {
                row.clone_from(job);
            }
        }
        if let Some(status) = effects.iter().rev().find_map(written_status) {
            stored.status = status;
        }
        self.outbox.extend(effects);
        if self.load(index)? != *pipeline {
            return Err("a change was not told by an effect, and so it was not stored".to_owned());
        }
        Ok(())
    }

    /// The jobs that have not ended.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.pipelines.iter().flat_map(|stored| &stored.rows).filter(|job| !job.status.is_final())
    }
}

fn written_job(effect: &Effect) -> Option<JobId> {
    match effect {
        Effect::JobChanged { job } | Effect::LeaseMoved { job } => Some(*job),
        _ => None,
    }
}

fn written_status(effect: &Effect) -> Option<Status> {
    match effect {
        Effect::PipelineChanged { status } => Some(*status),
        _ => None,
    }
}
