//! Bodies of the REST API, in GitLab's shapes where GitLab has them.

use serde::{Deserialize, Serialize};

/// `POST /projects`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NewProject {
    /// Its path; `None`: its name.
    #[serde(default)]
    pub path: Option<String>,
    /// Its name; `None`: its path.
    #[serde(default)]
    pub name: Option<String>,
    /// The branch that a clone checks out.
    #[serde(default)]
    pub default_branch: Option<String>,
}

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Project {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its path.
    pub path_with_namespace: String,
    /// The branch that a clone checks out.
    pub default_branch: String,
    /// Where Git finds it.
    pub http_url_to_repo: String,
    /// Where a person finds it.
    pub web_url: String,
    /// RFC 3339.
    pub created_at: String,
}

/// `POST /projects/:id/merge_requests`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NewMergeRequest {
    /// The branch to merge.
    pub source_branch: String,
    /// The branch merged into.
    pub target_branch: String,
    /// Its title.
    #[serde(default)]
    pub title: Option<String>,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
}

/// `PUT /projects/:id/merge_requests/:iid/merge`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Accept {
    /// Whether to wait for the pipeline.
    #[serde(default)]
    pub merge_when_pipeline_succeeds: bool,
}

/// A merge request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MergeRequest {
    /// Its number on the server.
    pub id: i64,
    /// Its number in the project.
    pub iid: i64,
    /// Its project.
    pub project_id: i64,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// `opened`, `merged`, `closed`.
    pub state: String,
    /// The branch to merge.
    pub source_branch: String,
    /// The branch merged into.
    pub target_branch: String,
    /// The source branch's commit.
    pub sha: String,
    /// `can_be_merged`, `cannot_be_merged`, `checking`.
    pub merge_status: String,
    /// `mergeable`, or the first blocker's kind.
    pub detailed_merge_status: String,
    /// Every reason that blocks the merge, in words.
    pub blockers: Vec<String>,
    /// Whether it has conflicts.
    pub has_conflicts: bool,
    /// Whether it is merged when its pipeline succeeds.
    pub merge_when_pipeline_succeeds: bool,
    /// The commit that merged it.
    pub merge_commit_sha: Option<String>,
    /// Its newest pipeline.
    pub head_pipeline: Option<Pipeline>,
    /// Where a person finds it.
    pub web_url: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub merged_at: Option<String>,
}

/// A pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its number on the server.
    pub id: i64,
    /// Its number in the project.
    pub iid: i64,
    /// Its project.
    pub project_id: i64,
    /// GitLab's word.
    pub status: String,
    /// What caused it.
    pub source: String,
    /// Branch, tag, or merge request ref.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// The commit that is built.
    pub sha: String,
    /// `workflow:name`.
    pub name: Option<String>,
    /// Why it could not be made of its file.
    pub yaml_errors: Option<String>,
    /// Where a person finds it.
    pub web_url: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its stage's name.
    pub stage: String,
    /// GitLab's word.
    pub status: String,
    /// Whether its failure is a warning.
    pub allow_failure: bool,
    /// How often it was started.
    pub attempt: i64,
    /// Why it failed, GitLab's word.
    pub failure_reason: Option<String>,
    /// Why it failed, in words.
    pub failure_message: Option<String>,
    /// Exit code of its script.
    pub exit_code: Option<i64>,
    /// Coverage in percent.
    pub coverage: Option<f64>,
    /// RFC 3339.
    pub queued_at: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Seconds from start to end.
    pub duration: Option<f64>,
    /// Where a person finds it.
    pub web_url: String,
    /// The pipeline that a trigger job made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downstream_pipeline: Option<Pipeline>,
}

/// An environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Where the gateway serves it.
    pub external_url: Option<String>,
    /// The released version.
    pub digest: Option<String>,
    /// The released version's commit.
    pub sha: Option<String>,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// The current rollout, or the newest one.
    pub rollout: Option<Rollout>,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its pool.
    pub pool: String,
    /// `starting`, `healthy`, `unhealthy`, `failed`, `stopping`, `stopped`, `lost`.
    pub state: String,
    /// The version that it runs.
    pub digest: Option<String>,
    /// That version's commit.
    pub sha: Option<String>,
    /// The host that it is on, of those that `serin.yml` names.
    pub host: Option<String>,
    /// Its own address.
    pub address: Option<String>,
    /// `serving`, `draining`, `out`.
    pub traffic: String,
    /// Its share of new requests, 0 to 1.
    pub share: f64,
    /// Percent of one core, over the last seconds.
    pub cpu_percent: Option<f64>,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// WARN lines since its start.
    pub log_warn: u64,
    /// ERROR lines since its start.
    pub log_error: u64,
    /// Requests since its start.
    pub requests: u64,
    /// Answers of class 5xx and requests without an answer since its start.
    pub errors: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// How often its process was started again.
    pub restarts: u32,
    /// What went wrong last.
    pub detail: Option<String>,
}

/// A packaged tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Release {
    /// Its address, `sha256:…`.
    pub digest: String,
    /// Its image: the engine's id, or `repository@sha256:…` where it was pushed.
    pub image: Option<String>,
    /// The digest that its statements are about: the image's where it has one.
    pub subject: String,
    /// The commit that it was first packaged of.
    pub sha: String,
    /// The commit's tree.
    pub tree: String,
    /// The pipeline that packaged it first.
    pub pipeline_id: i64,
    /// RFC 3339.
    pub created_at: String,
    /// Where a person finds it.
    pub web_url: String,
}

/// A rollout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rollout {
    /// Its number.
    pub id: i64,
    /// `deploy`, `canary`, `release`.
    pub kind: String,
    /// Where it stands.
    pub phase: String,
    /// The new version.
    pub digest: String,
    /// The new version's commit.
    pub sha: String,
    /// The pipeline that asked for it.
    pub pipeline_id: i64,
    /// Whether it is under way or held.
    pub current: bool,
    /// The canary's share of traffic, 0 to 1.
    pub share: f64,
    /// The nodes with the new version.
    pub canary: Vec<String>,
    /// Its steps: share of traffic, 0 to 1, and whether it is done (`done`, `active`, `waiting`).
    pub steps: Vec<RolloutStep>,
    /// What a person may do now.
    pub actions: Vec<RolloutAction>,
    /// How it ended, or what it waits for, in a sentence.
    pub message: Option<String>,
    /// The same in Chinese.
    #[serde(default)]
    pub message_zh: Option<String>,
    /// The judge's last word: `continue`, `pass`, `fail`, `inconclusive`.
    pub verdict: Option<String>,
    /// The verdict in words, English.
    pub verdict_text: Option<String>,
    /// The verdict in words, Chinese.
    pub verdict_text_zh: Option<String>,
    /// The jobs that ran against its nodes, with what their reports of tests say.
    #[serde(default)]
    pub tests: Vec<RolloutTest>,
    /// What a release needs besides a click; `None`: nothing.
    #[serde(default)]
    pub terms: Option<ReleaseTerms>,
    /// What happened so far.
    pub timeline: Vec<TimelineEntry>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub finished_at: Option<String>,
}

/// What a release needs besides a click.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTerms {
    /// People who must agree before the first pool.
    pub approvals_required: u32,
    /// How many of them are still missing.
    pub approvals_left: u32,
    /// Who agreed.
    pub approved_by: Vec<String>,
    /// Who may agree; empty: whoever did not write the change.
    pub approvers: Vec<String>,
    /// Who wrote the change; they do not count.
    pub authors: Vec<String>,
    /// Windows in which no pool begins.
    pub freeze: Vec<String>,
    /// The window that holds now.
    pub frozen: Option<Frozen>,
    /// Who lets it go on against its terms.
    pub overridden: Option<Overridden>,
}

/// A window without releases that holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The window, as written.
    pub window: String,
    /// When no window holds any more, RFC 3339.
    pub until: String,
    /// The same for people, in the window's time zone.
    pub ends: String,
}

/// A person's word that a release goes on against its terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overridden {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A job that ran against the nodes of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutTest {
    /// The job.
    pub job_id: i64,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// What its reports say; `None`: there is none yet, or none that can be read.
    pub counts: Option<TestCounts>,
    /// The first tests that fail.
    pub failing: Vec<FailingTest>,
    /// Why a report cannot be read.
    pub problem: Option<String>,
}

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were left out.
    pub skipped: u64,
    /// Milliseconds of all.
    pub duration_ms: u64,
}

/// A test that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingTest {
    /// Its class and name.
    pub name: String,
    /// What it said.
    pub message: String,
}

/// A step of a rollout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RolloutStep {
    /// Its name, such as `5 %` or `pool a`.
    pub name: String,
    /// `waiting`, `active`, `done`.
    pub state: String,
}

/// Something that a person may do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RolloutAction {
    /// `release`, `pause`, `resume`, `accept`, `abort`, `roll_back`, `approve`, `override`.
    pub action: String,
    /// The pool, for `release`.
    pub pool: Option<String>,
    /// Which comparison of the judge, for `accept`.
    #[serde(default)]
    pub watch: Option<u32>,
    /// The version that is gone back to, for `roll_back` after a rollout has ended.
    #[serde(default)]
    pub digest: Option<String>,
}

/// One entry of what happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The sentence.
    pub message: String,
    /// The same in Chinese.
    #[serde(default)]
    pub message_zh: String,
}

/// `POST /projects/:id/environments/:name/rollout`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RolloutCommand {
    /// `release`, `pause`, `resume`, `accept`, `abort`, `roll_back`, `approve`, `override`.
    pub action: String,
    /// The pool, for `release`.
    #[serde(default)]
    pub pool: Option<String>,
    /// Which comparison of the judge, for `accept`; a click on an older one changes nothing.
    #[serde(default)]
    pub watch: Option<u32>,
    /// Why, for `abort` and `override`.
    #[serde(default)]
    pub reason: Option<String>,
    /// The version that is approved, for `approve`, or gone back to, for `roll_back`: another one than that is refused.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A tick of the judge, for charts: each metric's value on every node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JudgeTick {
    /// Which judging of the rollout.
    pub round: i64,
    /// Its number.
    pub tick: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Metric, canary mean, baseline mean, lowest and highest baseline node.
    pub metrics: Vec<ChartPoint>,
    /// `continue`, `pass`, `fail`, `inconclusive`.
    pub verdict: String,
}

/// One metric at one tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChartPoint {
    /// Its name.
    pub metric: String,
    /// Mean over the canary nodes.
    pub canary: Option<f64>,
    /// Mean over the baseline nodes.
    pub baseline: Option<f64>,
    /// The lowest baseline node.
    pub low: Option<f64>,
    /// The highest baseline node.
    pub high: Option<f64>,
}

/// What people were told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Its number.
    pub id: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// `info`, `success`, `warning`, `failure`.
    pub kind: String,
    /// The sentence.
    pub message: String,
    /// Where to look, below the server's address.
    pub link: Option<String>,
}

/// What is known of a commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Its first line.
    pub title: String,
    /// Who wrote it.
    pub author_name: String,
    /// RFC 3339.
    pub created_at: String,
    /// `verified` or `refused`.
    pub mark: Option<String>,
    /// Why.
    pub mark_note: Option<String>,
}

/// A protected branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProtectedBranch {
    /// Its name.
    pub name: String,
    /// Whether members may push to it, never by force.
    #[serde(default)]
    pub push_allowed: bool,
}

/// A variable of a project's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Hidden in traces.
    #[serde(default)]
    pub masked: bool,
    /// For protected branches alone.
    #[serde(default)]
    pub protected: bool,
    /// Not expanded.
    #[serde(default)]
    pub raw: bool,
    /// `env_var` or `file`.
    #[serde(default = "env_var")]
    pub variable_type: String,
    /// Environments that see it.
    #[serde(default = "everywhere")]
    pub environment_scope: String,
}

fn env_var() -> String {
    "env_var".to_owned()
}

fn everywhere() -> String {
    "*".to_owned()
}

/// An error's body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// What went wrong.
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Its name at login.
    pub username: String,
    /// Its name for people.
    pub name: String,
    /// Whether it may do everything.
    pub is_admin: bool,
    /// RFC 3339.
    pub created_at: String,
}

/// `POST /users`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewUser {
    /// Its name at login.
    pub username: String,
    /// Its name for people; the login name where not given.
    #[serde(default)]
    pub name: Option<String>,
    /// Its address, as it stands in the person's commits.
    pub email: String,
    /// Its password; without one it logs in with tokens.
    #[serde(default)]
    pub password: Option<String>,
    /// Whether it may do everything.
    #[serde(default)]
    pub admin: bool,
}

/// `POST /users/:user/personal_access_tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewToken {
    /// What its owner calls it.
    pub name: String,
    /// `api`, `read_api`.
    pub scopes: Vec<String>,
    /// Days that it lasts; for ever where not given.
    #[serde(default)]
    pub expires_in_days: Option<i64>,
}

/// A new token; its secret is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Whose it is.
    pub user: String,
    /// What its owner calls it.
    pub name: String,
    /// `api` or `read_api`.
    pub scopes: Vec<String>,
    /// The secret.
    pub token: String,
}
