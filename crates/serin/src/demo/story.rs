//! The story: version 1, a good change released, a bad change caught. Every act goes over Git, REST or the gateway.

mod gate;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::json;
use serin_wire::rest;

use super::load::{Chapter, Load};
use super::report::{Report, Traffic};
use super::server::Server;
use super::shop::{self, WorkTree};
use crate::cli::Demo;
use crate::client::Client;
use crate::terminal::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW, styled};

/// How long the story waits between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long one act may take.
const ACT_LIMIT: Duration = Duration::from_secs(120);
/// How long the server is down when it is killed.
const DOWN: Duration = Duration::from_millis(700);
/// The project's path.
pub(super) const PROJECT: &str = "shop";
/// The environment that users see.
const PRODUCTION: &str = "production";

/// The story under way.
pub struct Story<'a> {
    demo: &'a Demo,
    server: &'a mut Server,
    client: Client,
    tree: WorkTree,
    load: Option<Load>,
    report: Report,
    begun: Instant,
    told: BTreeMap<i64, String>,
    told_lines: BTreeMap<i64, usize>,
}

/// One change on its way to production.
struct Change {
    branch: &'static str,
    patch: &'static str,
    title: &'static str,
}

const BAD: Change = Change { branch: "quick-cache", patch: shop::BAD, title: "Remember answers to be quicker" };

impl<'a> Story<'a> {
    /// Makes the project on the server and the work tree beside it.
    pub async fn new(demo: &'a Demo, folder: &Path, server: &'a mut Server) -> Result<Self> {
        let client = Client::new(server.url(), server.token());
        let body = rest::NewProject {
            path: Some(PROJECT.to_owned()),
            name: Some("Shop".to_owned()),
            default_branch: Some("master".to_owned()),
        };
        let project: rest::Project = client.post("/projects", &body).await?;
        let secret = format!("http://admin:{}@", server.token());
        let remote = project.http_url_to_repo.replacen("http://", &secret, 1);
        let tree = WorkTree::create(folder, &remote, demo.platform).await?;
        Ok(Self {
            demo,
            server,
            client,
            tree,
            load: None,
            report: Report::default(),
            begun: Instant::now(),
            told: BTreeMap::new(),
            told_lines: BTreeMap::new(),
        })
    }

    /// Tells it.
    pub async fn tell(mut self) -> Result<Report> {
        let first = self.first_version().await?;
        let good = self.good_change(&first).await?;
        self.bad_change(&good).await?;
        self.close(&good).await?;
        Ok(self.report)
    }

    /// Version 1 goes live: pushed to master, released by a person.
    async fn first_version(&mut self) -> Result<String> {
        self.chapter("1", "version 1 goes live");
        self.tree.git(&["push", "--quiet", "-o", "ci.skip", "origin", "develop"]).await?;
        self.tree.git(&["push", "--quiet", "origin", "master"]).await?;
        self.say("git push origin master");
        self.release("master").await?;
        let environment = self.environment().await?;
        let address = environment.external_url.context("production has no address")?;
        self.say(&format!("users are served at {}", styled(CYAN, &address)));
        self.load = Some(Load::start(address, self.demo.rate));
        let versions: Vec<_> = environment.nodes.iter().filter_map(|node| node.digest.clone()).collect();
        let first = versions.first().cloned().context("no node runs version 1")?;
        let live = versions.len() == 6 && versions.iter().all(|digest| *digest == first);
        self.report.check("version 1 is live on six nodes in two pools", live);
        Ok(first)
    }

    async fn good_change(&mut self, first: &str) -> Result<String> {
        self.chapter("2", "a good change, at first refused by its quality gate");
        self.begin(Chapter::Good);
        let pushed_at = self.refused_then_mended().await?;
        let pipeline = self.pipeline_of("develop").await?;
        let canary = self.canary_verdict(&pipeline, self.demo.crash).await?;
        self.report.push_to_verdict_ms = now_ms() - pushed_at;
        self.report.good_verdict = canary.verdict_text.clone().unwrap_or_default();
        self.report.check("the good change passes its canary", canary.phase == "held");
        self.integration_tests(&canary);
        self.wait_for_pipeline(&pipeline).await?;
        self.merge_release().await?;
        self.release("master").await?;
        self.report.push_to_released_ms = now_ms() - pushed_at;
        let good = canary.digest;
        let environment = self.environment().await?;
        let released = environment.nodes.iter().all(|node| node.digest.as_deref() == Some(&good));
        self.report
            .check("the release carries the very version that was canaried, to every node", released && good != first);
        let counts = self.load.as_ref().map(|load| load.counts(Chapter::Good)).unwrap_or_default();
        self.report.check("no request failed because of the good change", counts.failures() == 0 && counts.sent > 0);
        let mark = self.mark(&canary.sha).await?;
        self.report.check("the good commit is marked verified", mark.as_deref() == Some("verified"));
        Ok(good)
    }

    /// What the tests of the two nodes report stands beside the verdict.
    fn integration_tests(&mut self, canary: &rest::Rollout) {
        let counts: Vec<rest::TestCounts> = canary.tests.iter().filter_map(|test| test.counts).collect();
        let (passed, failed) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.passed, sum.1 + one.failed));
        self.say(&format!("  integration tests of {}: {passed} passed, {failed} failed", canary.canary.join(" and ")));
        let held = passed > 0 && failed == 0;
        self.report.check("the integration tests of the two nodes stand beside the verdict", held);
    }

    async fn bad_change(&mut self, good: &str) -> Result<()> {
        self.chapter("3", "a bad change: it passes its tests, leaks memory and logs errors under traffic");
        self.begin(Chapter::Bad);
        self.propose(&BAD).await?;
        let pipeline = self.pipeline_of("develop").await?;
        let canary = self.canary_verdict(&pipeline, false).await?;
        let refused = canary.verdict.as_deref() == Some("fail");
        self.report.bad_verdict = canary.verdict_text.clone().unwrap_or_default();
        self.report.bad_verdict_zh = canary.verdict_text_zh.clone().unwrap_or_default();
        self.report.check("the judge fails the bad change", refused);
        self.times_of_detection(&canary);
        self.wait_restored(&canary, good).await?;
        self.wait_for_pipeline(&pipeline).await?;
        let mark = self.mark(&canary.sha).await?;
        self.report.check("develop is marked refused", mark.as_deref() == Some("refused"));
        let notices: Vec<rest::Notice> = self.client.get(&format!("/projects/{PROJECT}/notices")).await?;
        self.report.check("people are told", notices.iter().any(|notice| notice.kind == "failure"));
        self.report.check("the bad change never reaches more than its two nodes", self.report.bad_nodes_max <= 2);
        Ok(())
    }

    /// What is in the released version, and how it was made.
    async fn statements(&mut self, good: &str) -> Result<()> {
        let path = format!("/projects/{PROJECT}/releases/{good}");
        let release: rest::Release = self.client.get(&path).await?;
        let bill: serde_json::Value = self.client.get(&format!("{path}/sbom")).await?;
        let made: serde_json::Value = self.client.get(&format!("{path}/provenance")).await?;
        let subject = release.subject.trim_start_matches("sha256:");
        let told = made["subject"][0]["digest"]["sha256"] == subject
            && bill["metadata"]["component"]["hashes"][0]["content"] == subject;
        self.report.check("the release says what is in it and how it was made, by its digest", told);
        self.report.components = bill["components"].as_array().map_or(0, Vec::len);
        (self.report.image, self.report.release_url) = (release.image, release.web_url);
        Ok(())
    }

    /// The table's last rows.
    async fn close(&mut self, good: &str) -> Result<()> {
        let environment = self.environment().await?;
        let all_good = environment.nodes.iter().all(|node| node.digest.as_deref() == Some(good));
        self.report.check("in the end every node runs the good version and serves", all_good && serving(&environment));
        let versions = environment.nodes.into_iter().filter_map(|node| Some((node.name, node.digest?)));
        self.report.versions = versions.collect();
        self.statements(good).await?;
        let Some(load) = &self.load else { bail!("no traffic was sent") };
        let mut slow = false;
        for (chapter, name) in [(Chapter::Good, "good change"), (Chapter::Bad, "bad change")] {
            let counts = load.counts(chapter);
            let per_second = counts.sent as f64 / counts.seconds.max(0.001);
            slow |= per_second < 100.0;
            self.report.requests.push(Traffic {
                chapter: name.to_owned(),
                sent: counts.sent,
                per_second,
                failed: counts.failures(),
                causes: counts.failed,
            });
        }
        self.report.check("at least 100 requests a second all the time", !slow);
        self.report.seconds = self.begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// Pushes a change with a merge request, and waits until it is merged.
    async fn propose(&mut self, change: &Change) -> Result<()> {
        let (request, _) = self.open(change).await?;
        self.ensure_passed(&request).await?;
        self.wait_merged(request.iid).await
    }

    /// Pushes a change with a merge request, waits until its pipeline is over; when its first job started.
    async fn open(&mut self, change: &Change) -> Result<(rest::MergeRequest, i64)> {
        self.tree.change(change.branch, (change.patch, change.title)).await?;
        let title = format!("merge_request.title={}", change.title);
        let options = ["merge_request.create", "merge_request.target=develop", &title];
        let mut arguments = vec!["push", "--quiet"];
        options.iter().for_each(|option| arguments.extend(["-o", option]));
        arguments.extend(["-o", "merge_request.merge_when_pipeline_succeeds", "origin", change.branch]);
        self.tree.git(&arguments).await?;
        self.say(&format!("git push -o merge_request.create origin {}", change.branch));
        let request = self.merge_request(change.branch).await?;
        self.say(&format!("merge request !{}: {}", request.iid, request.title));
        let (request, pipeline) = loop {
            let found: rest::MergeRequest = self.client.get(&request_path(request.iid)).await?;
            match found.head_pipeline.clone() {
                Some(pipeline) => break (found, pipeline),
                None => tokio::time::sleep(LOOK).await,
            }
        };
        self.wait_for_pipeline(&pipeline).await?;
        let jobs = self.jobs(pipeline.id).await?;
        let started = jobs.iter().filter_map(|job| job.started_at.as_deref().and_then(millis)).min();
        Ok((request, started.context("no job was started")?))
    }

    /// A pipeline that failed is told with its job's log, and not waited for.
    async fn ensure_passed(&self, request: &rest::MergeRequest) -> Result<()> {
        let Some(pipeline) = &request.head_pipeline else { return Ok(()) };
        let jobs = self.jobs(pipeline.id).await?;
        let Some(failed) = jobs.iter().find(|job| job.status == "failed" && !job.allow_failure) else { return Ok(()) };
        let log = self.client.text(&format!("/projects/{PROJECT}/jobs/{}/trace", failed.id)).await?;
        bail!("job {} failed:\n{log}", failed.name)
    }

    async fn merge_request(&self, branch: &str) -> Result<rest::MergeRequest> {
        self.until("the merge request", async |story: &Self| {
            let path = format!("/projects/{PROJECT}/merge_requests?state=opened");
            let all: Vec<rest::MergeRequest> = story.client.get(&path).await?;
            Ok(all.into_iter().find(|request| request.source_branch == branch))
        })
        .await
    }

    async fn wait_merged(&mut self, iid: i64) -> Result<()> {
        let merged = self
            .until("the merge", async |story: &Self| {
                let found: rest::MergeRequest = story.client.get(&request_path(iid)).await?;
                Ok((found.state == "merged").then_some(found))
            })
            .await?;
        self.say(&format!("!{iid} is merged into {}", merged.target_branch));
        Ok(())
    }

    /// Waits until a pipeline is over, telling its jobs; a failed one is no error here.
    async fn wait_for_pipeline(&mut self, pipeline: &rest::Pipeline) -> Result<rest::Pipeline> {
        let begun = Instant::now();
        loop {
            let now: rest::Pipeline =
                self.client.get(&format!("/projects/{PROJECT}/pipelines/{}", pipeline.id)).await?;
            self.tell_jobs(pipeline.id).await?;
            if let Some(problem) = now.yaml_errors {
                bail!("pipeline #{} could not be made:\n{problem}", pipeline.id);
            }
            if matches!(now.status.as_str(), "success" | "failed" | "canceled" | "skipped") {
                return Ok(now);
            }
            if begun.elapsed() > ACT_LIMIT {
                bail!("pipeline #{} is still {} after {} s", pipeline.id, now.status, ACT_LIMIT.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn jobs(&self, pipeline: i64) -> Result<Vec<rest::Job>> {
        self.client.get(&format!("/projects/{PROJECT}/pipelines/{pipeline}/jobs")).await
    }

    async fn tell_jobs(&mut self, pipeline: i64) -> Result<()> {
        for job in self.jobs(pipeline).await? {
            if self.told.get(&job.id) == Some(&job.status) {
                continue;
            }
            self.told.insert(job.id, job.status.clone());
            let took = job.duration.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
            match job.status.as_str() {
                "success" => self.say(&format!("  {} {:<12} {took}", styled(GREEN, "✓"), job.name)),
                "failed" => {
                    let why = job.failure_message.or(job.failure_reason).unwrap_or_default();
                    self.say(&format!("  {} {:<12} {took} {why}", styled(RED, "✗"), job.name));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The newest pipeline of a branch, made after the ones that were told.
    async fn pipeline_of(&mut self, branch: &str) -> Result<rest::Pipeline> {
        let known: Vec<i64> = self.told_lines.keys().copied().collect();
        let pipeline = self
            .until("the pipeline", async |story: &Self| {
                let all: Vec<rest::Pipeline> = story.client.get(&format!("/projects/{PROJECT}/pipelines")).await?;
                Ok(all.into_iter().find(|pipeline| pipeline.ref_name == branch && !known.contains(&-pipeline.id)))
            })
            .await?;
        self.told_lines.insert(-pipeline.id, 0);
        self.say(&format!("pipeline #{} on {branch}", pipeline.id));
        Ok(pipeline)
    }

    /// Follows the canary of a pipeline until the judge has spoken; kills the server on the way, if that is wanted.
    async fn canary_verdict(&mut self, pipeline: &rest::Pipeline, crash: bool) -> Result<rest::Rollout> {
        let begun = Instant::now();
        let mut crash = crash;
        loop {
            self.tell_jobs(pipeline.id).await?;
            let environment = self.environment().await?;
            if let Some(rollout) = self.rollout_of(&environment, pipeline.id) {
                self.tell_rollout(&rollout);
                self.count_bad_nodes(&environment, &rollout);
                if crash && rollout.phase == "canary" && rollout.share > 0.0 {
                    crash = false;
                    self.crash().await?;
                    continue;
                }
                if rollout.phase == "deciding" {
                    self.accept(&rollout).await?;
                    continue;
                }
                if rollout.phase == "held"
                    || !matches!(rollout.phase.as_str(), "created" | "detaching" | "verifying" | "canary")
                {
                    return Ok(rollout);
                }
            }
            let state: rest::Pipeline =
                self.client.get(&format!("/projects/{PROJECT}/pipelines/{}", pipeline.id)).await?;
            if let Some(problem) = state.yaml_errors {
                bail!("pipeline #{} could not be made:\n{problem}", pipeline.id);
            }
            if state.status == "failed" {
                bail!("pipeline #{} failed before its canary", pipeline.id);
            }
            if begun.elapsed() > ACT_LIMIT {
                bail!("the canary has no verdict after {} s", ACT_LIMIT.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The judge could not tell: a person accepts, and the story is not what it should be.
    async fn accept(&mut self, rollout: &rest::Rollout) -> Result<()> {
        self.report.check("the judge decides by itself", false);
        self.say(&styled(YELLOW, "the judge could not tell; a person accepts"));
        let accept = rollout.actions.iter().find(|action| action.action == "accept");
        let watch = accept.and_then(|action| action.watch);
        let command = rest::RolloutCommand { action: "accept".to_owned(), watch, ..Default::default() };
        self.act(&command).await
    }

    async fn act(&self, command: &rest::RolloutCommand) -> Result<()> {
        let path = format!("/projects/{PROJECT}/environments/{PRODUCTION}/rollout");
        let _: rest::Environment = self.client.post(&path, command).await?;
        Ok(())
    }

    async fn crash(&mut self) -> Result<()> {
        self.say(&styled(YELLOW, "kill -9 of the server, in the middle of the canary"));
        self.server.crash(DOWN).await?;
        self.report.crashed = true;
        self.say("the server is back; the gateway and the nodes never stopped");
        Ok(())
    }

    fn rollout_of(&self, environment: &rest::Environment, pipeline: i64) -> Option<rest::Rollout> {
        environment.rollout.clone().filter(|rollout| rollout.pipeline_id == pipeline)
    }

    fn tell_rollout(&mut self, rollout: &rest::Rollout) {
        let told = self.told_lines.get(&rollout.id).copied().unwrap_or(0);
        for entry in rollout.timeline.iter().skip(told) {
            self.say(&format!("  {} {}", styled(DIM, "│"), entry.message));
        }
        self.told_lines.insert(rollout.id, rollout.timeline.len().max(told));
    }

    fn count_bad_nodes(&mut self, environment: &rest::Environment, rollout: &rest::Rollout) {
        let on_target: Vec<_> =
            environment.nodes.iter().filter(|node| node.digest.as_deref() == Some(&rollout.digest)).collect();
        if self.load.as_ref().is_some_and(|load| load.counts(Chapter::Bad).sent > 0) {
            self.report.bad_nodes_max = self.report.bad_nodes_max.max(on_target.len());
            let reached = on_target.iter().map(|node| node.requests).sum();
            self.report.reached_bad_version = self.report.reached_bad_version.max(reached);
        }
    }

    /// Reads the times off the rollout's own timeline.
    fn times_of_detection(&mut self, rollout: &rest::Rollout) {
        let at = |word: &str| rollout.timeline.iter().find(|entry| entry.message.contains(word)).map(|entry| entry.at);
        if let (Some(first), Some(caught)) = (at("step 1"), at("judge: fail")) {
            self.report.detection_ms = caught - first;
        }
    }

    async fn wait_restored(&mut self, failed: &rest::Rollout, good: &str) -> Result<()> {
        let begun = Instant::now();
        let caught = failed.timeline.iter().find(|entry| entry.message.contains("judge: fail")).map(|entry| entry.at);
        loop {
            let environment = self.environment().await?;
            let Some(rollout) = self.rollout_of(&environment, failed.pipeline_id) else { bail!("the rollout is gone") };
            self.tell_rollout(&rollout);
            self.count_bad_nodes(&environment, &rollout);
            let reached: f64 = environment
                .nodes
                .iter()
                .filter(|node| node.digest.as_deref() == Some(&failed.digest))
                .map(|node| node.share)
                .sum();
            if reached == 0.0 && self.report.traffic_off_ms == 0 {
                self.report.traffic_off_ms = caught.map_or(0, |caught| (now_ms() - caught).max(1));
            }
            let restored = environment.nodes.iter().all(|node| node.digest.as_deref() == Some(good));
            if restored && serving(&environment) {
                self.report.check("the two nodes are restored and serve again", true);
                return Ok(());
            }
            if begun.elapsed() > ACT_LIMIT {
                bail!("the nodes are not restored after {} s", ACT_LIMIT.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Merges the release merge request that the passed canary opened.
    async fn merge_release(&mut self) -> Result<()> {
        let request = self.merge_request("develop").await?;
        self.say(&format!(
            "release merge request !{} {} → {}",
            request.iid, request.source_branch, request.target_branch
        ));
        for line in request.description.lines().filter(|line| line.starts_with("- ")) {
            self.say(&format!("  {}", styled(DIM, line)));
        }
        self.until("the release merge request's merged result", async |story: &Self| {
            let found: rest::MergeRequest = story.client.get(&request_path(request.iid)).await?;
            Ok(found.blockers.is_empty().then_some(()))
        })
        .await?;
        let path = format!("{}/merge", request_path(request.iid));
        let _: rest::MergeRequest = self.client.put(&path, &rest::Accept::default()).await?;
        self.say(&format!("!{} is merged by a person", request.iid));
        Ok(())
    }

    /// The release pipeline of a branch: its manual job played, its pools released one by one.
    async fn release(&mut self, branch: &str) -> Result<()> {
        let pipeline = self.pipeline_of(branch).await?;
        let begun = Instant::now();
        loop {
            self.tell_jobs(pipeline.id).await?;
            let jobs = self.jobs(pipeline.id).await?;
            if let Some(job) = jobs.iter().find(|job| job.name == "production" && job.status == "manual") {
                self.say(&format!("a person starts {}", styled(BOLD, "production")));
                let path = format!("/projects/{PROJECT}/jobs/{}/play", job.id);
                let _: rest::Job = self.client.post(&path, &json!({})).await?;
            }
            if let Some(failed) = jobs.iter().find(|job| job.status == "failed") {
                let why = failed.failure_message.clone().unwrap_or_default();
                let log = self.client.text(&format!("/projects/{PROJECT}/jobs/{}/trace", failed.id)).await?;
                bail!("job {} failed: {why}\n{log}", failed.name);
            }
            self.release_next_pool(pipeline.id).await?;
            if jobs.iter().any(|job| job.name == "production" && job.status == "success") {
                self.tell_jobs(pipeline.id).await?;
                return Ok(());
            }
            let state: rest::Pipeline =
                self.client.get(&format!("/projects/{PROJECT}/pipelines/{}", pipeline.id)).await?;
            if let Some(problem) = state.yaml_errors {
                bail!("pipeline #{} could not be made:\n{problem}", pipeline.id);
            }
            if begun.elapsed() > ACT_LIMIT {
                bail!("pipeline #{} released nothing within {} s", pipeline.id, ACT_LIMIT.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn release_next_pool(&mut self, pipeline: i64) -> Result<()> {
        let path = format!("/projects/{PROJECT}/environments");
        let all: Vec<rest::Environment> = self.client.get(&path).await?;
        let Some(environment) = all.into_iter().find(|environment| environment.name == PRODUCTION) else {
            return Ok(());
        };
        let Some(rollout) = self.rollout_of(&environment, pipeline) else { return Ok(()) };
        self.tell_rollout(&rollout);
        let next = rollout.actions.iter().find(|action| action.action == "release").and_then(|next| next.pool.clone());
        let Some(pool) = next else { return Ok(()) };
        self.say(&format!("a person releases pool {}", styled(BOLD, &pool)));
        let command = rest::RolloutCommand { action: "release".to_owned(), pool: Some(pool), ..Default::default() };
        self.act(&command).await
    }

    async fn environment(&self) -> Result<rest::Environment> {
        self.until("production", async |story: &Self| {
            let path = format!("/projects/{PROJECT}/environments");
            let all: Vec<rest::Environment> = story.client.get(&path).await?;
            Ok(all.into_iter().find(|environment| environment.name == PRODUCTION))
        })
        .await
    }

    async fn mark(&self, commit: &str) -> Result<Option<String>> {
        let path = format!("/projects/{PROJECT}/repository/commits/{commit}");
        let commit: rest::Commit = self.client.get(&path).await?;
        Ok(commit.mark)
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Result<Option<T>>) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if begun.elapsed() > ACT_LIMIT {
                bail!("{what} did not come within {} s", ACT_LIMIT.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn begin(&self, chapter: Chapter) {
        if let Some(load) = &self.load {
            load.begin(chapter);
        }
    }

    fn chapter(&self, number: &str, title: &str) {
        terminal::note(&format!("\n{} {}", styled(BOLD, &format!("{number}.")), styled(BOLD, title)));
    }

    fn say(&self, text: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        terminal::note(&format!("{} {text}", styled(DIM, &format!("{seconds:6.1} s"))));
    }
}

fn serving(environment: &rest::Environment) -> bool {
    environment.nodes.iter().all(|node| node.state == "healthy" && node.traffic == "serving")
}

fn request_path(iid: i64) -> String {
    format!("/projects/{PROJECT}/merge_requests/{iid}")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
