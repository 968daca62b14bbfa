//! What a person may do now.

use crate::rollout::{Kind, Phase, Rollout};
use serin_model::PoolName;

/// Something that a person may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Release this pool.
    ReleasePool(PoolName),
    /// Hold it where it is.
    Pause,
    /// Let it go on.
    Resume,
    /// Accept what the judge could not decide in this comparison.
    Accept {
        /// Its number.
        watch: u32,
    },
    /// Stop it.
    Abort,
    /// Give every node the version before.
    RollBack,
    /// Agree to this release.
    Approve,
    /// Let it go on against its terms.
    Override,
}

impl Rollout {
    /// What a person may do now, the most expected first.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        match &self.phase {
            _ if self.pause.is_some() => actions.push(Action::Resume),
            Phase::AwaitingPool { pool } if self.is_free() => actions.push(Action::ReleasePool(pool.clone())),
            Phase::Deciding => actions.push(Action::Accept { watch: self.watches }),
            _ => {}
        }
        if self.approvals_missing() > 0 && self.waits_for_terms() {
            actions.push(Action::Approve);
        }
        if !self.is_free() && self.waits_for_terms() {
            actions.push(Action::Override);
        }
        if self.pause.is_none() && self.may_pause() {
            actions.push(Action::Pause);
        }
        if self.may_abort() {
            actions.push(Action::Abort);
        }
        if !matches!(self.phase, Phase::Created | Phase::Restoring(_) | Phase::Over(_)) {
            actions.push(Action::RollBack);
        }
        actions
    }

    fn waits_for_terms(&self) -> bool {
        matches!(
            self.phase,
            Phase::AwaitingPool { .. } | Phase::Rolling { .. } | Phase::Watching { .. } | Phase::Deciding
        )
    }

    pub(crate) fn may_pause(&self) -> bool {
        matches!(
            self.phase,
            Phase::Verifying
                | Phase::Stepping { .. }
                | Phase::Rolling { .. }
                | Phase::Watching { .. }
                | Phase::AwaitingPool { .. }
        )
    }

    fn may_abort(&self) -> bool {
        match self.phase {
            Phase::Over(_) | Phase::Stopping(_) => false,
            Phase::Restoring(_) => self.stuck_told,
            // A held canary is rolled back; there is nothing left to stop.
            Phase::Held => self.kind != Kind::Canary,
            _ => true,
        }
    }
}
