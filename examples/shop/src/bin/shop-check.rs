//! Integration tests against running nodes: `SERIN_TARGET_URLS` holds their addresses, separated by blanks. A file that is
//! named as the argument gets their report as JUnit XML.

use shop::client::{Answer, Client};
use std::process::ExitCode;
use std::time::Instant;

/// A check: its name, and what it does with a connection to the node.
type Check = (&'static str, fn(&mut Client) -> Result<(), String>);

const CHECKS: [Check; 8] = [
    ("is healthy", |client| {
        expect(client.get("/healthz"), 200, "ok")
    }),
    ("tells its version", |client| {
        expect(client.get("/version"), 200, "\"version\"")
    }),
    ("shows the goods", |client| {
        expect(client.get("/"), 200, "<li>")
    }),
    ("finds goods by words", |client| {
        expect(client.get("/api/products?q=oak+chair"), 200, "Chair of oak")
    }),
    ("knows similar goods", similar),
    ("knows how goods sell", |client| {
        expect(
            client.get("/api/products/5/sales?days=7"),
            200,
            "\"pieces\"",
        )
    }),
    ("prices a cart", cart),
    ("refuses what is wrong", wrong),
];

/// What became of a check of one node.
struct Checked<'a> {
    url: &'a str,
    name: &'static str,
    seconds: f64,
    failure: Option<String>,
}

fn main() -> ExitCode {
    let urls = std::env::var("SERIN_TARGET_URLS").unwrap_or_default();
    let urls: Vec<&str> = urls.split_whitespace().collect();
    if urls.is_empty() {
        eprintln!(
            "SERIN_TARGET_URLS is empty; set it to the nodes' addresses, such as http://127.0.0.1:8080"
        );
        return ExitCode::from(2);
    }
    let checked: Vec<Checked> = urls.iter().flat_map(|url| check(url)).collect();
    let failed = checked.iter().filter(|one| one.failure.is_some()).count();
    println!(
        "{} nodes, {} checks each, {failed} failed",
        urls.len(),
        CHECKS.len()
    );
    if let Some(path) = std::env::args().nth(1)
        && let Err(error) = std::fs::write(&path, junit(&checked))
    {
        eprintln!("cannot write {path}: {error}");
        return ExitCode::from(2);
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs every check against one node.
fn check(url: &str) -> Vec<Checked<'_>> {
    let began = Instant::now();
    let mut client = Client::connect(url).map_err(|error| format!("cannot connect: {error}"));
    let mut run = |(name, check): Check| {
        let began = Instant::now();
        let result = match &mut client {
            Ok(client) => check(client),
            Err(error) => Err(error.clone()),
        };
        let (seconds, failure) = (began.elapsed().as_secs_f64(), result.err());
        if let Some(reason) = &failure {
            println!("FAIL {url} {name}: {reason}");
        }
        Checked {
            url,
            name,
            seconds,
            failure,
        }
    };
    let checked: Vec<Checked> = CHECKS.into_iter().map(&mut run).collect();
    let is_good = checked.iter().all(|one| one.failure.is_none());
    println!(
        "{} {url} in {} ms",
        if is_good { "ok  " } else { "FAIL" },
        began.elapsed().as_millis()
    );
    checked
}

/// The report that continuous integration reads: one suite for each node.
fn junit(checked: &[Checked]) -> String {
    let mut out = String::from("<testsuites>\n");
    for node in checked.chunk_by(|one, next| one.url == next.url) {
        let url = node.first().map_or("", |one| one.url);
        out += &format!("<testsuite name=\"{}\">\n", escaped(url));
        for one in node {
            out += &format!(
                "<testcase classname=\"shop-check\" name=\"{}\" time=\"{:.3}\">",
                escaped(one.name),
                one.seconds
            );
            if let Some(reason) = &one.failure {
                out += &format!("<failure message=\"{}: {}\"/>", escaped(one.url), escaped(reason));
            }
            out += "</testcase>\n";
        }
        out += "</testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c if c.is_control() => " ".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

fn expect(answer: std::io::Result<Answer>, status: u16, text: &str) -> Result<(), String> {
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != status {
        return Err(format!(
            "answered {}, not {status}: {}",
            answer.status, answer.body
        ));
    }
    if !answer.body.contains(text) {
        return Err(format!("answered without `{text}`: {}", answer.body));
    }
    Ok(())
}

fn similar(client: &mut Client) -> Result<(), String> {
    for id in [1, 120, 240] {
        expect(
            client.get(&format!("/api/products/{id}/similar")),
            200,
            "\"name\"",
        )?;
    }
    Ok(())
}

fn cart(client: &mut Client) -> Result<(), String> {
    let body = r#"{"items":[{"id":1,"pieces":1}]}"#;
    expect(
        client.post("/api/cart", body),
        200,
        r#""lines":1,"goods":"88.19""#,
    )
}

fn wrong(client: &mut Client) -> Result<(), String> {
    expect(client.get("/api/products/0"), 404, "no such product")?;
    expect(client.get("/api/cart"), 405, "error")?;
    expect(client.post("/api/cart", "{}"), 422, "empty")
}
