//! What people do.

use crate::entry::Entry;
use crate::event::Refusal;
use crate::rollout::{Cause, Kind, Outcome, Pause, Phase};
use crate::step::Turn;
use serin_model::PoolName;

impl Turn {
    pub(crate) fn release_pool(&mut self, pool: &PoolName, by: String) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        if self.rollout.kind != Kind::Release {
            return Err(self.not_now("release a pool"));
        }
        let current = match &self.rollout.phase {
            Phase::Rolling { pool: Some(current) } | Phase::Watching { pool: current, .. } => Some(current),
            _ => None,
        };
        if current == Some(pool) || self.rollout.released.contains(pool) {
            return Ok(());
        }
        match &self.rollout.phase {
            Phase::AwaitingPool { pool: next } if next == pool => {}
            Phase::AwaitingPool { pool: next } => {
                return Err(Refusal::NotThisPool { pool: pool.clone(), next: Some(next.clone()) });
            }
            _ => return Err(self.not_now("release a pool")),
        }
        if let Some(pause) = &self.rollout.pause {
            return Err(Refusal::Paused { by: pause.by.clone() });
        }
        self.refuse_if_held()?;
        self.begin_pool(pool.clone(), Some(by));
        Ok(())
    }

    pub(crate) fn pause(&mut self, by: String) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        if self.rollout.pause.is_some() {
            return Ok(());
        }
        if !self.rollout.may_pause() {
            return Err(self.not_now("pause"));
        }
        self.hold(by, false);
        Ok(())
    }

    fn hold(&mut self, by: String, host: bool) {
        self.note(Entry::Paused { by: by.clone() });
        self.rollout.pause = Some(Pause { by, since: self.now, host });
    }

    pub(crate) fn resume(&mut self, by: String) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        self.go_on(by);
        Ok(())
    }

    fn go_on(&mut self, by: String) {
        let Some(pause) = self.rollout.pause.take() else { return };
        let held_ms = self.now.since_ms(pause.since).max(0);
        if let Phase::Stepping { since, .. } | Phase::Watching { since, .. } = &mut self.rollout.phase {
            *since = since.plus_ms(held_ms);
        }
        if pause.host {
            self.rollout.host_back = Some(self.now);
            self.begin_anew(held_ms);
        }
        self.note(Entry::Resumed { by });
    }

    /// A host is away: unless a person holds it already, it is held where it is, also while nodes are taken out.
    pub(crate) fn host_lost(&mut self, by: String) {
        let may_wait = self.rollout.may_pause() || self.rollout.phase == Phase::Detaching;
        if may_wait && self.rollout.pause.is_none() {
            self.hold(by, true);
        }
    }

    pub(crate) fn host_back(&mut self, by: String) {
        if self.rollout.waits_for_host() {
            self.go_on(by);
        }
    }

    pub(crate) fn accept(&mut self, watch: u32, by: String) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        if self.rollout.phase == Phase::Deciding && watch == self.rollout.watches {
            self.note(Entry::Accepted { by });
            match self.rollout.kind {
                Kind::Canary => self.pass(),
                Kind::Deploy | Kind::Release => self.next_pool(),
            }
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self, by: String, reason: String) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        let cause = Cause::Aborted { by, reason };
        match (&self.rollout.phase, self.rollout.kind) {
            (Phase::Created, _) => self.never_begun(cause),
            (Phase::Restoring(_), _) if self.rollout.stuck_told => self.stop_here(cause),
            (Phase::Restoring(_) | Phase::Stopping(_), _) => {}
            (_, Kind::Release) => self.stop_here(cause),
            (_, Kind::Deploy | Kind::Canary) => self.turn_back(cause),
        }
        Ok(())
    }

    pub(crate) fn roll_back(&mut self, by: String) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        let cause = Cause::RolledBack { by };
        match &self.rollout.phase {
            Phase::Created => self.never_begun(cause),
            Phase::Restoring(_) => {}
            _ => self.turn_back(cause),
        }
        Ok(())
    }

    fn never_begun(&mut self, cause: Cause) {
        self.report(crate::Milestone::Failed { reason: cause.to_string() });
        self.end(Outcome::Stopped(cause));
    }

    pub(crate) fn refuse_if_over(&self) -> Result<(), Refusal> {
        if self.rollout.is_over() {
            return Err(Refusal::Over { target: self.rollout.target.clone() });
        }
        Ok(())
    }

    pub(crate) fn not_now(&self, what: &'static str) -> Refusal {
        Refusal::NotNow { what, phase: self.rollout.phase.to_string() }
    }
}
