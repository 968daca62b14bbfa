//! The built-in template of the three flows.

use serin_model::service::Config;

use crate::SourceFile;

/// Name of the built-in template, as `include:template` says it.
pub const DEVOPS: &str = "DevOps.gitlab-ci.yml";

/// The three flows for a service, as a pipeline file.
#[must_use]
pub fn devops(config: &Config) -> SourceFile {
    let _ = config;
    SourceFile::new(DEVOPS, Vec::new())
}
