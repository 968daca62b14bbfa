//! The services of a job: containers beside it, that it reaches by name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use serin_image::{ImageName, name};
use serin_model::plan;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::container::{Log, Plan};
use super::engine::{Image, words};
use super::{Room, Trouble, until};
use crate::environment::Environment;
use crate::process::Stop;
use crate::trace::Trace;

/// Time that a service has until it takes connections.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Time that a connection has.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Lines of a service's log that are shown where it does not start.
const LINES_SHOWN: &str = "30";
/// Bytes of them.
const SHOWN_BYTES_MAX: usize = 16 << 10;
/// The variable that says which port to wait for (GitLab: "How GitLab CI/CD variables are passed to services").
const PORT_VARIABLE: &str = "HEALTHCHECK_TCP_PORT";

type Wanted = ((Image, Option<String>), plan::Image);

/// A service that runs.
struct Started {
    id: String,
    names: String,
    image: Image,
    port: Option<u16>,
}

/// Starts the services, and waits until they are ready; one that is not is a warning, as the job may not need it.
pub(super) async fn start(
    room: &Room,
    (services, network): (Vec<Wanted>, &str),
    environment: &Environment,
    (stop, trace): (&Stop<'_>, &mut Trace<'_>),
) -> Result<(), Trouble> {
    let mut started = Vec::new();
    for service in services {
        started.push(until(stop, start_one(room, service, network, environment)).await?.map_err(Trouble::Failed)?);
    }
    if started.is_empty() {
        return Ok(());
    }
    let seconds = PATIENCE.as_secs();
    trace.line(&format!("Waiting for services to be up and running (timeout {seconds} seconds)...")).await;
    let waits = started.iter().map(|service| wait(room, service));
    let results = until(stop, futures_util::future::join_all(waits)).await?;
    for (service, result) in started.iter().zip(results) {
        match result {
            Ok(how) => trace.line(&format!("Service {} is ready: {how}", service.names)).await,
            Err(reason) => tell(room, service, &reason, trace).await,
        }
    }
    Ok(())
}

async fn start_one(
    room: &Room,
    ((image, user), wish): Wanted,
    network: &str,
    environment: &Environment,
) -> Result<Started, String> {
    let name = environment.expand(&wish.name);
    let written = wish.aliases.iter().map(|alias| environment.expand(alias)).collect::<Vec<_>>();
    if let Some(bad) = written.iter().find(|alias| !name::is_alias(alias)) {
        let shown: String = bad.chars().take(100).collect();
        return Err(format!("`{shown}` is no host name for service `{name}`"));
    }
    let mut aliases = ImageName::parse(&name)?.aliases();
    aliases.extend(written);
    let variables = variables(&wish, environment);
    let port = variables.get(PORT_VARIABLE).and_then(|port| port.parse().ok());
    let plan = Plan {
        image: image.id.clone(),
        entrypoint: wish.entrypoint.clone(),
        command: wish.command.clone(),
        environment: variables.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
        user,
        folder: None,
        shared: Vec::new(),
        log: Log::Tail,
        network: Some((network.to_owned(), aliases.clone())),
        labels: room.labels(),
    };
    let id = room.start(plan).await.map_err(|reason| format!("service `{name}` cannot be started: {reason}"))?;
    let port = port.or_else(|| lowest_port(&image.ports));
    Ok(Started { id, names: aliases.join(", "), image, port })
}

/// The job's variables that are no secrets, and the service's own.
fn variables(wish: &plan::Image, environment: &Environment) -> HashMap<String, String> {
    let possible = |key: &str| !key.is_empty() && !key.contains(['=', '\0']);
    let of_job = environment.variables().iter().filter(|variable| !variable.masked && !variable.file);
    let of_job = of_job.map(|variable| (variable.key.clone(), variable.value.clone()));
    let own = wish.variables.iter().map(|variable| {
        let value = if variable.raw { variable.value.clone() } else { environment.expand(&variable.value) };
        (variable.key.clone(), value)
    });
    of_job.chain(own).filter(|(key, value)| possible(key) && !value.contains('\0')).collect()
}

/// The lowest of ports such as `5432/tcp`.
fn lowest_port(ports: &[String]) -> Option<u16> {
    let number = |port: &String| port.strip_suffix("/tcp").unwrap_or(port).parse().ok();
    ports.iter().filter_map(number).min()
}

/// Waits until a service takes connections or calls itself healthy, and tells which.
async fn wait(room: &Room, service: &Started) -> Result<String, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = room.engine.api().inspect_container(&service.id, None).await;
        let found = found.map_err(|error| words(&error))?;
        let state = found.state.clone().unwrap_or_default();
        if state.running != Some(true) {
            return Err(format!("it ended with exit code {}", state.exit_code.unwrap_or_default()));
        }
        let health = state.health.and_then(|health| health.status);
        match (service.image.has_health_check, service.port) {
            (true, _) if health == Some(HealthStatusEnum::HEALTHY) => return Ok("it is healthy".to_owned()),
            (true, _) if health == Some(HealthStatusEnum::UNHEALTHY) => return Err("it is unhealthy".to_owned()),
            (true, _) => {}
            (false, Some(port)) if accepts(&found, port).await => return Ok(format!("port {port} accepts")),
            (false, Some(_)) => {}
            (false, None) => return Ok("it runs, and has neither port nor health check".to_owned()),
        }
        if Instant::now() > deadline {
            let what = service.port.map_or_else(|| "healthy".to_owned(), |port| format!("on port {port}"));
            return Err(format!("it was not ready ({what}) within {} seconds", PATIENCE.as_secs()));
        }
        sleep(LOOK).await;
    }
}

async fn accepts(found: &ContainerInspectResponse, port: u16) -> bool {
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let addresses = networks.into_iter().flat_map(HashMap::values).filter_map(|network| network.ip_address.as_ref());
    for address in addresses.filter_map(|address| address.parse::<IpAddr>().ok()) {
        if matches!(timeout(CONNECT_PATIENCE, TcpStream::connect((address, port))).await, Ok(Ok(_))) {
            return true;
        }
    }
    false
}

/// Warns that a service is not ready, and shows the last of its log.
async fn tell(room: &Room, service: &Started, reason: &str, trace: &mut Trace<'_>) {
    trace.warning(&format!("service {} probably did not start properly: {reason}", service.names)).await;
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(LINES_SHOWN).build();
    let mut lines = Box::pin(room.engine.api().logs(&service.id, Some(options)));
    let mut text = Vec::new();
    while let Some(Ok(piece)) = lines.next().await {
        text.extend_from_slice(&piece.into_bytes());
        if text.len() > SHOWN_BYTES_MAX {
            text.drain(..text.len() - SHOWN_BYTES_MAX);
        }
    }
    for line in String::from_utf8_lossy(&text).lines() {
        trace.line(&format!("  {line}")).await;
    }
}

#[cfg(test)]
mod tests {
    use super::lowest_port;

    #[test]
    fn the_lowest_tcp_port_counts() {
        let ports = ["9000/tcp", "53/udp", "5432/tcp"].map(str::to_owned);
        assert_eq!(lowest_port(&ports), Some(5432));
        assert_eq!(lowest_port(&[]), None);
    }
}
