//! The engine from outside: properties of every step, over random pipelines and events.

mod properties;
