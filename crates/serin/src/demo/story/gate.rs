//! The chapter of the quality gate: a change that its tests let through is refused with a sentence, mended, merged.

use anyhow::{Context, Result, bail};
use serin_wire::{quality, rest};

use super::{PROJECT, Story, now_ms, request_path};
use crate::demo::shop;
use crate::terminal::{RED, styled};

/// The branch of the change.
const BRANCH: &str = "delivery-days";

impl Story<'_> {
    /// Proposes the good change as its author first wrote it, with a fault that only the code check sees; then mended.
    /// Tells when the mended one was pushed.
    pub(super) async fn refused_then_mended(&mut self) -> Result<i64> {
        let careless = super::Change { branch: BRANCH, patch: shop::CARELESS, title: "Show the days until delivery" };
        let pushed_at = now_ms();
        let (request, started) = self.open(&careless).await?;
        self.report.push_to_first_job_ms = started - pushed_at;
        self.refused(&request).await?;
        self.tree.mend(shop::MENDED, "Say the longer time for heavy goods, and test it").await?;
        let pushed_at = now_ms();
        self.tree.git(&["push", "--quiet", "origin", BRANCH]).await?;
        self.say(&format!("git push origin {BRANCH}, with the finding mended"));
        let head = self.tree.git(&["rev-parse", "HEAD"]).await?;
        let known = request.head_pipeline.as_ref().map(|pipeline| pipeline.id);
        let pipeline = self
            .until("the pipeline of the mended change", async |story: &Self| {
                let found: rest::MergeRequest = story.client.get(&request_path(request.iid)).await?;
                let is_new = |pipeline: &rest::Pipeline| Some(pipeline.id) != known && found.sha == head.trim();
                Ok(found.head_pipeline.filter(is_new))
            })
            .await?;
        self.wait_for_pipeline(&pipeline).await?;
        let mended = self.quality(request.iid).await?.judgement.unwrap_or_default();
        self.wait_merged(request.iid).await?;
        self.report.check("mended, it passes the gate and is merged", mended.status == "passed");
        Ok(pushed_at)
    }

    async fn refused(&mut self, request: &rest::MergeRequest) -> Result<()> {
        let judgement = self.quality(request.iid).await?.judgement.context("the gate was not judged")?;
        let open = judgement.conditions.iter().find(|condition| condition.verdict == "failed");
        if let Some(open) = open {
            self.say(&format!("  {} {}", styled(RED, "✗"), open.english));
            self.report.refused_by_gate = open.english.clone();
            self.report.refused_by_gate_zh = open.chinese.clone();
        }
        let path = format!("{}/merge", request_path(request.iid));
        let answer = self.client.put::<rest::MergeRequest>(&path, &rest::Accept::default()).await;
        let refusal = answer.err().map(|error| error.to_string()).unwrap_or_default();
        let says_why =
            open.is_some_and(|open| refusal.contains(&open.english) && open.english.contains("catalogue.rs"));
        let tests_passed = request.head_pipeline.as_ref().map(|pipeline| pipeline.id);
        let tests_passed = match tests_passed {
            Some(id) => self.client.get::<rest::Pipeline>(&format!("/projects/{PROJECT}/pipelines/{id}")).await?,
            None => bail!("no pipeline ran"),
        };
        self.say(&format!("!{} is not merged, although its tests pass", request.iid));
        let held = says_why && tests_passed.status == "success";
        self.report.check("a fault that the tests let through is refused by the gate, with the reason", held);
        Ok(())
    }

    async fn quality(&self, iid: i64) -> Result<quality::Quality> {
        self.client.get(&format!("{}/quality", request_path(iid))).await
    }
}
