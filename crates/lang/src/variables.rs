//! Layers of variables, and the predefined ones.

mod environment;
mod job;

use std::collections::BTreeMap;

pub use environment::{environment_slug, environment_tier};
pub(crate) use job::OfJob;
use serin_model::plan::{Job, Plan, Variable, Work};

use crate::context::{Context, SettingVariable};
use crate::expand::{Circle, expand_all};

/// Variables by key.
pub(crate) type Layer = BTreeMap<String, Variable>;

/// Variables of one strength.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Many, used by many jobs.
    Keyed(&'a Layer),
    /// A few of one job, for which keys would cost more than they save; of the same key the last counts.
    Listed(&'a [Variable]),
    /// Made when they are asked for.
    Made(Option<&'a OfJob<'a>>),
}

impl<'a> Source<'a> {
    fn get(self, key: &str) -> Option<&'a Variable> {
        match self {
            Self::Keyed(layer) => layer.get(key),
            Self::Listed(list) => list.iter().rev().find(|variable| variable.key == key),
            Self::Made(of_job) => of_job?.get(key),
        }
    }
}

/// Layers, strongest first.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    layers: [Source<'a>; 5],
}

impl<'a> Scope<'a> {
    /// What was known before any file was read, over that the settings, with a file's and a job's variables between.
    pub fn new(known: &'a Known, settings: &'a Layer, file: &'a [Variable], job: Option<&'a OfJob<'a>>) -> Self {
        let layers = [
            Source::Keyed(&known.pipeline),
            Source::Keyed(settings),
            Source::Listed(file),
            Source::Made(job),
            Source::Keyed(&known.predefined),
        ];
        Self { layers }
    }

    /// The text of a variable.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.variable(key).map(|variable| variable.value.as_str())
    }

    /// A variable.
    pub fn variable(&self, key: &str) -> Option<&'a Variable> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// A text with the variables in it replaced, recursively; a variable that is in turn being replaced becomes empty.
    pub fn expand(&self, text: &str, unknown: crate::expand::Unknown) -> String {
        self.expand_at(text, unknown, &mut Vec::new())
    }

    fn expand_at(&self, text: &str, unknown: crate::expand::Unknown, path: &mut Vec<String>) -> String {
        if !text.contains(['$', '%']) {
            return text.to_owned();
        }
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for name in crate::expand::names(text) {
            let Some(variable) = self.variable(name) else { continue };
            if values.contains_key(name) || path.iter().any(|outer| outer == name) || path.len() >= EXPANSION_DEPTH_MAX
            {
                continue;
            }
            let value = if variable.raw {
                variable.value.clone()
            } else {
                path.push(name.to_owned());
                let value = self.expand_at(&variable.value, unknown, path);
                path.pop();
                value
            };
            values.insert(name.to_owned(), value);
        }
        crate::expand::expand(text, &|name| values.get(name).map(String::as_str), unknown)
    }
}

/// Variables that may stand in each other's values.
const EXPANSION_DEPTH_MAX: usize = 20;

/// The layers that are known before any file is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Given when the pipeline was started.
    pub pipeline: Layer,
    /// Of project and groups, for jobs without environment.
    pub settings: Layer,
    /// Predefined.
    pub predefined: Layer,
}

impl Known {
    /// The layers of a context.
    pub fn new(context: &Context) -> Self {
        Self {
            pipeline: layer(&context.pipeline_variables),
            settings: settings(context, None),
            predefined: predefined(context),
        }
    }

    /// What a whole file sees, with its root variables.
    pub fn scope_with<'a>(&'a self, file: &'a [Variable]) -> Scope<'a> {
        Scope::new(self, &self.settings, file, None)
    }

    /// What `include` sees.
    pub fn scope(&self) -> Scope<'_> {
        self.scope_with(&[])
    }
}

/// A layer of a list; later ones of the same key win.
pub(crate) fn layer(variables: &[Variable]) -> Layer {
    variables.iter().map(|variable| (variable.key.clone(), variable.clone())).collect()
}

/// Settings of groups and project that a job with that environment gets, the more specific scope winning.
pub(crate) fn settings(context: &Context, environment: Option<&str>) -> Layer {
    let mut layer = Layer::new();
    for level in [&context.group_variables, &context.project_variables] {
        let mut matching: Vec<(usize, &SettingVariable)> = level
            .iter()
            .filter(|setting| !setting.protected || context.protected)
            .filter_map(|setting| Some((specificity(&setting.environment_scope, environment)?, setting)))
            .collect();
        matching.sort_by_key(|(specificity, _)| *specificity);
        layer.extend(matching.into_iter().map(|(_, setting)| (setting.variable.key.clone(), setting.variable.clone())));
    }
    layer
}

/// Settings of groups and project that an environment gets, the more specific scope winning.
#[must_use]
pub fn of_environment(context: &Context, environment: &str) -> Vec<Variable> {
    settings(context, Some(environment)).into_values().collect()
}

/// How specific a scope is, where it holds: `*` least, then by length, the exact name most.
fn specificity(scope: &str, environment: Option<&str>) -> Option<usize> {
    if scope == "*" || scope.is_empty() {
        return Some(0);
    }
    let name = environment?;
    if scope == name {
        return Some(usize::MAX);
    }
    let pattern = scope.replace('*', "**");
    (scope.contains('*') && crate::glob::include_matches(&pattern, name)).then_some(scope.len())
}

fn predefined(context: &Context) -> Layer {
    let mut layer = Layer::new();
    let mut put = |key: &str, value: &str| {
        // A branch may be called `$(touch x)`: what comes from outside is never expanded.
        layer.insert(key.to_owned(), Variable { raw: true, ..Variable::plain(key, value) });
    };
    let reference = context.ref_name();
    put("CI", "true");
    put("GITLAB_CI", "true");
    put("CI_PIPELINE_SOURCE", context.source.as_str());
    put("CI_DEFAULT_BRANCH", &context.default_branch);
    put("CI_DEFAULT_BRANCH_SLUG", &slug(&context.default_branch));
    put("CI_COMMIT_REF_NAME", reference);
    put("CI_COMMIT_REF_SLUG", &slug(reference));
    put("CI_COMMIT_REF_PROTECTED", if context.protected { "true" } else { "false" });
    if let Some(tag) = &context.tag {
        put("CI_COMMIT_TAG", tag);
    } else if !context.is_merge_request()
        && let Some(branch) = &context.branch
    {
        put("CI_COMMIT_BRANCH", branch);
    }
    if context.is_merge_request()
        && let Some(branch) = &context.branch
    {
        put("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", branch);
    }
    if !context.sha.is_empty() {
        put("CI_COMMIT_SHA", &context.sha);
        put("CI_COMMIT_SHORT_SHA", context.sha.get(..8).unwrap_or(&context.sha));
    }
    project(context, &mut put);
    server(context, &mut put);
    layer.extend(context.predefined.iter().map(|variable| (variable.key.clone(), variable.clone())));
    layer
}

fn project(context: &Context, put: &mut dyn FnMut(&str, &str)) {
    let (namespace, name) = context.project.rsplit_once('/').unwrap_or(("", &context.project));
    put("CI_PROJECT_PATH", &context.project);
    put("CI_PROJECT_NAME", name);
    put("CI_PROJECT_TITLE", name);
    put("CI_PROJECT_NAMESPACE", namespace);
    put("CI_PROJECT_NAMESPACE_SLUG", &slug(namespace));
    put("CI_PROJECT_ROOT_NAMESPACE", namespace.split('/').next().unwrap_or_default());
    put("CI_PROJECT_PATH_SLUG", &slug(&context.project));
    if !context.server_url.is_empty() {
        put("CI_PROJECT_URL", &format!("{}/{}", context.server_url, context.project));
    }
}

fn server(context: &Context, put: &mut dyn FnMut(&str, &str)) {
    let Some((protocol, host)) = context.server_url.split_once("://") else {
        return;
    };
    let host = host.trim_end_matches('/');
    let (name, port) = host.rsplit_once(':').unwrap_or((host, if protocol == "https" { "443" } else { "80" }));
    put("CI_SERVER_URL", context.server_url.trim_end_matches('/'));
    put("CI_SERVER_HOST", name);
    put("CI_SERVER_FQDN", host);
    put("CI_SERVER_PORT", port);
    put("CI_SERVER_PROTOCOL", protocol);
    put("CI_API_V4_URL", &format!("{}/api/v4", context.server_url.trim_end_matches('/')));
    put("CI_API_GRAPHQL_URL", &format!("{}/api/graphql", context.server_url.trim_end_matches('/')));
}

/// Lower case, 63 bytes, everything but letters and digits a dash, no dash at the ends (`CI_COMMIT_REF_SLUG`).
#[must_use]
pub fn slug(text: &str) -> String {
    let slug: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    slug.trim_matches('-').to_owned()
}

/// Every variable that a job of a plan gets, expanded as the server does, the strongest of each key: predefined ones
/// (`late` holds those that are known only now, such as `CI_JOB_ID`), then the file's, then `dotenv` (of the jobs it
/// needs), then settings, then the pipeline's. The runner expands once more by [`crate::expand::expand_in_runner`].
///
/// # Errors
/// Where variables of different layers refer to each other in a circle.
pub fn of_job(
    plan: &Plan,
    job: &Job,
    context: &Context,
    late: &[Variable],
    dotenv: &[Variable],
) -> Result<Vec<Variable>, Circle> {
    let environment = job.environment.as_ref();
    let mut all: Vec<Variable> = predefined(context).into_values().collect();
    all.extend(of_name(plan, job));
    if let Some(environment) = environment {
        all.extend(environment::variables(environment));
    }
    all.extend(late.iter().cloned());
    all.extend(job.variables.iter().cloned());
    all.extend(dotenv.iter().cloned());
    all.extend(settings(context, environment.map(|environment| environment.name.as_str())).into_values());
    all.extend(context.pipeline_variables.iter().cloned());
    expand_all(&all)
}

fn of_name(plan: &Plan, job: &Job) -> Vec<Variable> {
    let group = job.name.split_once(": [").map_or(job.name.as_str(), |(group, _)| group);
    let copies =
        |text: &str| text.split_once('/').is_some_and(|(i, n)| i.parse::<u32>().is_ok() && n.parse::<u32>().is_ok());
    let group = group.rsplit_once(' ').filter(|(_, copy)| copies(copy)).map_or(group, |(group, _)| group);
    let stage = plan.stages.get(job.stage).map_or("", String::as_str);
    let mut variables = vec![
        Variable::plain("CI_JOB_NAME", job.name.as_str()),
        Variable::plain("CI_JOB_NAME_SLUG", slug(&job.name)),
        Variable::plain("CI_JOB_GROUP_NAME", group),
        Variable::plain("CI_JOB_STAGE", stage),
        Variable::plain("CI_NODE_TOTAL", "1"),
    ];
    if job.when == serin_model::plan::When::Manual {
        variables.push(Variable::plain("CI_JOB_MANUAL", "true"));
    }
    if let Some(name) = &plan.name {
        variables.push(Variable::plain("CI_PIPELINE_NAME", name.as_str()));
    }
    if let Work::Script(script) = &job.work
        && let Some(image) = &script.image
    {
        variables.push(Variable::plain("CI_JOB_IMAGE", image.name.as_str()));
    }
    variables
}
