//! The crate over its public interface, with real processes.
