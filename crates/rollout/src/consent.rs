//! What a release needs besides a click: people who agree, and a time at which nothing is frozen.

use crate::effect::Tone;
use crate::entry::Entry;
use crate::event::Refusal;
use crate::rollout::{Kind, Phase, Rollout};
use crate::step::Turn;
use serin_model::service::Order;
use serin_model::{Digest, PoolName, Timestamp};

/// The terms of a release, fixed when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Terms {
    /// People who must agree before the first pool.
    pub approvals: u32,
    /// Who may agree; empty: whoever did not write the change.
    pub approvers: Vec<String>,
    /// Who wrote the change; they do not count.
    pub authors: Vec<String>,
    /// Windows in which no pool begins, as written.
    pub freeze: Vec<String>,
}

/// A person's word for a release.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A window that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Freeze {
    /// The window, as written.
    pub window: String,
    /// When no window holds any more.
    pub until: Timestamp,
    /// The same for people, in the window's time zone.
    pub ends: String,
}

/// A person's word that a release goes on against its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Override {
    /// Who.
    pub by: String,
    /// Why, in the person's words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Rollout {
    /// Notes before the start that a person wants an older version back.
    pub fn note_back(&mut self, by: String, now: Timestamp) {
        self.note(now, Entry::GoesBack { by });
    }

    /// How many people must still agree before a pool may begin.
    #[must_use]
    pub fn approvals_missing(&self) -> u32 {
        if self.kind != Kind::Release || self.overridden.is_some() {
            return 0;
        }
        let given = u32::try_from(self.approvals.len()).unwrap_or(u32::MAX);
        self.settings.terms.approvals.saturating_sub(given)
    }

    /// The window that keeps the next pool from its beginning.
    #[must_use]
    pub fn frozen(&self) -> Option<&Freeze> {
        self.freeze.as_ref().filter(|_| self.kind == Kind::Release && self.overridden.is_none())
    }

    /// Whether the next pool may begin as far as people and calendar go.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.approvals_missing() == 0 && self.frozen().is_none()
    }
}

impl Turn {
    pub(crate) fn approve(&mut self, by: String, digest: Digest) -> Result<(), Refusal> {
        self.refuse_if_not_releasing("approve")?;
        if digest != self.rollout.target {
            return Err(Refusal::NotThisVersion { digest, target: self.rollout.target.clone() });
        }
        let terms = &self.rollout.settings.terms;
        if terms.authors.contains(&by) {
            return Err(Refusal::OwnChange { by });
        }
        if !terms.approvers.is_empty() && !terms.approvers.contains(&by) {
            return Err(Refusal::NoApprover { by, approvers: terms.approvers.clone() });
        }
        if self.rollout.approvals_missing() == 0 || self.rollout.approvals.iter().any(|known| known.by == by) {
            return Ok(());
        }
        self.rollout.approvals.push(Approval { by: by.clone(), at: self.now });
        let missing = self.rollout.approvals_missing();
        self.note(Entry::Approved { by, missing });
        Ok(())
    }

    pub(crate) fn override_terms(&mut self, by: String, reason: String) -> Result<(), Refusal> {
        self.refuse_if_not_releasing("override the terms of a release")?;
        if self.rollout.overridden.is_some() {
            return Ok(());
        }
        let text = format!("{by} releases `{}` against its terms: {reason}", self.rollout.target.short());
        self.tell(Tone::Asks, text);
        self.note(Entry::Overridden { by: by.clone(), reason: reason.clone() });
        self.rollout.overridden = Some(Override { by, reason, at: self.now });
        Ok(())
    }

    pub(crate) fn freeze(&mut self, freeze: Option<Freeze>) {
        if self.rollout.kind != Kind::Release || self.rollout.is_over() || self.rollout.freeze == freeze {
            return;
        }
        self.rollout.freeze = freeze;
        if self.rollout.phase != Phase::Created {
            self.note_freeze();
        }
    }

    fn note_freeze(&mut self) {
        let entry = match &self.rollout.freeze {
            Some(freeze) => Entry::Frozen { window: freeze.window.clone(), ends: freeze.ends.clone() },
            None => Entry::Thawed,
        };
        self.note(entry);
    }

    /// Says once what a release waits for.
    pub(crate) fn tell_terms(&mut self) {
        if self.rollout.frozen().is_some() {
            self.note_freeze();
        }
        let missing = self.rollout.approvals_missing();
        if missing > 0 {
            self.note(Entry::NeedsApprovals { missing });
            let people = if missing == 1 { "person" } else { "people" };
            self.tell(
                Tone::Asks,
                format!("the release of `{}` waits until {missing} {people} approve it", self.rollout.target.short()),
            );
        }
    }

    /// An automatic release that waited for people or calendar goes on.
    pub(crate) fn move_awaiting(&mut self, pool: PoolName) -> bool {
        let automatic = self.rollout.settings.order == Order::Automatic;
        if !automatic || self.rollout.pause.is_some() || !self.rollout.is_free() {
            return false;
        }
        self.begin_pool(pool, None);
        true
    }

    /// Refuses a pool while people or calendar are against it.
    pub(crate) fn refuse_if_held(&self) -> Result<(), Refusal> {
        let missing = self.rollout.approvals_missing();
        if missing > 0 {
            let needed = self.rollout.settings.terms.approvals;
            return Err(Refusal::NotApproved { given: needed - missing, needed });
        }
        match self.rollout.frozen() {
            Some(freeze) => Err(Refusal::Frozen { window: freeze.window.clone(), ends: freeze.ends.clone() }),
            None => Ok(()),
        }
    }

    fn refuse_if_not_releasing(&self, what: &'static str) -> Result<(), Refusal> {
        self.refuse_if_over()?;
        let turns_back = matches!(self.rollout.phase, Phase::Restoring(_) | Phase::Stopping(_));
        if self.rollout.kind != Kind::Release || turns_back {
            return Err(self.not_now(what));
        }
        Ok(())
    }
}
