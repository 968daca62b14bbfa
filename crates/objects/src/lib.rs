//! Traces, artifacts and releases on a folder.
//!
//! Invariants: what is complete is never changed in place: artifacts and releases appear by a rename. Memory does not grow
//! with the size of a trace or an archive. Names inside archives are hostile: nothing is written outside of the folder
//! that the caller names. Knows no database and no HTTP: who may read what, and for how long, is decided elsewhere.
