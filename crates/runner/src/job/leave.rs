//! What comes after the script: caches, artifacts, reports.

use serin_model::plan::{Artifacts, ArtifactsWhen};

use super::{Halt, Job, blocking};
use crate::{cache, collect};

impl Job<'_> {
    /// Collects what the job leaves behind; what cannot be collected fails a job that went well so far.
    pub(super) async fn leave(&mut self, result: &mut Result<(), Halt>) {
        if matches!(result, Err(Halt::System(_))) {
            return;
        }
        self.save_caches(result).await;
        let Some(artifacts) = self.request.script.artifacts.clone() else { return };
        let title = match result {
            Ok(()) => ("upload_artifacts_on_success", "Uploading artifacts for successful job"),
            Err(_) => ("upload_artifacts_on_failure", "Uploading artifacts for failed job"),
        };
        self.trace.section(title.0, title.1).await;
        let archived = if due(artifacts.when, result) { self.archive(&artifacts).await } else { Ok(()) };
        let reported = self.reports(&artifacts).await;
        self.trace.section_end(title.0).await;
        if let (Ok(()), Err(message)) = (&*result, archived.and(reported)) {
            *result = Err(Halt::System(message));
        }
    }

    async fn save_caches(&mut self, result: &Result<(), Halt>) {
        let Some(folder) = self.request.caches_dir.clone() else { return };
        let caches = self.request.script.caches.clone();
        if caches.is_empty() {
            return;
        }
        self.trace.section("archive_cache", "Saving cache").await;
        for cache in caches {
            // What is wrong with it was said when it was restored.
            let resolved = cache::resolve(&cache, &self.workspace.project, |text| self.environment.expand(text));
            let Ok(resolved) = resolved else { continue };
            if !resolved.policy.pushes() || !due(resolved.when, result) {
                continue;
            }
            self.trace.line(&format!("Creating cache {}...", resolved.key)).await;
            let wanted = self.wanted(&cache.paths, &[], cache.untracked).await;
            let (folder, project) = (folder.clone(), self.workspace.project.clone());
            let saved = blocking(move || {
                let mut warnings = Vec::new();
                let (selection, _) = wanted.selection(&mut warnings);
                (cache::save(&folder, &resolved.key, &project, &selection), warnings)
            });
            match saved.await {
                Ok((saved, warnings)) => {
                    self.warn(&warnings).await;
                    match saved {
                        Ok(entries) => self.trace.line(&format!("Created cache: {entries} files and folders")).await,
                        Err(message) => self.trace.warning(&format!("no cache was saved: {message}")).await,
                    }
                }
                Err(message) => self.trace.warning(&message).await,
            }
        }
        self.trace.section_end("archive_cache").await;
    }

    async fn archive(&mut self, artifacts: &Artifacts) -> Result<(), String> {
        if artifacts.paths.is_empty() && !artifacts.untracked {
            return Ok(());
        }
        self.trace.line("Uploading artifacts...").await;
        let wanted = self.wanted(&artifacts.paths, &artifacts.exclude, artifacts.untracked).await;
        let archive = self.workspace.results().join("artifacts.zip");
        let (project, target) = (self.workspace.project.clone(), archive.clone());
        let (packed, warnings) = blocking(move || {
            let mut warnings = Vec::new();
            (collect::pack(&project, &wanted, &target, &mut warnings), warnings)
        })
        .await?;
        self.warn(&warnings).await;
        match packed.map_err(|error| format!("the artifacts could not be packed: {error}"))? {
            Some(packed) => {
                let words = format!("Packed {} files and folders, {} bytes", packed.entries, packed.bytes);
                self.trace.line(&words).await;
                self.report.artifacts = Some(archive);
            }
            None => self.trace.warning("no files to upload").await,
        }
        Ok(())
    }

    async fn reports(&mut self, artifacts: &Artifacts) -> Result<(), String> {
        for (kind, paths) in &artifacts.reports {
            self.trace.line(&format!("Uploading {kind} report...")).await;
            let wanted = self.wanted(paths, &artifacts.exclude, false).await;
            let (project, results, name) = (self.workspace.project.clone(), self.workspace.results(), kind.clone());
            if kind == "dotenv" {
                let variables = blocking(move || collect::dotenv(&project, &wanted, &results)).await??;
                self.report.dotenv = variables;
                continue;
            }
            let collected = blocking(move || collect::report(&project, &name, &wanted, &results)).await?;
            let (report, warnings) = collected.map_err(|error| format!("report `{kind}`: {error}"))?;
            self.warn(&warnings).await;
            self.report.reports.extend(report);
        }
        Ok(())
    }

    async fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            self.trace.warning(warning).await;
        }
    }
}

/// Whether something is kept after this result; what was cancelled keeps only what is always kept.
fn due(when: ArtifactsWhen, result: &Result<(), Halt>) -> bool {
    match when {
        ArtifactsWhen::Always => true,
        ArtifactsWhen::OnSuccess => result.is_ok(),
        ArtifactsWhen::OnFailure => !matches!(result, Ok(()) | Err(Halt::Canceled)),
    }
}
