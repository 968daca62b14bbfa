//! `/metrics`: figures of the server itself, for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serin_store::{pipeline as pipelines, project as projects};

use crate::App;
use crate::error::{Error, Kind, Result};

/// The figures of this moment, in OpenMetrics' text form.
///
/// # Errors
/// Where the database fails.
pub async fn render(app: &App) -> Result<String> {
    let mut db = app.store.read().await?;
    let projects = projects::project_list(&mut db).await?.len();
    let unfinished = pipelines::pipeline_unfinished(&mut db).await?.len();
    drop(db);
    let mut registry = Registry::with_prefix("serin");
    let figures = [
        ("projects", "Projects", projects),
        ("pipelines_unfinished", "Pipelines that are not finished", unfinished),
        ("jobs_waiting", "Jobs that wait for a runner", app.queue.len()),
        ("jobs_running", "Jobs that this server carries out", app.holders.len()),
    ];
    for (name, help, value) in figures {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value as f64);
        registry.register(name, help, gauge);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Error::new(Kind::Internal, format!("metrics: {error}")))?;
    Ok(text)
}
