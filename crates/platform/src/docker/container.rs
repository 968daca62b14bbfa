//! Containers: made of a specification, found again by their labels, stopped.

use super::Engine;
use crate::layout::{read_record, write_record};
use crate::{Error, NodeKey, NodeSpec};
use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerCreateBody, EventMessage, HostConfig, HostConfigLogConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serin_model::NodeName;
use serin_model::service::{Health, LogFormat};
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
    pub(super) stop_timeout_ms: i64,
}

/// What a container's label keeps of a specification.
#[derive(Serialize, Deserialize)]
struct Label {
    generation: u64,
    digest: String,
    port: u16,
    health_path: String,
    health_timeout_ms: i64,
    health_interval_ms: i64,
    logs: String,
    stop_timeout_ms: i64,
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
pub(super) fn check(spec: &NodeSpec) -> Result<(), Error> {
    let wrong = |reason: &str| Err(Error::Spec { key: spec.key.clone(), reason: reason.to_owned() });
    match &spec.image {
        None => return wrong("it has no image; give `service.image` with a Dockerfile in `serin.yml`"),
        Some(image) if image.is_empty() || image.starts_with('-') || image.contains(char::is_whitespace) => {
            return wrong("its image's name is none");
        }
        Some(_) => {}
    }
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
            path: label.health_path,
            timeout_ms: label.health_timeout_ms,
            interval_ms: label.health_interval_ms,
        },
        logs: match label.logs.as_str() {
            "json" => LogFormat::Json,
            "logfmt" => LogFormat::Logfmt,
            _ => LogFormat::Text,
        },
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
        health_path: spec.health.path.clone(),
        health_timeout_ms: spec.health.timeout_ms,
        health_interval_ms: spec.health.interval_ms,
        logs: logs.to_owned(),
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
    let mut environment: Vec<String> = spec.variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
    environment.push(format!("PORT={port}"));
    let body = ContainerCreateBody {
        image: spec.image.clone(),
        cmd: Some(spec.command.clone()).filter(|command| !command.is_empty()),
        env: Some(environment),
        labels: Some(labels.clone()),
        hostname: Some(spec.key.node.as_str().to_owned()),
        stop_timeout: Some(seconds(spec.stop_timeout_ms).into()),
        host_config: Some(host_config()),
        ..ContainerCreateBody::default()
    };
    let name = format!("serin-{instance}-{}-{}-{}", spec.key.environment, spec.key.node.as_str(), spec.generation);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let made = engine.api().create_container(Some(options), body).await;
    let id = made.map_err(Error::docker("create the node's container"))?.id;
    let started = engine.api().start_container(&id, None::<StartContainerOptions>).await;
    if let Err(error) = started {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        if let Err(error) = engine.api().remove_container(&id, Some(options)).await {
            tracing::warn!(node = %spec.key, %error, "a container that did not start is left over");
        }
        return Err(Error::docker("start the node's container")(error));
    }
    found(id, &labels).ok_or(Error::Unknown { key: spec.key.clone() })
}

fn host_config() -> HostConfig {
    HostConfig {
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        pids_limit: Some(PIDS_MAX),
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
