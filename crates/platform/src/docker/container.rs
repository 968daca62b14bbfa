//! Containers: made of a specification, found again by their labels, stopped.

use super::{Engine, Policy, secret, volume};
use crate::layout::{read_record, write_record};
use crate::{Container, Error, NodeKey, NodeSpec};
use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerCreateBody, EventMessage, HostConfig, HostConfigLogConfig, NetworkConnectRequest, PortBinding,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serin_model::NodeName;
use serin_model::service::{Health, LogFormat, Probe, Restart};
use std::collections::HashMap;
use std::path::Path;

/// Processes and threads of one node.
const PIDS_MAX: i64 = 4096;
/// Port of a service that names none.
pub(super) const PORT_DEFAULT: u16 = 8080;
/// What the engine keeps of a node's log: size of a file, and files.
const LOG_FILE_SIZE: &str = "4m";
const LOG_FILES: &str = "2";
const INSTANCE: &str = "serin.instance";
const NODE: &str = "serin.node";
const SPEC: &str = "serin.spec";

/// A container as its labels tell.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) key: NodeKey,
    pub(super) generation: u64,
    pub(super) digest: String,
    pub(super) port: u16,
    pub(super) health: Health,
    pub(super) logs: LogFormat,
    pub(super) restart: Restart,
    pub(super) stop_timeout_ms: i64,
}

/// What a container's label keeps of a specification.
#[derive(Serialize, Deserialize)]
struct Label {
    generation: u64,
    digest: String,
    port: u16,
    #[serde(default)]
    probe: Probe,
    health_path: String,
    health_timeout_ms: i64,
    health_interval_ms: i64,
    logs: String,
    #[serde(default)]
    restart: Restart,
    stop_timeout_ms: i64,
}

/// Whose container it is.
pub(super) struct Place<'a> {
    pub(super) engine: &'a Engine,
    pub(super) instance: &'a str,
    pub(super) key: &'a NodeKey,
}

impl Place<'_> {
    /// Labels of what belongs to a node and is no container.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(INSTANCE.to_owned(), self.instance.to_owned()), (NODE.to_owned(), self.key.to_string())])
    }
}

#[derive(Serialize, Deserialize)]
struct Instance {
    id: String,
}

/// The name of the platform whose folder that is; made up where it has none.
pub(super) fn instance(dir: &Path) -> Result<String, Error> {
    let path = dir.join("docker.json");
    if let Some(Instance { id }) = read_record(&path)? {
        return Ok(id);
    }
    let source = "/proc/sys/kernel/random/uuid";
    let id = std::fs::read_to_string(source).map_err(Error::io("read", source))?;
    let id = id.trim().chars().filter(char::is_ascii_hexdigit).take(12).collect();
    write_record(&path, &Instance { id })?;
    read_record::<Instance>(&path)?.map(|kept| kept.id).ok_or(Error::Runtime)
}

/// Refuses what no container can run.
pub(super) fn check(spec: &NodeSpec, policy: &Policy) -> Result<(), Error> {
    let wrong = |reason: &str| Err(Error::Spec { key: spec.key.clone(), reason: reason.to_owned() });
    policy
        .check(&spec.container.volumes, &spec.container.networks)
        .map_err(|reason| Error::Spec { key: spec.key.clone(), reason })?;
    match &spec.image {
        None => return wrong("it has no image; give `service.image` with a Dockerfile in `serin.yml`"),
        Some(image) if image.is_empty() || image.starts_with('-') || image.contains(char::is_whitespace) => {
            return wrong("its image's name is none");
        }
        Some(_) => {}
    }
    crate::layout::check_secrets(spec)?;
    if spec.variables.iter().any(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0')) {
        return wrong("a variable's name holds `=` or is empty, or one holds a zero byte");
    }
    Ok(())
}

/// The containers of an instance, or those of one of its nodes.
pub(super) async fn list(engine: &Engine, instance: &str, key: Option<&NodeKey>) -> Result<Vec<Found>, Error> {
    let mut labels = vec![format!("{INSTANCE}={instance}")];
    labels.extend(key.map(|key| format!("{NODE}={key}")));
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let all = engine.api().list_containers(Some(options)).await.map_err(Error::docker("list containers"))?;
    Ok(all.into_iter().filter_map(|one| found(one.id?, &one.labels?)).collect())
}

fn found(id: String, labels: &HashMap<String, String>) -> Option<Found> {
    let (environment, node) = labels.get(NODE)?.split_once('/')?;
    let label: Label = serde_json::from_str(labels.get(SPEC)?).ok()?;
    Some(Found {
        id,
        key: NodeKey { environment: environment.to_owned(), node: NodeName(node.to_owned()) },
        generation: label.generation,
        digest: label.digest,
        port: label.port,
        health: Health {
            probe: label.probe,
            path: label.health_path,
            timeout_ms: label.health_timeout_ms,
            interval_ms: label.health_interval_ms,
        },
        logs: match label.logs.as_str() {
            "json" => LogFormat::Json,
            "logfmt" => LogFormat::Logfmt,
            _ => LogFormat::Text,
        },
        restart: label.restart,
        stop_timeout_ms: label.stop_timeout_ms,
    })
}

fn labels(instance: &str, spec: &NodeSpec, port: u16) -> Result<HashMap<String, String>, Error> {
    let logs = match spec.logs {
        LogFormat::Json => "json",
        LogFormat::Logfmt => "logfmt",
        LogFormat::Text => "text",
    };
    let label = Label {
        generation: spec.generation,
        digest: spec.digest.0.clone(),
        port,
        probe: spec.health.probe.clone(),
        health_path: spec.health.path.clone(),
        health_timeout_ms: spec.health.timeout_ms,
        health_interval_ms: spec.health.interval_ms,
        logs: logs.to_owned(),
        restart: spec.container.restart,
        stop_timeout_ms: spec.stop_timeout_ms,
    };
    let text = serde_json::to_string(&label)
        .map_err(|error| Error::Spec { key: spec.key.clone(), reason: error.to_string() })?;
    Ok(HashMap::from([
        (INSTANCE.to_owned(), instance.to_owned()),
        (NODE.to_owned(), spec.key.to_string()),
        (SPEC.to_owned(), text),
    ]))
}

/// Makes and starts a node's container.
pub(super) async fn start(engine: &Engine, instance: &str, spec: &NodeSpec) -> Result<Found, Error> {
    let port = spec.port.unwrap_or(PORT_DEFAULT);
    let labels = labels(instance, spec, port)?;
    let place = Place { engine, instance, key: &spec.key };
    let mounts = volume::mounts(&place, &spec.container.volumes).await?;
    let exposed = engine.published_at().map(|_| vec![port_name(port)]);
    let body = ContainerCreateBody {
        image: spec.image.clone(),
        cmd: Some(spec.command.clone()).filter(|command| !command.is_empty()),
        env: Some(environment(spec, port)),
        exposed_ports: exposed,
        labels: Some(labels.clone()),
        hostname: Some(spec.key.node.as_str().to_owned()),
        stop_timeout: Some(seconds(spec.stop_timeout_ms).into()),
        host_config: Some(HostConfig { mounts: Some(mounts), ..host_config(engine, &spec.container, port) }),
        ..ContainerCreateBody::default()
    };
    let name = format!("serin-{instance}-{}-{}-{}", spec.key.environment, spec.key.node.as_str(), spec.generation);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let made = engine.api().create_container(Some(options), body).await;
    let id = made.map_err(Error::docker("create the node's container"))?.id;
    if let Err(error) = furnish(engine, &id, spec).await {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        if let Err(error) = engine.api().remove_container(&id, Some(options)).await {
            tracing::warn!(node = %spec.key, %error, "a container that did not start is left over");
        }
        return Err(error);
    }
    found(id, &labels).ok_or(Error::Unknown { key: spec.key.clone() })
}

/// Gives a fresh container what it may not start without, and starts it.
async fn furnish(engine: &Engine, id: &str, spec: &NodeSpec) -> Result<(), Error> {
    secret::put(engine, id, &spec.secrets).await?;
    for network in spec.container.networks.iter().skip(1) {
        let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: None };
        engine.api().connect_network(network, request).await.map_err(Error::docker("join a network"))?;
    }
    let started = engine.api().start_container(id, None::<StartContainerOptions>).await;
    started.map_err(Error::docker("start the node's container"))
}

fn environment(spec: &NodeSpec, port: u16) -> Vec<String> {
    let mut environment: Vec<String> = spec.variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
    environment.push(format!("PORT={port}"));
    if !spec.secrets.is_empty() {
        environment.push(format!("SERIN_SECRETS=/{}", secret::FOLDER));
    }
    environment
}

/// A port as the engine names it.
pub(super) fn port_name(port: u16) -> String {
    format!("{port}/tcp")
}

fn host_config(engine: &Engine, container: &Container, port: u16) -> HostConfig {
    let limits = &container.limits;
    let memory = limits.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let published = engine.published_at().map(|address| {
        let binding = PortBinding { host_ip: Some(address.to_string()), host_port: Some(String::new()) };
        HashMap::from([(port_name(port), Some(vec![binding]))])
    });
    HostConfig {
        restart_policy: Some(RestartPolicy {
            name: Some(match container.restart {
                Restart::Always => RestartPolicyNameEnum::UNLESS_STOPPED,
                Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
                Restart::Never => RestartPolicyNameEnum::NO,
            }),
            maximum_retry_count: None,
        }),
        memory,
        // No swap beyond it.
        memory_swap: memory,
        nano_cpus: limits.cpu_milli.map(|milli| i64::from(milli) * 1_000_000),
        network_mode: container.networks.first().cloned(),
        port_bindings: published,
        pids_limit: Some(limits.pids.map_or(PIDS_MAX, i64::from)),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_FILE_SIZE.to_owned()),
                ("max-file".to_owned(), LOG_FILES.to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

/// Stops and removes a container; one that is gone is no error.
pub(super) async fn stop(engine: &Engine, found: &Found) -> Result<(), Error> {
    halt(engine, found).await?;
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    gone_is_fine(engine.api().remove_container(&found.id, Some(options)).await)
        .map_err(Error::docker("remove a container"))
}

/// Stops a container and leaves it there, with its log.
pub(super) async fn halt(engine: &Engine, found: &Found) -> Result<(), Error> {
    let options = StopContainerOptionsBuilder::default().t(seconds(found.stop_timeout_ms)).build();
    gone_is_fine(engine.api().stop_container(&found.id, Some(options)).await).map_err(Error::docker("stop a container"))
}

/// The engine counts in whole seconds.
fn seconds(ms: i64) -> i32 {
    i32::try_from(ms.max(0).div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0)).unwrap_or(i32::MAX)
}

fn gone_is_fine(result: Result<(), DockerError>) -> Result<(), DockerError> {
    match result {
        // 304: it is stopped; 404: it is gone; 409: its removal is under way.
        Err(DockerError::DockerResponseServerError { status_code: 304 | 404 | 409, .. }) => Ok(()),
        other => other,
    }
}

/// What happens to the containers of an instance.
pub(super) fn events(engine: &Engine, instance: &str) -> impl Stream<Item = Result<EventMessage, DockerError>> + use<> {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{INSTANCE}={instance}")]),
    ]);
    engine.api().events(Some(EventsOptionsBuilder::default().filters(&filters).build()))
}
