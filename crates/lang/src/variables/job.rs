//! Predefined variables of a job that is being compiled.

use std::cell::OnceCell;

use serin_model::plan::Variable;

use super::{environment_slug, slug};

/// Variables that are known once the job is; each is made when it is asked for, which few jobs do.
#[derive(Debug)]
pub(crate) struct OfJob<'j> {
    /// The job's name.
    pub name: &'j str,
    /// Its name in the file, which copies share.
    pub group: &'j str,
    /// Its stage.
    pub stage: &'j str,
    /// How many copies there are.
    pub total: usize,
    /// The name of its environment, and what it does there.
    pub environment: Option<(String, &'j str)>,
    made: [OnceCell<Variable>; KEYS.len()],
}

const KEYS: [&str; 8] = [
    "CI_JOB_NAME",
    "CI_JOB_GROUP_NAME",
    "CI_JOB_NAME_SLUG",
    "CI_JOB_STAGE",
    "CI_NODE_TOTAL",
    "CI_ENVIRONMENT_NAME",
    "CI_ENVIRONMENT_SLUG",
    "CI_ENVIRONMENT_ACTION",
];

impl<'j> OfJob<'j> {
    /// Those of a job of that name, whose name in the file is `group`.
    pub fn new((name, group): (&'j str, &'j str), stage: &'j str, total: usize) -> Self {
        Self { name, group, stage, total, environment: None, made: Default::default() }
    }

    /// A variable of the job.
    pub fn get(&self, key: &str) -> Option<&Variable> {
        let at = KEYS.iter().position(|known| *known == key)?;
        let value = || self.environment.as_ref();
        let text = || match key {
            "CI_JOB_NAME" => self.name.to_owned(),
            "CI_JOB_GROUP_NAME" => self.group.to_owned(),
            "CI_JOB_NAME_SLUG" => slug(self.name),
            "CI_JOB_STAGE" => self.stage.to_owned(),
            "CI_NODE_TOTAL" => self.total.to_string(),
            "CI_ENVIRONMENT_NAME" => value().map(|(name, _)| name.clone()).unwrap_or_default(),
            "CI_ENVIRONMENT_SLUG" => value().map(|(name, _)| environment_slug(name)).unwrap_or_default(),
            _ => value().map(|(_, action)| (*action).to_owned()).unwrap_or_default(),
        };
        let is_there = !key.starts_with("CI_ENVIRONMENT") || self.environment.is_some();
        is_there.then(|| self.made[at].get_or_init(|| Variable::plain(key, text())))
    }
}
