//! What a node has to run: the release, what `serin.yml` says of service and environment, and the project's secrets.

use serin_model::service::{self, Service};
use serin_model::{Digest, NodeName};
use serin_platform::{Container, NodeKey, NodeSpec, Policy, Secret};
use serin_store::delivery::{self as rows, Environment};
use serin_store::{pipeline as pipelines, project as projects};

use super::state;
use crate::App;
use crate::error::{Error, Result};
use crate::pipeline::create;

/// Rollouts of an environment in which a version is looked for.
const ROLLOUTS_MAX: i64 = 1_000;

/// The order for a node to run a version.
pub(super) async fn of(
    app: &App,
    environment: &Environment,
    (node, digest, generation): (&NodeName, &Digest, u64),
) -> Result<NodeSpec> {
    let (release, service) = super::release(app, environment.project_id, digest).await?;
    let release_dir = app.objects.releases.release_path(&Digest(release.content.clone()));
    let release_dir = release_dir.ok_or_else(|| Error::conflict(format!("the files of release {digest} are gone")))?;
    // What its newest `serin.yml` says of the environment; nothing where it was taken out of it.
    let config = state::config(environment)?;
    let part = state::part(&config, &environment.name).ok();
    let runs_containers = part.is_some_and(|part| part.platform == service::Platform::Docker);
    let secrets = secrets(app, environment, (digest, &service.secrets)).await?;
    Ok(NodeSpec {
        key: NodeKey { environment: state::key(environment), node: node.clone() },
        generation,
        digest: digest.clone(),
        release_dir,
        image: release.image.filter(|_| runs_containers),
        port: service.port,
        variables: variables(&service, part),
        container: part.map(|part| container(&service, part, node)).unwrap_or_default(),
        command: service.command,
        health: service.health,
        logs: service.logs,
        stop_timeout_ms: service.stop_timeout_ms,
        secrets,
    })
}

/// The service's variables, and the environment's in place of those of the same name.
fn variables(service: &Service, part: Option<&service::Environment>) -> Vec<(String, String)> {
    let own = part.map(|part| part.variables.as_slice()).unwrap_or_default();
    let kept = service.variables.iter().filter(|(key, _)| own.iter().all(|(known, _)| known != key));
    kept.chain(own).cloned().collect()
}

fn container(service: &Service, part: &service::Environment, node: &NodeName) -> Container {
    Container {
        host: host(part, node).map(str::to_owned),
        limits: part.limits.over(service.limits),
        volumes: service.volumes.clone(),
        networks: part.networks.clone(),
        restart: service.restart,
    }
}

/// The host of a node: the nodes of each pool go round the hosts, each pool beginning one further.
pub(super) fn host<'a>(part: &'a service::Environment, node: &NodeName) -> Option<&'a str> {
    let (pool, number) = node.as_str().rsplit_once('-')?;
    let offset = part.pools.iter().position(|known| known.name == pool)?;
    let place = number.parse::<usize>().ok()?.checked_sub(1)?.checked_add(offset)?;
    part.hosts.get(place.checked_rem(part.hosts.len())?).map(String::as_str)
}

/// The values of the project's variables that a version's nodes find as files.
///
/// Protected variables go to a version that a pipeline of a protected branch brought to this environment once: what
/// a rollout goes back to keeps its secrets, and a version of another branch gets none.
async fn secrets(
    app: &App,
    environment: &Environment,
    (digest, names): (&Digest, &[String]),
) -> Result<Vec<(String, Secret)>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut db = app.store.read().await?;
    let rollouts = rows::rollout_list(&mut db, environment.id, ROLLOUTS_MAX).await?;
    let project = projects::project_get(&mut db, environment.project_id).await?;
    let project = project.ok_or_else(|| Error::not_found(format!("project {}", environment.project_id)))?;
    let mut of_version = Vec::new();
    for rollout in rollouts.into_iter().filter(|rollout| rollout.digest == digest.0) {
        of_version.extend(pipelines::pipeline_get(&mut db, rollout.pipeline_id).await?);
    }
    drop(db);
    let mut contexts = Vec::new();
    for pipeline in &of_version {
        contexts.push(create::context_of(app, &project, pipeline).await?);
    }
    let context = contexts.iter().find(|context| context.protected).or(contexts.first());
    let known = context.map(|context| serin_lang::variables::of_environment(context, &environment.name));
    let known = known.unwrap_or_default();
    let value = |name: &String| {
        let found = known.iter().find(|variable| variable.key == *name);
        let found = found.ok_or_else(|| missing(name, &environment.name))?;
        Ok((name.clone(), Secret(found.value.clone())))
    };
    names.iter().map(value).collect()
}

fn missing(name: &str, environment: &str) -> Error {
    Error::invalid(format!("`service.secrets` names `{name}`, which the project does not give to `{environment}`"))
        .hint("set it among the project's variables; a protected one is for pipelines of protected branches alone")
}

/// Says before anything moves that an environment cannot run the version as `serin.yml` wants it.
pub(super) async fn check(
    app: &App,
    part: &service::Environment,
    (service, pipeline_id): (&Service, i64),
) -> Result<()> {
    let docker = &app.settings.docker;
    for host in &part.hosts {
        if docker.hosts.iter().all(|known| known.name != *host) {
            let known: Vec<&str> = docker.hosts.iter().map(|known| known.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::invalid(format!("environment `{}` names host `{host}`, which is not known", part.name))
                .hint(format!(
                    "the administrator defines hosts under `[docker.hosts]` in `serin.toml`; there is {known}"
                )));
        }
    }
    allowed(&docker.policy, service, part)?;
    let mut db = app.store.read().await?;
    let pipeline = pipelines::pipeline_get(&mut db, pipeline_id).await?;
    let project = match &pipeline {
        Some(pipeline) => projects::project_get(&mut db, pipeline.project_id).await?,
        None => None,
    };
    drop(db);
    if let Some((pipeline, project)) = pipeline.zip(project) {
        let context = create::context_of(app, &project, &pipeline).await?;
        let known = serin_lang::variables::of_environment(&context, &part.name);
        let unknown = service.secrets.iter().find(|name| known.iter().all(|variable| variable.key != **name));
        return unknown.map_or(Ok(()), |name| Err(missing(name, &part.name)));
    }
    Ok(())
}

fn allowed(policy: &Policy, service: &Service, part: &service::Environment) -> Result<()> {
    let name = &part.name;
    if part.platform != service::Platform::Docker {
        let wanted = [
            (!service.volumes.is_empty(), "volumes"),
            (service.limits != service::Limits::default(), "limits"),
            (service.restart != service::Restart::Always, "restart"),
        ];
        return match wanted.iter().find(|(is_wanted, _)| *is_wanted) {
            Some((_, key)) => {
                Err(Error::invalid(format!("environment `{name}` runs processes, which have no `service.{key}`"))
                    .hint("add `platform: docker` to it, or leave the key out"))
            }
            None => Ok(()),
        };
    }
    policy
        .check(&service.volumes, &part.networks)
        .map_err(|words| Error::invalid(format!("environment `{name}` cannot run this version: {words}")))
}

#[cfg(test)]
mod tests {
    use super::host;
    use serin_model::NodeName;

    #[test]
    fn nodes_go_round_the_hosts() {
        let text = "service: {name: x}\nenvironments: {p: {platform: docker, hosts: [x, y, z], pools: {a: {nodes: 4}, b: {nodes: 2}}}}";
        let config = serin_lang::service::parse(&serin_lang::SourceFile::new("serin.yml", text)).0.unwrap();
        let part = &config.environments[0];
        let of = |name: &str| host(part, &NodeName(name.to_owned()));
        let hosts: Vec<_> = ["a-1", "a-2", "a-3", "a-4", "b-1", "b-2"].map(of).into_iter().flatten().collect();
        assert_eq!(hosts, ["x", "y", "z", "x", "y", "z"]);
        assert_eq!((of("c-1"), of("a-0"), of("a")), (None, None, None));
    }
}
