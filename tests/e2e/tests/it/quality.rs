//! The quality gate: reports of jobs are compared with the merge base, and what does not pass is not merged.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use serin_e2e::{Server, WorkTree};

const API: &str = "/projects/shop";
/// Findings, tests and coverage of the words in `*.txt`.
const CHECK: &str = include_str!("../../fixtures/check.sh");
const PIPELINE: &str = "\
check:
  rules:
    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"
    - if: $CI_COMMIT_BRANCH == \"main\"
  script: bash check.sh
  artifacts:
    reports:
      codequality: quality.json
      junit: junit.xml
      coverage_report: { coverage_format: cobertura, path: cobertura.xml }
";
const SERVICE: &str = "service: { name: shop }\nquality:\n  new_findings: { major: 0 }\n  failing_tests: 0\n  \
                       coverage_on_changed_lines: 50%\n  reports: [junit]\n";
const BASE: &str = "first line\nbad one\npasses here\nbad two\nbad three\nlast line\n";

async fn begun() -> Result<(Server, WorkTree)> {
    let server = Server::start().await?;
    let tree = server.project("shop").await?;
    tree.write("check.sh", CHECK)?;
    tree.write("serin.yml", SERVICE)?;
    tree.write("a.txt", BASE)?;
    let commit = tree.push_pipeline(PIPELINE).await?;
    let pipeline = server.finished("shop", &commit).await?;
    anyhow::ensure!(pipeline["status"] == "success", "{pipeline}");
    Ok((server, tree))
}

/// Pushes `a.txt` on a branch; the merge request when its pipeline has ended.
async fn propose(server: &Server, tree: &WorkTree, branch: &str, text: &str) -> Result<Value> {
    tree.git(&["checkout", "--quiet", "-B", branch]).await?;
    tree.write("a.txt", text)?;
    let head = tree.commit("Change").await?;
    let options = ["-o", "merge_request.create", "-o", "merge_request.target=main"];
    tree.git(&[&["push", "--quiet"], options.as_slice(), &["origin", branch]].concat()).await?;
    let of_branch = |request: &Value| request["source_branch"] == branch;
    let list = server
        .wait(&format!("{API}/merge_requests"), |all| all.as_array().is_some_and(|all| all.iter().any(of_branch)))
        .await?;
    let request = list.as_array().and_then(|all| all.iter().find(|request| of_branch(request))).context("request")?;
    let ended = |request: &Value| {
        request["sha"] == head.as_str()
            && request["merge_status"] == "can_be_merged"
            && request["head_pipeline"]["status"] == "success"
            && !request["blockers"].to_string().contains("pipeline #")
    };
    server.wait(&format!("{API}/merge_requests/{}", request["iid"]), ended).await
}

async fn quality(server: &Server, request: &Value) -> Result<Value> {
    server.get(&format!("{API}/merge_requests/{}/quality", request["iid"])).await
}

async fn merge(server: &Server, request: &Value) -> Result<(StatusCode, String)> {
    server.ask(Method::PUT, &format!("/api/v4{API}/merge_requests/{}/merge", request["iid"]), Some(json!({}))).await
}

fn verdicts(quality: &Value) -> Vec<String> {
    let conditions = quality["judgement"]["conditions"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    conditions.iter().map(|one| format!("{} {}", text(&one["key"]), text(&one["verdict"]))).collect()
}

#[tokio::test]
async fn a_change_is_refused_with_a_sentence_then_mended_and_merged() -> Result<()> {
    let (server, tree) = begun().await?;
    // Code moves down, two findings are fixed, one is added, and its test fails.
    let worse = "first line\nnew above, in a line that is longer than others\npasses here\nbad four idle\nfails here idle\nanother idle\nlast line\nbad one\n";
    let request = propose(&server, &tree, "change", worse).await?;
    let shown = quality(&server, &request).await?;
    let found = &shown["judgement"]["findings"];
    assert_eq!((&found["new"], &found["fixed"], &found["remaining"]), (&json!(1), &json!(2), &json!(1)), "{shown}");
    assert_eq!(
        verdicts(&shown),
        [
            "report.junit passed",
            "new_findings.major failed",
            "failing_tests failed",
            "coverage_on_changed_lines failed",
        ]
    );
    let said = shown["judgement"]["conditions"].to_string();
    assert!(said.contains("1 new finding of severity major or worse, 0 allowed: fix 1 (a.txt:4 bad)"), "{said}");
    assert!(said.contains("1 test fails, 0 allowed: mend 1 (a.txt t5)"), "{said}");
    let (status, why) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{why}");
    assert!(why.contains("quality gate: 1 new finding of severity major or worse"), "{why}");
    let address = format!("/shop/-/merge_requests/{}", request["iid"]);
    let (_, page) = server.ask(Method::GET, &address, None).await?;
    assert!(page.contains("0 allowed: fix 1 (a.txt:4 bad)") && page.contains("not passed"), "{page}");

    let better = worse.replace("bad four idle", "good four").replace("fails here idle", "passes here");
    let request = propose(&server, &tree, "change", &better).await?;
    let shown = quality(&server, &request).await?;
    assert_eq!(shown["judgement"]["status"], "passed", "{shown}");
    assert_eq!(request["blockers"], json!([]));
    let (status, merged) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::OK, "{merged}");
    Ok(())
}

#[tokio::test]
async fn a_missing_or_torn_report_is_no_pass_and_a_person_may_let_it_pass() -> Result<()> {
    let (server, tree) = begun().await?;
    let request = propose(&server, &tree, "torn", &BASE.replace("last", "final")).await?;
    let shown = quality(&server, &request).await?;
    assert_eq!(shown["judgement"]["status"], "failed", "{shown}");
    assert!(shown.to_string().contains("the report `junit` cannot be read (junit.xml: JUnit, line 2"), "{shown}");

    tree.git(&["checkout", "--quiet", "main"]).await?;
    // A change may not loosen its own gate.
    tree.write("serin.yml", "service: { name: shop }\nquality: { block: false }\n")?;
    let request = propose(&server, &tree, "silent", &BASE.replace("last", "final")).await?;
    let shown = quality(&server, &request).await?;
    assert_eq!(
        verdicts(&shown),
        [
            "report.codequality missing",
            "report.coverage_report missing",
            "report.junit missing",
            "new_findings.major missing",
            "failing_tests missing",
            "coverage_on_changed_lines missing",
        ]
    );
    assert_eq!(merge(&server, &request).await?.0, StatusCode::CONFLICT);

    let path = format!("/api/v4{API}/merge_requests/{}/quality/override", request["iid"]);
    let (status, _) = server.ask(Method::POST, &path, Some(json!({ "reason": " " }))).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let reason = "the checker's machine is down; checked by hand";
    let (status, shown) = server.ask(Method::POST, &path, Some(json!({ "reason": reason }))).await?;
    assert_eq!(status, StatusCode::CREATED, "{shown}");
    assert!(shown.contains(reason), "{shown}");
    let notices = server.get(&format!("{API}/notices")).await?.to_string();
    assert!(notices.contains("pass its quality gate: the checker's machine is down"), "{notices}");
    let (status, merged) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::OK, "{merged}");
    Ok(())
}

#[tokio::test]
async fn sonarqube_is_heard_where_its_webhook_is_signed() -> Result<()> {
    let (server, tree) = begun().await?;
    let secret = json!({ "key": "SERIN_SONARQUBE_SECRET", "value": "s3cret-of-the-webhook", "masked": true });
    let (status, said) = server.ask(Method::POST, &format!("/api/v4{API}/variables"), Some(secret)).await?;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    // A job that could sign in SonarQube's name could open its own gate.
    tree.write("check.sh", format!("[ -z \"${{SERIN_SONARQUBE_SECRET:-}}\" ] || exit 9\n{CHECK}"))?;
    let request = propose(&server, &tree, "analysed", &BASE.replace("last", "final")).await?;
    let head = request["sha"].as_str().context("commit")?;
    let body = |status: &str| {
        json!({
            "revision": head, "project": { "key": "shop-in-sonar" },
            "qualityGate": { "name": "Sonar way", "status": status, "conditions": [
                { "metric": "new_coverage", "operator": "LESS_THAN", "errorThreshold": "80", "value": "61.2", "status": status }
            ] }
        })
        .to_string()
    };
    let http = reqwest::Client::new();
    let send = async |body: String, key: &str| {
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes()), body.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = http.post(format!("{}/api/v4{API}/sonarqube", server.url)).body(body);
        anyhow::Ok(request.header("x-sonar-webhook-hmac-sha256", hex).send().await?.status())
    };
    assert_eq!(send(body("ERROR"), "another secret").await?, StatusCode::UNAUTHORIZED);
    assert!(!verdicts(&quality(&server, &request).await?).iter().any(|verdict| verdict.starts_with("gate.")));
    assert_eq!(send(body("ERROR"), "s3cret-of-the-webhook").await?, StatusCode::NO_CONTENT);
    let shown = quality(&server, &request).await?;
    assert!(verdicts(&shown).contains(&"gate.SonarQube shop-in-sonar failed".to_owned()), "{shown}");
    assert!(shown.to_string().contains("(new_coverage 61.2 < 80)"), "{shown}");
    let (status, why) = merge(&server, &request).await?;
    assert_eq!((status, why.contains("SonarQube shop-in-sonar is not passed")), (StatusCode::CONFLICT, true), "{why}");
    assert_eq!(send(body("OK"), "s3cret-of-the-webhook").await?, StatusCode::NO_CONTENT);
    let (status, merged) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::OK, "{merged}");
    Ok(())
}
