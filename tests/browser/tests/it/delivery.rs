use anyhow::{Context, Result};
use serde_json::Value;

use crate::{logged_in, project};

/// A small service; Perl is on every Debian.
const SERVICE: &str = r#"
use strict; use warnings; use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ENV{PORT}, Listen => 64, ReuseAddr => 1) or die;
$| = 1;
my $n = 0;
while (1) {
    my $client = $server->accept() or next;
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    print "WARN slow shelf\n" if ++$n % 50 == 0;
    print $client "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    close $client;
}
"#;

const CONFIG: &str = "
service:
  name: shop
  command: [perl, service.pl]
  health: { path: /, timeout: 20s, interval: 200ms }
environments:
  production: { platform: process, pools: { a: { nodes: 2 }, b: { nodes: 2 } } }
canary:
  nodes: 1
  tick: 500ms
  steps: [{ traffic: 10%, for: 120s }]
release: { order: manual, watch: 1s }
";

const PIPELINE: &str = "
stages: [package, deploy, canary]
package: { stage: package, serin: { action: package } }
first:
  stage: deploy
  serin: { action: deploy, environment: production }
  rules: [{ if: $CI_COMMIT_BRANCH == 'main' }]
take-one:
  stage: deploy
  serin: { action: detach, environment: production, nodes: 1 }
  rules: [{ if: $CI_COMMIT_BRANCH == 'develop' }]
canary:
  stage: canary
  serin: { action: canary, environment: production }
  rules: [{ if: $CI_COMMIT_BRANCH == 'develop' }]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_watched_and_aborted() -> Result<()> {
    let (server, browser) = logged_in().await?;
    let tree = project(&server, "shop").await?;
    tree.write("service.pl", SERVICE)?;
    tree.write("serin.yml", CONFIG)?;
    tree.write(".gitlab-ci.yml", PIPELINE)?;
    tree.commit("Shop 1").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    let environment = "/projects/1/environments/production";
    server.wait("/projects/1/pipelines/1", |pipeline| pipeline["status"] == "success").await?;
    let live = server.wait(environment, |seen| healthy(seen) == 4 && seen["external_url"].is_string()).await?;
    let url = live["external_url"].as_str().context("no address")?.to_owned();
    let load = tokio::spawn(load(url));
    browser.open(&format!("{}/shop/-/environments", server.url)).await?;
    browser.sees("production").await?;
    browser.shoot("environments").await?;

    tree.git(&["checkout", "--quiet", "-b", "develop"]).await?;
    tree.write("version", "2\n")?;
    tree.commit("Shop 2").await?;
    tree.git(&["push", "--quiet", "origin", "develop"]).await?;
    browser.open(&format!("{}/shop/-/environments/production", server.url)).await?;
    browser.run("window.stayed = true").await?;
    browser.find(".stepper .active").await?;
    browser.until("return document.querySelectorAll('.node.canary').length === 1").await?;
    browser.until("return document.querySelectorAll('.chart').length >= 5").await?;
    browser.until("return document.querySelector('.chart .new').getAttribute('d').split('L').length > 8").await?;
    browser.until("return window.stayed === true").await?;
    browser.shoot("environment-canary").await?;
    browser.click("[data-dialog='ask-abort']").await?;
    browser.until("return document.getElementById('ask-abort').matches(':modal')").await?;
    browser.shoot("environment-confirm").await?;
    browser.fill("#reason-abort", "<b>seen enough</b>").await?;
    browser.click("#ask-abort button.danger").await?;
    browser.sees("aborted by admin: <b>seen enough</b>").await?;
    browser.until("return document.querySelectorAll('.node.canary').length === 0").await?;
    server.wait(environment, |seen| healthy(seen) == 4).await?;
    browser.shoot("environment").await?;
    load.abort();
    browser.console_is_clean(&[]).await?;
    browser.quit().await
}

fn healthy(environment: &Value) -> usize {
    let nodes = environment["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes.iter().filter(|node| node["state"] == "healthy").count()
}

/// Sends requests one after another until it is aborted.
async fn load(url: String) {
    let client = reqwest::Client::new();
    loop {
        // What fails is seen on the page.
        let _ = client.get(&url).send().await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
