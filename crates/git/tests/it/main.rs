//! Real repositories, the real `git` client, and this crate between them.
