//! Resource groups: one job at a time of a project and key, over all its pipelines.
//!
//! Invariants: a place is taken by at most one job; it is passed on in the order of asking; every operation may be
//! repeated. The effects of one pipeline are to be carried out in their order, so that no request follows its release.

use serin_model::JobId;

/// A job's attempt that asked for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// Its attempt.
    pub attempt: u32,
}

/// One resource group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The claims in the order of asking: the first holds the place, the others wait.
    pub queue: Vec<Claim>,
}

impl Group {
    /// The claim that holds the place.
    #[must_use]
    pub fn holder(&self) -> Option<Claim> {
        self.queue.first().copied()
    }

    /// Takes a claim in, for [`crate::Effect::RequestResource`]; gives it back where it holds the place.
    ///
    /// What is given is sent as [`crate::Event::ResourceGranted`]; where [`crate::step`] refuses that, it was heard
    /// before, or its release follows.
    pub fn request(&mut self, claim: Claim) -> Option<Claim> {
        if !self.queue.contains(&claim) {
            self.queue.push(claim);
        }
        self.holder().filter(|holder| *holder == claim)
    }

    /// Takes a claim out, for [`crate::Effect::ReleaseResource`]; gives the holder, which may not know of it yet.
    pub fn release(&mut self, claim: Claim) -> Option<Claim> {
        self.queue.retain(|entry| *entry != claim);
        self.holder()
    }
}

#[cfg(test)]
mod tests {
    use serin_model::JobId;

    use super::{Claim, Group};

    fn claim(job: i64) -> Claim {
        Claim { job: JobId(job), attempt: 1 }
    }

    #[test]
    fn place_is_passed_on_in_the_order_of_asking() {
        let mut group = Group::default();
        assert_eq!(group.request(claim(1)), Some(claim(1)));
        assert_eq!(group.request(claim(2)), None);
        assert_eq!(group.request(claim(3)), None);
        assert_eq!(group.release(claim(2)), Some(claim(1)), "one that waited leaves");
        assert_eq!(group.release(claim(1)), Some(claim(3)));
        assert_eq!(group.release(claim(3)), None);
    }

    #[test]
    fn repeating_changes_nothing() {
        let mut group = Group::default();
        group.request(claim(1));
        group.request(claim(2));
        let before = group.clone();
        assert_eq!(group.request(claim(1)), Some(claim(1)));
        assert_eq!(group.request(claim(2)), None);
        assert_eq!(group, before);
        group.release(claim(1));
        assert_eq!(group.release(claim(1)), Some(claim(2)), "a lost grant is given again");
    }

    #[test]
    fn next_attempt_of_a_job_waits_behind_the_others() {
        let mut group = Group::default();
        let again = Claim { attempt: 2, ..claim(1) };
        group.request(claim(1));
        group.request(claim(2));
        assert_eq!(group.release(claim(1)), Some(claim(2)));
        assert_eq!(group.request(again), None);
    }
}
