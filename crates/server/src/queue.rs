//! Jobs that wait for a runner, and the resource groups that hold some of them back. Memory only: rebuilt from the
//! database at the start.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use serin_engine::resource::{Claim, Group};
use serin_model::JobId;
use tokio::sync::Notify;

/// A job of a pipeline, as the queue knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Its pipeline.
    pub pipeline: i64,
    /// The job.
    pub job: i64,
}

/// First come, first served; whoever waits is woken at once.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<(VecDeque<Ticket>, HashSet<Ticket>)>,
    arrival: Notify,
}

impl Queue {
    /// Adds a job, unless it waits already.
    pub fn offer(&self, ticket: Ticket) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.1.insert(ticket) {
            waiting.0.push_back(ticket);
            self.arrival.notify_one();
        }
    }

    /// Waits for a job and takes it.
    pub async fn take(&self) -> Ticket {
        loop {
            if let Some(ticket) = self.try_take() {
                return ticket;
            }
            self.arrival.notified().await;
        }
    }

    fn try_take(&self) -> Option<Ticket> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = waiting.0.pop_front()?;
        waiting.1.remove(&ticket);
        if !waiting.0.is_empty() {
            self.arrival.notify_one();
        }
        Some(ticket)
    }

    /// How many jobs wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).0.len()
    }

    /// Whether no job waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A resource group's name: its project and its key.
pub type GroupName = (i64, String);

/// A job's attempt that is to be told that it holds its group's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The job.
    pub ticket: Ticket,
    /// Its attempt.
    pub attempt: u32,
}

/// All resource groups, with the pipeline of each job that asked.
#[derive(Debug, Default)]
pub struct Resources(Mutex<HashMap<GroupName, Line>>);

/// A group, and the pipeline of each job that asked.
type Line = (Group, HashMap<JobId, i64>);

impl Resources {
    /// Takes a job into its group; the grant, where it holds the place.
    pub fn request(&self, name: GroupName, ticket: Ticket, attempt: u32) -> Option<Grant> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (group, pipelines) = all.entry(name).or_default();
        pipelines.insert(JobId(ticket.job), ticket.pipeline);
        grant(group.request(Claim { job: JobId(ticket.job), attempt }), pipelines)
    }

    /// Takes a job out of its group; the grant of the one that holds the place then.
    pub fn release(&self, name: &GroupName, ticket: Ticket, attempt: u32) -> Option<Grant> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (group, pipelines) = all.get_mut(name)?;
        let holder = group.release(Claim { job: JobId(ticket.job), attempt });
        let granted = grant(holder, pipelines);
        if granted.is_none() {
            all.remove(name);
        }
        granted
    }
}

fn grant(holder: Option<Claim>, pipelines: &HashMap<JobId, i64>) -> Option<Grant> {
    let holder = holder?;
    let pipeline = *pipelines.get(&holder.job)?;
    Some(Grant { ticket: Ticket { pipeline, job: holder.job.0 }, attempt: holder.attempt })
}

#[cfg(test)]
mod tests {
    use super::{Grant, Queue, Resources, Ticket};

    fn ticket(job: i64) -> Ticket {
        Ticket { pipeline: 1, job }
    }

    #[tokio::test]
    async fn a_job_offered_twice_is_taken_once() {
        let queue = Queue::default();
        queue.offer(ticket(1));
        queue.offer(ticket(1));
        queue.offer(ticket(2));
        assert_eq!((queue.take().await, queue.take().await), (ticket(1), ticket(2)));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_group_has_one_holder_and_an_order() {
        let resources = Resources::default();
        let group = (1, "production".to_owned());
        let granted = |job| Some(Grant { ticket: ticket(job), attempt: 1 });
        assert_eq!(resources.request(group.clone(), ticket(1), 1), granted(1));
        assert_eq!(resources.request(group.clone(), ticket(2), 1), None);
        assert_eq!(resources.request(group.clone(), ticket(1), 1), granted(1));
        assert_eq!(resources.release(&group, ticket(1), 1), granted(2));
        assert_eq!(resources.release(&group, ticket(2), 1), None);
        assert_eq!(resources.request(group, ticket(3), 1), granted(3));
    }
}
