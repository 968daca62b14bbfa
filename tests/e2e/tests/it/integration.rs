//! Integration tests: jobs that run against deployed nodes stand beside the rollout, with what their reports say.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use serin_e2e::{Server, WorkTree, service};

const ENVIRONMENT: &str = "/projects/tiny/environments/test";
const PIPELINE: &str = "\
stages: [package, deploy, test]
lint: { stage: package, script: 'true' }
package: { stage: package, serin: { action: package } }
deploy: { stage: deploy, serin: { action: deploy, environment: test } }
verify:
  stage: test
  script: bash verify.sh
  artifacts: { when: always, reports: { junit: it.xml } }
smoke: { stage: test, script: '[ -n \"$SERIN_TARGET_URLS\" ]' }
";
/// Asks every node for its health; where the file `broken` is there one more test fails.
const VERIFY: &str = r#"#!/bin/bash
cases=""
for url in $SERIN_TARGET_URLS; do
  address=${url#http://}
  exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
  printf 'GET /healthz HTTP/1.0\r\nHost: node\r\n\r\n' >&3
  read -r answer <&3
  exec 3>&-
  case "$answer" in
    *' 200 '*) cases+="<testcase classname='node' name='is healthy' time='0.010'/>" ;;
    *) cases+="<testcase classname='node' name='is healthy'><failure message='$answer'/></testcase>" ;;
  esac
done
[ -e broken ] && cases+="<testcase classname='node' name='sells &lt;script&gt;'><failure message='expected 1, &lt;b&gt;got 2'/></testcase>"
echo "<testsuites><testsuite name='it'>$cases</testsuite></testsuites>" > it.xml
[ ! -e broken ]
"#;

async fn deployed(server: &Server, tree: &WorkTree) -> Result<Value> {
    let commit = tree.commit("Change").await?;
    tree.git(&["push", "--quiet", "origin", "HEAD:main"]).await?;
    server.finished("tiny", &commit).await?;
    let environment = server.wait(ENVIRONMENT, |environment| environment["rollout"]["sha"] == commit.as_str()).await?;
    Ok(environment["rollout"]["tests"].clone())
}

fn named<'a>(tests: &'a Value, name: &str) -> Result<&'a Value> {
    let found = tests.as_array().and_then(|all| all.iter().find(|test| test["name"] == name));
    found.with_context(|| tests.to_string())
}

#[tokio::test]
async fn tests_of_nodes_stand_beside_the_rollout() -> Result<()> {
    let server = Server::start().await?;
    server.post("/projects", json!({ "path": "tiny", "default_branch": "main" })).await?;
    let tree = WorkTree::new(&server, "tiny").await?;
    let environments = "environments: { test: { platform: process, nodes: 2 } }\n";
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), environments)?;
    tree.write("service.txt", "version one\n")?;
    tree.write(".gitlab-ci.yml", PIPELINE)?;
    tree.write("verify.sh", VERIFY)?;
    let tests = deployed(&server, &tree).await?;
    assert_eq!(tests.as_array().map(Vec::len), Some(2), "{tests}");
    let verify = named(&tests, "verify")?;
    assert_eq!(verify["status"], "success", "{verify}");
    assert_eq!(verify["counts"], json!({ "passed": 2, "failed": 0, "skipped": 0, "duration_ms": 20 }));
    assert_eq!(named(&tests, "smoke")?["counts"], Value::Null);

    tree.write("broken", "")?;
    let tests = deployed(&server, &tree).await?;
    let verify = named(&tests, "verify")?;
    assert_eq!((&verify["status"], &verify["counts"]["failed"]), (&json!("failed"), &json!(1)), "{verify}");
    assert_eq!(verify["failing"], json!([{ "name": "node sells <script>", "message": "expected 1, <b>got 2" }]));
    let (_, page) = server.ask(Method::GET, "/tiny/-/environments/test", None).await?;
    assert!(page.contains("Integration tests") && page.contains("node sells &#60;script&#62;"), "{page}");
    assert!(page.contains("2 passed · 1 failed · 0 skipped") && page.contains("left no report of tests"), "{page}");
    Ok(())
}
