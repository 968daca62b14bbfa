//! What a container used, read once: from the kernel where it runs on this machine, else from its engine.

use super::Engine;
use crate::Usage;
use bollard::models::{ContainerBlkioStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;

/// Reads a container's counters; `None` where it does not run.
pub(super) async fn read(engine: &Engine, id: &str) -> Option<Usage> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let stats = Box::pin(engine.api().stats(id, Some(options))).next().await?.ok()?;
    Some(usage(&stats))
}

fn usage(stats: &ContainerStatsResponse) -> Usage {
    let cpu = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage).unwrap_or(0);
    let (memory_bytes, memory_private_bytes) = stats.memory_stats.as_ref().map_or((0, 0), memory);
    let (disk_read_bytes, disk_write_bytes) = stats.blkio_stats.as_ref().map_or((0, 0), disk);
    Usage {
        cpu_us: cpu / 1000,
        memory_bytes,
        memory_private_bytes,
        disk_read_bytes,
        disk_write_bytes,
        ..Usage::default()
    }
}

/// All memory, and the part without files' pages.
///
/// Source: kernel documentation, "Memory Resource Controller" (`total_rss`, `total_cache`) and "Control Group v2"
/// (`anon`, `shmem`) of `memory.stat`.
fn memory(memory: &ContainerMemoryStats) -> (u64, u64) {
    let usage = memory.usage.unwrap_or(0);
    let stat = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name).copied());
    let private = match (stat("anon"), stat("total_rss")) {
        (Some(anonymous), _) => anonymous + stat("shmem").unwrap_or(0),
        (None, Some(anonymous)) => anonymous + stat("total_shmem").unwrap_or(0),
        (None, None) => usage,
    };
    (usage, private)
}

fn disk(disk: &ContainerBlkioStats) -> (u64, u64) {
    let entries = disk.io_service_bytes_recursive.iter().flatten();
    entries.fold((0, 0), |(read, written), entry| {
        let value = entry.value.unwrap_or(0);
        match entry.op.as_deref() {
            Some(op) if op.eq_ignore_ascii_case("read") => (read + value, written),
            Some(op) if op.eq_ignore_ascii_case("write") => (read, written + value),
            _ => (read, written),
        }
    })
}
