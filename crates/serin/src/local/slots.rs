//! The workspaces of a run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serin_runner::Slot;

/// Workspaces by number, of which some are in use.
#[derive(Debug, Default)]
pub struct Slots {
    places: Vec<Place>,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    New,
    Free(Arc<Slot>),
    InUse,
}

impl Slots {
    /// A workspace that is not in use: of the first `among` the one that the name always leads to, or else any.
    pub fn take(&mut self, name: &str, among: usize, make: impl FnOnce(usize) -> Slot) -> Arc<Slot> {
        let index = self.preferred(name, among).unwrap_or_else(|| self.first_not_in_use());
        match std::mem::replace(&mut self.places[index], Place::InUse) {
            Place::Free(slot) => slot,
            Place::New | Place::InUse => Arc::new(make(index + 1)),
        }
    }

    fn preferred(&mut self, name: &str, among: usize) -> Option<usize> {
        if among > self.places.len().max(PREFERRED_MAX) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % among.max(1) as u64).ok()?;
        if self.places.len() < among {
            self.places.resize_with(among, Place::default);
        }
        (!matches!(self.places[index], Place::InUse)).then_some(index)
    }

    /// One that is made already, before one that has to be.
    fn first_not_in_use(&mut self) -> usize {
        let free = self.places.iter().position(|place| matches!(place, Place::Free(_)));
        let new = || self.places.iter().position(|place| matches!(place, Place::New));
        free.or_else(new).unwrap_or_else(|| {
            self.places.push(Place::New);
            self.places.len() - 1
        })
    }

    /// Leaves those that are free for a later run, each with its record; their numbers and the bytes of their files.
    pub fn keep(&self, record: impl Fn(usize) -> PathBuf) -> io::Result<(Vec<usize>, u64)> {
        let (mut kept, mut bytes) = (Vec::new(), 0);
        for (index, place) in self.places.iter().enumerate() {
            if let Place::Free(slot) = place {
                bytes += slot.keep(&record(index + 1))?;
                kept.push(index + 1);
            }
        }
        Ok((kept, bytes))
    }

    /// A job is over.
    pub fn give_back(&mut self, slot: Arc<Slot>) {
        let number = slot.builds_dir().file_name().and_then(|name| name.to_str()?.parse::<usize>().ok());
        if let Some(place) = number.and_then(|number| self.places.get_mut(number.checked_sub(1)?)) {
            *place = Place::Free(slot);
        }
    }
}

/// Workspaces among which a job has its own; with more of them, making them costs more than it gives.
const PREFERRED_MAX: usize = 16;
