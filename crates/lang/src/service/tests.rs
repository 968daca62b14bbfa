use serin_model::quality::{Gate, Quarantine, Severity};
use serin_model::service::{Limits, LogFormat, Order, Platform, Probe, Restart, Step, Tolerance, Volume};

use super::parse;
use crate::SourceFile;

const PRODUCT: &str = r#"
service:
  name: shop
  build: [make build]
  test:  [make test]
  integration: [./it.sh]
  outputs: [shop, static/**]
  image: { dockerfile: Dockerfile }
  command: [./shop]
  port: 8080
  health: { path: /healthz, timeout: 30s }
  logs: { format: json }
branches: { develop: develop, master: master }
environments:
  test: { platform: process, nodes: 1 }
  production:
    platform: docker
    pools: { a: { nodes: 3 }, b: { nodes: 3 } }
    listen: 0.0.0.0:8000
    drain_timeout: 500ms
canary:
  nodes: 2
  steps: [{ traffic: 1%, for: 5m }, { traffic: 5%, for: 10m }, { traffic: 20%, for: 1h 30m }]
  false_alarm: 1%
  tolerate: { cpu: 10%, memory: 10%, latency.p99: 10%, http.errors: 0.1pp, log.error: 20% }
release: { order: manual, approvals: 1, freeze: ["Fri 16:00 – Mon 09:00 Asia/Shanghai"] }
"#;

#[test]
fn the_whole_file_is_read() {
    let (config, found) = parse(&SourceFile::new("serin.yml", PRODUCT));
    assert_eq!(found, []);
    let config = config.unwrap();
    assert_eq!(config.service.name, "shop");
    assert_eq!(config.service.port, Some(8080));
    assert_eq!(config.service.logs, LogFormat::Json);
    assert_eq!(config.service.stop_timeout_ms, 10_000);
    assert_eq!(config.environments[0].pools[0].name, "default");
    assert_eq!(config.environments[1].platform, Platform::Docker);
    assert_eq!(config.environments[1].pools[1].nodes, 3);
    assert_eq!(config.environments[1].drain_timeout_ms, 500);
    assert_eq!(config.canary.steps[2], Step { traffic_ppm: 200_000, for_ms: 90 * 60_000 });
    assert!(config.canary.tolerate.contains(&("http.errors".to_owned(), Tolerance::Points(0.001))));
    assert!(config.canary.tolerate.contains(&("cpu".to_owned(), Tolerance::Relative(0.1))));
    assert_eq!(config.release.order, Order::Manual);
    assert_eq!(config.release.freeze.len(), 1);
}

#[test]
fn containers_are_described() {
    let text = "service:\n  name: x\n  secrets: [DB_PASSWORD]\n  health: { command: [/bin/check, --all], timeout: 5s }\n  \
                limits: { memory: 512M, cpus: 1.5, pids: 200 }\n  volumes: [data:/var/lib/x, \"/srv/y:/y:ro\"]\n  \
                restart: on-failure\nenvironments:\n  p:\n    platform: docker\n    hosts: [blue, green]\n    \
                networks: [back]\n    limits: { memory: 2G }\n    variables: { MODE: p }\n";
    let (config, found) = parse(&SourceFile::new("serin.yml", text));
    assert_eq!(found, []);
    let config = config.unwrap();
    let (service, part) = (&config.service, &config.environments[0]);
    assert_eq!(service.secrets, ["DB_PASSWORD"]);
    assert_eq!(service.health.probe, Probe::Command(vec!["/bin/check".to_owned(), "--all".to_owned()]));
    let limits = Limits { memory_bytes: Some(512 << 20), cpu_milli: Some(1_500), pids: Some(200) };
    assert_eq!(service.limits, limits);
    assert_eq!(part.limits.over(service.limits), Limits { memory_bytes: Some(2 << 30), ..limits });
    let volume = |source: &str, target: &str, read_only| Volume {
        source: source.to_owned(),
        target: target.to_owned(),
        read_only,
    };
    assert_eq!(service.volumes, [volume("data", "/var/lib/x", false), volume("/srv/y", "/y", true)]);
    assert_eq!(service.restart, Restart::OnFailure);
    assert_eq!((part.hosts.len(), part.networks.as_slice()), (2, &["back".to_owned()][..]));
    assert_eq!(part.variables, [("MODE".to_owned(), "p".to_owned())]);
    let tcp = parse(&SourceFile::new("serin.yml", "service: {name: x, health: {tcp: true}}")).0.unwrap();
    assert_eq!(tcp.service.health.probe, Probe::Tcp);
}

#[test]
fn an_image_has_inputs_beside_its_dockerfile() {
    let image = |text: &str| {
        let text = format!("service:\n  name: x\n  image: {text}\n");
        parse(&SourceFile::new("serin.yml", text)).0.unwrap().service.image.unwrap()
    };
    let plain = image("{}");
    assert_eq!((plain.dockerfile.as_str(), plain.context.as_str(), plain.repository), ("Dockerfile", ".", None));
    assert_eq!(image("{ context: services/shop/ }").dockerfile, "services/shop/Dockerfile");
    let whole = image(
        "{ dockerfile: a/D, context: a, target: run, platform: linux/amd64, args: { V: '1.10', T: $CI_COMMIT_TAG }, \
         secrets: { npm.token: $NPM }, repository: $CI_REGISTRY/shop }",
    );
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(whole.args, [pair("V", "1.10"), pair("T", "$CI_COMMIT_TAG")]);
    assert_eq!(whole.secrets, [pair("npm.token", "$NPM")]);
    assert_eq!((whole.target.as_deref(), whole.platform.as_deref()), (Some("run"), Some("linux/amd64")));
    assert_eq!(whole.repository.as_deref(), Some("$CI_REGISTRY/shop"));
}

#[test]
fn quality_asks_only_what_it_says() {
    let gate =
        |text: &str| parse(&SourceFile::new("serin.yml", format!("service: {{name: x}}\n{text}"))).0.unwrap().quality;
    assert_eq!(gate(""), None);
    let nothing = Gate {
        blocks: true,
        new_findings: Vec::new(),
        coverage_on_changed_lines: None,
        failing_tests: None,
        duplicated_lines: None,
        reports: Vec::new(),
        quarantine: Vec::new(),
    };
    assert_eq!(gate("quality: {}"), Some(nothing.clone()));
    let text = "quality:\n  block: false\n  new_findings: { critical: 0, minor: 5 }\n  coverage_on_changed_lines: 80%\n  \
                failing_tests: 0\n  reports: [junit, codequality]\n";
    let whole = Gate {
        blocks: false,
        new_findings: vec![(Severity::Minor, 5), (Severity::Critical, 0)],
        coverage_on_changed_lines: Some(0.8),
        failing_tests: Some(0),
        reports: vec!["junit".to_owned(), "codequality".to_owned()],
        ..nothing
    };
    assert_eq!(gate(text), Some(whole));
}

#[test]
fn a_name_is_enough() {
    let config = parse(&SourceFile::new("serin.yml", "service: {name: x}")).0.unwrap();
    assert_eq!(config.canary.steps.len(), 3);
    assert_eq!((config.canary.tick_ms, config.canary.nodes, config.release.watch_ms), (5_000, 2, 60_000));
    assert_eq!((config.service.health.path.as_str(), config.service.health.interval_ms), ("/healthz", 250));
    assert_eq!(config.branches.develop, "develop");
}

/// Each wrong text with what its first error says, and where.
#[test]
fn errors_name_the_place_and_what_is_right() {
    for (text, line, column, says, hint) in [
        ("service: {name: x, helth: {}}", 1, 20, "unknown key `helth`", "`health`"),
        ("service:\n  name: x\n  port: 80000", 3, 9, "`service:port` must be a number from 1 to 65535", ""),
        ("service: {name: x}\ncanary: {false_alarm: lots}", 2, 23, "is no share", "1%"),
        (
            "service: {name: x}\ncanary: {steps: [{traffic: 5%, for: 1m}, {traffic: 1%, for: 1m}]}",
            2,
            42,
            "must ascend",
            "",
        ),
        ("service: {name: x}\nenvironments: {p: {listen: here}}", 2, 28, "must be `host:port`", "127.0.0.1"),
        (
            "service: {name: x}\nenvironments: {p: {nodes: 1, pools: {a: {nodes: 1}}}}",
            2,
            27,
            "both `nodes` and `pools`",
            "",
        ),
        ("service: {name: x}\nenvironments: {p: {platform: dokcer}}", 2, 30, "does not know `dokcer`", "`docker`"),
        ("service: {name: Shop Front}", 1, 17, "small letters", "shop-front"),
        ("service: {name: x}\nquality: {new_findings: {severe: 0}}", 2, 26, "unknown key `severe`", ""),
        ("service: {name: x}\nquality: {failing_tests: -1}", 2, 26, "must be a number from 0", ""),
        ("service: {name: x}\nquality: {coverage_on_changed_lines: most}", 2, 38, "is no share", "1%"),
        ("service: {name: x, limits: {memory: lots}}", 1, 37, "is no size", "512M"),
        ("service: {name: x, limits: {cpus: 0}}", 1, 35, "number", ""),
        ("service: {name: x, volumes: [\"a:/b/../c\"]}", 1, 30, "must be `NAME:/path`", "data:/var"),
        ("service: {name: x, volumes: [\"-a:/b\"]}", 1, 30, "must be `NAME:/path`", ""),
        ("service: {name: x, volumes: [data]}", 1, 30, "must be `NAME:/path`", ""),
        ("service: {name: x, secrets: [a/b]}", 1, 30, "must be letters", ""),
        ("service: {name: x}\nenvironments: {p: {platform: docker, hosts: [-x]}}", 2, 46, "must be letters", ""),
        ("service: {name: x}\nenvironments: {p: {hosts: [x]}}", 2, 27, "is for containers", "platform: docker"),
        ("service: {name: x, health: {tcp: true, path: /x}}", 1, 28, "in more than one way", "keep one"),
        ("service: {name: x, image: {dockerfile: ../D}}", 1, 40, "no path in the repository", "top"),
        ("service: {name: x, image: {context: /etc}}", 1, 37, "no path in the repository", ""),
        ("service: {name: x, image: {args: {A=B: c}}}", 1, 40, "no name of a build argument", ""),
        ("service: {name: x, image: {secrets: {../a: c}}}", 1, 44, "no id of a secret", ""),
        ("service: {name: x, image: {target: --x}}", 1, 36, "must be letters", ""),
        ("service: {name: x, image: {docker_file: x}}", 1, 28, "unknown key `docker_file`", "`dockerfile`"),
        ("branches: {develop: d}", 1, 1, "needs the key `service`", ""),
        ("service: {name: x, health: {timeout: soon}}", 1, 38, "is no duration", "500ms"),
    ] {
        let (config, found) = parse(&SourceFile::new("serin.yml", text));
        assert!(config.is_none(), "{text}");
        let first = &found[0];
        assert!(first.message.contains(says), "{text}: {}", first.message);
        assert_eq!((first.line, first.column), (line, column), "{text}: {}", first.message);
        assert!(first.hint.clone().unwrap_or_default().contains(hint), "{text}: {:?}", first.hint);
    }
}

#[test]
fn a_quarantine_has_an_owner_and_an_end() {
    let gate = |text: &str| {
        let text = format!("service: {{name: x}}\nquality:\n  duplicated_lines: 3%\n  quarantine:\n    - {text}\n");
        parse(&SourceFile::new("serin.yml", text))
    };
    let (config, found) = gate("{ test: shop pays *, owner: dana, until: 2028-02-29, reason: clock }");
    assert_eq!(found, []);
    let gate_read = config.unwrap().quality.unwrap();
    assert_eq!(gate_read.duplicated_lines, Some(0.03));
    let held = Quarantine {
        test: "shop pays *".into(),
        owner: "dana".into(),
        until: "2028-02-29".into(),
        reason: "clock".into(),
    };
    assert_eq!(gate_read.quarantine, [held]);
    for wrong in ["{ test: a, owner: b }", "{ test: a, until: 2026-01-01 }", "{ test: a, owner: b, until: 2026-02-29 }"]
    {
        assert!(!gate(wrong).1.is_empty(), "{wrong}");
    }
}
