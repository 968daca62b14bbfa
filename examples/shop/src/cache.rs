//! A cache of bounded size that forgets what was used least recently.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps up to a number of texts by key.
pub struct Cache {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    clock: u64,
    entries: HashMap<String, (u64, Arc<str>)>,
    by_use: BTreeMap<u64, String>,
}

impl Cache {
    /// An empty cache for `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::default(),
        }
    }

    /// The text of that key; made, and kept, where there is none.
    pub fn get_or(&self, key: &str, make: impl FnOnce() -> String) -> Arc<str> {
        if let Some(text) = self.with(|inner| inner.touch(key)) {
            return text;
        }
        let text: Arc<str> = make().into();
        self.with(|inner| inner.insert(self.capacity, key, Arc::clone(&text)));
        text
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.with(|inner| inner.entries.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn touch(&mut self, key: &str) -> Option<Arc<str>> {
        let (used, text) = self.entries.get_mut(key)?;
        self.clock += 1;
        if let Some(key) = self.by_use.remove(used) {
            self.by_use.insert(self.clock, key);
        }
        *used = self.clock;
        Some(Arc::clone(text))
    }

    fn insert(&mut self, capacity: usize, key: &str, text: Arc<str>) {
        self.clock += 1;
        if let Some((used, _)) = self.entries.insert(key.to_owned(), (self.clock, text)) {
            self.by_use.remove(&used);
        }
        self.by_use.insert(self.clock, key.to_owned());
        while self.entries.len() > capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use std::cell::Cell;

    #[test]
    fn a_text_is_made_once() {
        let cache = Cache::new(4);
        let made = Cell::new(0);
        for _ in 0..3 {
            let text = cache.get_or("a", || {
                made.set(made.get() + 1);
                "text".to_owned()
            });
            assert_eq!(&*text, "text");
        }
        assert_eq!(made.get(), 1);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = Cache::new(2);
        for key in ["a", "b", "a", "c"] {
            cache.get_or(key, || key.to_owned());
        }
        assert_eq!(cache.len(), 2);
        assert_eq!(&*cache.get_or("a", || "made again".to_owned()), "a");
        assert_eq!(
            &*cache.get_or("b", || "made again".to_owned()),
            "made again"
        );
    }

    #[test]
    fn it_stays_within_its_size() {
        let cache = Cache::new(10);
        for number in 0..1000 {
            cache.get_or(&number.to_string(), String::new);
        }
        assert_eq!(cache.len(), 10);
    }
}
