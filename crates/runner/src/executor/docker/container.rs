//! The containers of a job: confined, limited, and without anything of this machine but the job's own folders.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType, NetworkingConfig,
};

use crate::executor::ContainerLimits;

/// Weight of a job's containers where processors are scarce; 1,024 is everybody else's.
const CPU_SHARES: i64 = 512;
/// Jobs end before anything else where memory is scarce (proc_pid_oom_score_adj(5)).
const OOM_SCORE_ADJUSTMENT: i64 = 500;
/// Capabilities of Docker's default set that no job needs: raw packets, device nodes.
const CAPABILITIES_DROPPED: [&str; 2] = ["NET_RAW", "MKNOD"];
/// What the engine keeps of a service's log.
const SERVICE_LOG_SIZE: &str = "1m";

/// A folder of this machine that a container sees.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    source: String,
    target: String,
    read_only: bool,
}

impl Shared {
    /// A folder that the container may write to.
    pub(super) fn writable(source: &Path, target: &Path) -> Self {
        Self { source: text(source), target: text(target), read_only: false }
    }

    /// A folder that the container may only read.
    pub(super) fn read_only(source: &Path, target: &Path) -> Self {
        Self { read_only: true, ..Self::writable(source, target) }
    }

    fn mount(&self) -> Mount {
        Mount {
            typ: Some(MountType::BIND),
            source: Some(self.source.clone()),
            target: Some(self.target.clone()),
            read_only: Some(self.read_only),
            ..Mount::default()
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What the engine keeps of a container's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// Nothing: it goes to the trace.
    Nothing,
    /// The last of it.
    Tail,
}

/// A container to make.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) image: String,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) command: Option<Vec<String>>,
    pub(super) environment: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) folder: Option<String>,
    pub(super) shared: Vec<Shared>,
    pub(super) log: Log,
    /// The network and the names in it; `None`: no network at all.
    pub(super) network: Option<(String, Vec<String>)>,
    pub(super) labels: HashMap<String, String>,
}

impl Plan {
    /// What the engine is told.
    pub(super) fn body(self, limits: &ContainerLimits) -> ContainerCreateBody {
        let attached = self.log == Log::Nothing;
        let mode = self.network.as_ref().map_or_else(|| "none".to_owned(), |(network, _)| network.clone());
        let networking = self.network.map(|(network, aliases)| {
            let endpoint = EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
            NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) }
        });
        let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
        let host_config = HostConfig {
            privileged: Some(false),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            cap_drop: Some(CAPABILITIES_DROPPED.map(str::to_owned).to_vec()),
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: limits.cpu_milli.map(|milli| i64::from(milli) * 1_000_000),
            pids_limit: Some(limits.pids.into()),
            cpu_shares: Some(CPU_SHARES),
            oom_score_adj: Some(OOM_SCORE_ADJUSTMENT),
            mounts: Some(self.shared.iter().map(Shared::mount).collect()),
            network_mode: Some(mode),
            log_config: Some(self.log.config()),
            ..HostConfig::default()
        };
        ContainerCreateBody {
            image: Some(self.image),
            entrypoint: self.entrypoint,
            cmd: self.command,
            env: Some(self.environment),
            user: self.user,
            working_dir: self.folder,
            labels: Some(self.labels),
            attach_stdin: Some(false),
            attach_stdout: Some(attached),
            attach_stderr: Some(attached),
            host_config: Some(host_config),
            networking_config: networking,
            ..ContainerCreateBody::default()
        }
    }
}

impl Log {
    fn config(self) -> HostConfigLogConfig {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        match self {
            Self::Nothing => HostConfigLogConfig { typ: Some("none".to_owned()), config: None },
            Self::Tail => HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([pair("max-size", SERVICE_LOG_SIZE), pair("max-file", "1")])),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_machine_is_in_a_container_but_the_folders_it_was_given() {
        let shared = vec![Shared::writable(Path::new("/b/p:ro"), Path::new("/builds/project"))];
        let plan = Plan {
            image: "sha256:1".into(),
            entrypoint: None,
            command: None,
            environment: vec!["A=b".into()],
            user: None,
            folder: None,
            shared,
            log: Log::Nothing,
            network: None,
            labels: HashMap::new(),
        };
        let host = plan.body(&ContainerLimits::default()).host_config.unwrap();
        assert_eq!((host.privileged, host.binds, host.volumes_from), (Some(false), None, None));
        assert_eq!((host.cap_add, host.devices, host.pid_mode, host.ipc_mode), (None, None, None, None));
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].source.as_deref(), Some("/b/p:ro"), "a colon is part of a path here");
        assert!(host.memory.unwrap() > 0 && host.memory == host.memory_swap && host.pids_limit.unwrap() > 0);
    }
}
