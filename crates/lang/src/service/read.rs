//! A checked `serin.yml` to its model, with every default filled in.

use serin_model::quality::{Gate, Quarantine, Severity};
use serin_model::service::{
    Branches, Canary, Config, Environment, Health, Image, Limits, LogFormat, Order, Platform, Pool, Probe, Release,
    Restart, Service, Step,
};

use super::values;
use crate::diagnostic::Sink;
use crate::syntax::{Map, Node};

/// Milliseconds that a fresh node has to become healthy.
const HEALTH_TIMEOUT_MS: i64 = 30_000;
/// Milliseconds between two health checks.
const HEALTH_INTERVAL_MS: i64 = 250;
/// Milliseconds from SIGTERM to SIGKILL.
const STOP_TIMEOUT_MS: i64 = 10_000;
/// Milliseconds that requests in flight have.
const DRAIN_TIMEOUT_MS: i64 = 30_000;
/// Milliseconds between two samples of a canary.
const TICK_MS: i64 = 5_000;
/// Milliseconds that a released pool is watched.
const WATCH_MS: i64 = 60_000;
/// Nodes of a canary.
const CANARY_NODES: u32 = 2;
/// Probability that a good change is rolled back.
const FALSE_ALARM: f64 = 0.01;
/// Steps of a canary: 1 %, 5 % and 20 % of the traffic.
const STEPS: [Step; 3] = [
    Step { traffic_ppm: 10_000, for_ms: 5 * 60_000 },
    Step { traffic_ppm: 50_000, for_ms: 10 * 60_000 },
    Step { traffic_ppm: 200_000, for_ms: 15 * 60_000 },
];

/// Reads the whole file.
pub(super) fn config(root: &Node, sink: &mut Sink) -> Config {
    Config {
        service: service(root.get("service"), sink),
        branches: branches(root.get("branches")),
        environments: environments(root.get("environments"), sink),
        canary: canary(root.get("canary"), sink),
        release: release(root.get("release")),
        quality: root.get("quality").map(quality),
    }
}

fn text(node: Option<&Node>, key: &str) -> Option<String> {
    node.and_then(|node| node.get(key)).and_then(Node::scalar_text)
}

fn texts(node: Option<&Node>, key: &str) -> Vec<String> {
    node.and_then(|node| node.get(key)).map(Node::flat_texts).unwrap_or_default()
}

fn ms(node: Option<&Node>, key: &str, default: i64) -> i64 {
    text(node, key).and_then(|text| values::duration_ms(&text)).unwrap_or(default)
}

fn number(node: Option<&Node>, key: &str) -> Option<u32> {
    node.and_then(|node| node.get(key)).and_then(Node::as_int).and_then(|number| u32::try_from(number).ok())
}

fn service(node: Option<&Node>, sink: &mut Sink) -> Service {
    Service {
        name: text(node, "name").unwrap_or_default(),
        build: texts(node, "build"),
        test: texts(node, "test"),
        check: node.and_then(|node| node.get("check")).map(Node::flat_texts),
        reports: reports(node.and_then(|node| node.get("reports"))),
        integration: texts(node, "integration"),
        integration_reports: reports(node.and_then(|node| node.get("integration_reports"))),
        outputs: texts(node, "outputs"),
        image: node.and_then(|node| node.get("image")).map(image),
        command: command(node),
        variables: pairs(node, "variables"),
        secrets: texts(node, "secrets"),
        port: number(node, "port").and_then(|port| u16::try_from(port).ok()),
        limits: limits(node),
        volumes: texts(node, "volumes").iter().filter_map(|text| values::volume(text)).collect(),
        restart: match text(node, "restart").as_deref() {
            Some("on-failure") => Restart::OnFailure,
            Some("never") => Restart::Never,
            _ => Restart::Always,
        },
        health: health(node.and_then(|node| node.get("health")), sink),
        logs: match text(node.and_then(|node| node.get("logs")), "format").as_deref() {
            Some("json") => LogFormat::Json,
            Some("logfmt") => LogFormat::Logfmt,
            _ => LogFormat::Text,
        },
        stop_timeout_ms: ms(node, "stop_timeout", STOP_TIMEOUT_MS),
    }
}

fn health(node: Option<&Node>, sink: &mut Sink) -> Health {
    let key = |name: &str| node.and_then(|node| node.get(name));
    let tcp = key("tcp").and_then(Node::as_bool) == Some(true);
    let program = command(node);
    let asked = [key("path").is_some(), tcp, key("command").is_some()];
    if let Some(node) = node.filter(|_| asked.iter().filter(|is_asked| **is_asked).count() > 1) {
        sink.error(node.span, "`service:health` asks in more than one way")
            .hint("keep one of `path`, `tcp` and `command`");
    }
    Health {
        probe: match (program.is_empty(), tcp) {
            (false, _) => Probe::Command(program),
            (true, true) => Probe::Tcp,
            (true, false) => Probe::Http,
        },
        path: text(node, "path").unwrap_or_else(|| "/healthz".to_owned()),
        timeout_ms: ms(node, "timeout", HEALTH_TIMEOUT_MS),
        interval_ms: ms(node, "interval", HEALTH_INTERVAL_MS).max(1),
    }
}

fn limits(node: Option<&Node>) -> Limits {
    let node = node.and_then(|node| node.get("limits"));
    Limits {
        memory_bytes: text(node, "memory").and_then(|text| values::bytes(&text)),
        cpu_milli: text(node, "cpus").and_then(|text| values::cpu_milli(&text)),
        pids: number(node, "pids"),
    }
}

fn image(node: &Node) -> Image {
    let node = Some(node);
    Image {
        dockerfile: text(node, "dockerfile").unwrap_or_else(|| {
            // The one of the context, as with `docker build`.
            text(node, "context").map_or_else(
                || "Dockerfile".to_owned(),
                |context| format!("{}/Dockerfile", context.trim_end_matches('/')),
            )
        }),
        context: text(node, "context").unwrap_or_else(|| ".".to_owned()),
        target: text(node, "target"),
        platform: text(node, "platform"),
        args: pairs(node, "args"),
        secrets: pairs(node, "secrets"),
        repository: text(node, "repository"),
    }
}

/// A mapping of texts, in file order.
fn pairs(node: Option<&Node>, key: &str) -> Vec<(String, String)> {
    let entries = node.and_then(|node| node.get(key)).and_then(Node::as_map).into_iter().flat_map(Map::iter);
    entries.map(|entry| (entry.key.to_string(), entry.value.scalar_text().unwrap_or_default())).collect()
}

fn reports(node: Option<&Node>) -> Vec<(String, Vec<String>)> {
    let entries = node.and_then(Node::as_map).into_iter().flat_map(Map::iter);
    entries.map(|entry| (entry.key.to_string(), entry.value.flat_texts())).collect()
}

/// A program and its arguments; a text alone is split at blanks.
fn command(node: Option<&Node>) -> Vec<String> {
    match node.and_then(|node| node.get("command")) {
        Some(node) if node.as_text().is_some() => {
            node.as_text().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        }
        Some(node) => node.flat_texts(),
        None => Vec::new(),
    }
}

fn branches(node: Option<&Node>) -> Branches {
    let branch = |key: &str| text(node, key).unwrap_or_else(|| key.to_owned());
    Branches { develop: branch("develop"), master: branch("master") }
}

fn environments(node: Option<&Node>, sink: &mut Sink) -> Vec<Environment> {
    let entries = node.and_then(Node::as_map).into_iter().flat_map(Map::iter);
    let mut environments = Vec::new();
    for entry in entries {
        let value = Some(&entry.value);
        let pools = pools(&entry.key, &entry.value, sink);
        let nodes: u32 = pools.iter().map(|pool| pool.nodes).sum();
        let min_serving = number(value, "min_serving");
        if let (Some(min), Some(node)) = (min_serving, entry.value.get("min_serving"))
            && min > nodes
        {
            sink.error(
                node.span,
                format!("`environments:{}:min_serving` is {min}, more than its {nodes} nodes", entry.key),
            );
        }
        let platform = match text(value, "platform").as_deref() {
            Some("docker") => Platform::Docker,
            Some("kubernetes") => Platform::Kubernetes,
            _ => Platform::Process,
        };
        for key in ["hosts", "networks", "limits"] {
            if let Some(node) = entry.value.get(key).filter(|_| platform == Platform::Process) {
                sink.error(node.span, format!("`environments:{}:{key}` is for containers", entry.key))
                    .hint("add `platform: docker`, or leave it out");
            }
        }
        environments.push(Environment {
            name: entry.key.to_string(),
            platform,
            pools,
            listen: text(value, "listen"),
            min_serving,
            drain_timeout_ms: ms(value, "drain_timeout", DRAIN_TIMEOUT_MS),
            hosts: texts(value, "hosts"),
            networks: texts(value, "networks"),
            limits: limits(value),
            variables: pairs(value, "variables"),
        });
    }
    environments
}

fn pools(name: &str, node: &Node, sink: &mut Sink) -> Vec<Pool> {
    if let (Some(nodes), Some(_)) = (node.get("nodes"), node.get("pools")) {
        sink.error(nodes.span, format!("`environments:{name}` has both `nodes` and `pools`"))
            .hint("keep `pools`; `nodes: N` is short for one pool");
    }
    let Some(pools) = node.get("pools").and_then(Node::as_map) else {
        return vec![Pool { name: "default".to_owned(), nodes: number(Some(node), "nodes").unwrap_or(1) }];
    };
    if pools.is_empty() {
        sink.error(node.span, format!("`environments:{name}:pools` is empty"));
    }
    pools
        .iter()
        .map(|entry| Pool { name: entry.key.to_string(), nodes: number(Some(&entry.value), "nodes").unwrap_or(1) })
        .collect()
}

fn canary(node: Option<&Node>, sink: &mut Sink) -> Canary {
    let listed = node.and_then(|node| node.get("steps")).and_then(Node::as_list);
    let mut steps: Vec<Step> = Vec::new();
    for item in listed.unwrap_or_default() {
        let share = text(Some(item), "traffic").and_then(|text| values::share(&text)).unwrap_or(0.0);
        let step = Step { traffic_ppm: (share * 1e6).round() as u32, for_ms: ms(Some(item), "for", 0) };
        if let Some(last) = steps.last().filter(|last| step.traffic_ppm < last.traffic_ppm) {
            let percent = f64::from(last.traffic_ppm) / 1e4;
            sink.error(item.span, format!("`canary:steps` must ascend, and the step before has {percent} %"));
        }
        if step.traffic_ppm == 0 {
            sink.error(item.span, "`canary:steps` holds a step without traffic");
        }
        steps.push(step);
    }
    let tolerate = node.and_then(|node| node.get("tolerate")).and_then(Node::as_map).into_iter().flat_map(Map::iter);
    Canary {
        nodes: number(node, "nodes").unwrap_or(CANARY_NODES),
        steps: if listed.is_some() { steps } else { STEPS.to_vec() },
        false_alarm: text(node, "false_alarm").and_then(|text| values::share(&text)).unwrap_or(FALSE_ALARM),
        tick_ms: ms(node, "tick", TICK_MS).max(1),
        tolerate: tolerate
            .filter_map(|entry| Some((entry.key.to_string(), values::tolerance(entry.value.as_text()?)?)))
            .collect(),
    }
}

fn release(node: Option<&Node>) -> Release {
    Release {
        order: match text(node, "order").as_deref() {
            Some("automatic") => Order::Automatic,
            _ => Order::Manual,
        },
        watch_ms: ms(node, "watch", WATCH_MS),
        approvals: number(node, "approvals").unwrap_or(0),
        approvers: texts(node, "approvers"),
        freeze: texts(node, "freeze"),
    }
}

fn quality(node: &Node) -> Gate {
    let findings = node.get("new_findings");
    let allowed = |severity: Severity| Some((severity, number(findings, severity.as_str())?));
    Gate {
        blocks: node.get("block").and_then(Node::as_bool).unwrap_or(true),
        new_findings: Severity::ALL.into_iter().filter_map(allowed).collect(),
        coverage_on_changed_lines: text(Some(node), "coverage_on_changed_lines").and_then(|text| values::share(&text)),
        failing_tests: number(Some(node), "failing_tests"),
        duplicated_lines: text(Some(node), "duplicated_lines").and_then(|text| values::share(&text)),
        reports: texts(Some(node), "reports"),
        quarantine: node.get("quarantine").and_then(Node::as_list).unwrap_or_default().iter().map(held).collect(),
    }
}

fn held(node: &Node) -> Quarantine {
    let of = |key: &str| text(Some(node), key).unwrap_or_default();
    Quarantine { test: of("test"), owner: of("owner"), until: of("until"), reason: of("reason") }
}
