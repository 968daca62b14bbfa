//! SonarQube's web API: a job's scanner began an analysis, and the gate waits for how it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use serin_e2e::{Server, WorkTree};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const API: &str = "/projects/shop";
const TOKEN: &str = "squ_0123456789abcdef";
/// A pipeline whose job leaves what SonarQube's scanner leaves, with another server's address in it.
const PIPELINE: &str = "\
scan:
  rules: [{ if: $CI_PIPELINE_SOURCE == 'merge_request_event' }]
  script:
    - '[ -z \"${SERIN_SONARQUBE_TOKEN:-}\" ]'
    - mkdir .scannerwork
    - cp task.txt .scannerwork/report-task.txt
  artifacts:
    reports: { sonarqube: .scannerwork/report-task.txt }
";
const SERVICE: &str = "service: { name: shop }\nquality: { new_findings: {}, reports: [sonarqube] }\n";

/// Answers by path; what it does not know is not found.
type Answers = Arc<Mutex<Vec<(String, u16, String)>>>;

/// A small SonarQube, after its documents: it answers what it is told to, and writes down what it is asked.
struct Double {
    address: String,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Double {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let double = Self { address, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&double.answers), Arc::clone(&double.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                held(&asked).push(head);
                let known = held(&answers).iter().find(|(begin, ..)| path.starts_with(begin)).cloned();
                let (_, status, body) = known.unwrap_or_else(|| (path, 404, "{\"errors\":[]}".to_owned()));
                let more = if status == 302 { format!("Location: {body}\r\n") } else { String::new() };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Ok(double)
    }

    fn say(&self, answers: &[(&str, u16, Value)]) {
        let said = answers.iter().map(|(path, status, body)| {
            let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            ((*path).to_owned(), *status, body)
        });
        *held(&self.answers) = said.collect();
    }

    /// Says that the analysis of a commit ended, and how its gate stands.
    fn ended(&self, revision: &str, status: &str) {
        let condition = json!({
            "status": status, "metricKey": "new_coverage", "comparator": "LT", "errorThreshold": "80", "actualValue": "61.2"
        });
        self.say(&[
            ("/sonar/api/ce/task?id=AX-1", 200, json!({ "task": {
                "id": "AX-1", "type": "REPORT", "componentKey": "shop-in-sonar", "status": "SUCCESS", "analysisId": "AN_1", "pullRequest": "7" } })),
            ("/sonar/api/project_analyses/search?project=shop-in-sonar&ps=100&pullRequest=7", 200, json!({
                "paging": { "total": 2 }, "analyses": [{ "key": "AN_0", "revision": "0".repeat(40) }, { "key": "AN_1", "revision": revision }] })),
            ("/sonar/api/qualitygates/project_status?analysisId=AN_1", 200, json!({
                "projectStatus": { "status": status, "conditions": [condition], "ignoredConditions": false } })),
        ]);
    }

    fn asked(&self) -> Vec<String> {
        held(&self.asked).clone()
    }
}

async fn begun(double: &Double, trap: &Double) -> Result<(Server, WorkTree)> {
    let server = Server::start().await?;
    let tree = server.project("shop").await?;
    for (key, value) in
        [("SERIN_SONARQUBE_URL", format!("{}/sonar/", double.address)), ("SERIN_SONARQUBE_TOKEN", TOKEN.into())]
    {
        let variable = json!({ "key": key, "value": value });
        let (status, said) = server.ask(Method::POST, &format!("/api/v4{API}/variables"), Some(variable)).await?;
        assert_eq!(status, StatusCode::CREATED, "{said}");
    }
    tree.write("serin.yml", SERVICE)?;
    let task = format!(
        "projectKey=shop-in-sonar\nserverUrl={0}\nceTaskId=AX-1\nceTaskUrl={0}/api/ce/task?id=AX-1\n",
        trap.address
    );
    tree.write("task.txt", task)?;
    tree.write(".gitlab-ci.yml", PIPELINE)?;
    tree.commit("Start").await?;
    tree.git(&["push", "--quiet", "origin", "HEAD:main"]).await?;
    Ok((server, tree))
}

/// A merge request whose job has ended; its path and the commit.
async fn proposed(server: &Server, tree: &WorkTree) -> Result<(String, String)> {
    tree.git(&["checkout", "--quiet", "-B", "change"]).await?;
    tree.write("a.txt", "changed\n")?;
    let head = tree.commit("Change").await?;
    let options = ["-o", "merge_request.create", "-o", "merge_request.target=main"];
    tree.git(&[&["push", "--quiet"], options.as_slice(), &["origin", "change"]].concat()).await?;
    let path = format!("{API}/merge_requests/1");
    let ended = |request: &Value| request["head_pipeline"]["status"] == "success";
    server.wait(&format!("{API}/merge_requests"), |all| all.as_array().is_some_and(|all| all.len() == 1)).await?;
    server.wait(&path, ended).await?;
    Ok((path, head))
}

/// The condition of SonarQube's gate.
fn gate(quality: &Value) -> Option<&Value> {
    quality["judgement"]["conditions"].as_array()?.iter().find(|one| one["key"] == "gate.SonarQube shop-in-sonar")
}

async fn gate_until(server: &Server, path: &str, verdict: &str, words: &str) -> Result<Value> {
    let stands = |quality: &Value| {
        gate(quality).is_some_and(|gate| {
            gate["verdict"] == verdict && gate["english"].as_str().is_some_and(|said| said.contains(words))
        })
    };
    server.wait(&format!("{path}/quality"), stands).await
}

async fn merge(server: &Server, path: &str) -> Result<StatusCode> {
    Ok(server.ask(Method::PUT, &format!("/api/v4{path}/merge"), Some(json!({}))).await?.0)
}

#[tokio::test]
async fn an_analysis_is_waited_for_also_over_a_crash_and_only_the_projects_server_is_asked() -> Result<()> {
    let (double, trap) = (Double::start().await?, Double::start().await?);
    double.say(&[("/sonar/api/ce/task", 200, json!({ "task": { "id": "AX-1", "status": "PENDING" } }))]);
    let (mut server, tree) = begun(&double, &trap).await?;
    let (path, head) = proposed(&server, &tree).await?;
    gate_until(&server, &path, "missing", "says nothing yet: wait for its analysis").await?;
    assert_eq!(merge(&server, &path).await?, StatusCode::CONFLICT);
    server.kill().await?;
    double.say(&[("/sonar/api/ce/task", 503, json!("no"))]);
    server.start_again().await?;
    double.ended(&head, "ERROR");
    let said = gate_until(&server, &path, "failed", "(new_coverage 61.2 < 80)").await?;
    assert!(gate(&said).context("gate")?["chinese"].to_string().contains("质量门禁未通过"), "{said}");
    assert_eq!(merge(&server, &path).await?, StatusCode::CONFLICT);
    let asked = double.asked();
    assert!(
        asked.iter().all(|head| head.to_lowercase().contains(&format!("authorization: bearer {TOKEN}"))),
        "{asked:?}"
    );
    assert_eq!(trap.asked(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_passed_gate_lets_merge_and_one_of_another_commit_does_not() -> Result<()> {
    let (double, trap) = (Double::start().await?, Double::start().await?);
    double.say(&[("/sonar/api/ce/task", 200, json!({ "task": { "id": "AX-1", "status": "IN_PROGRESS" } }))]);
    let (server, tree) = begun(&double, &trap).await?;
    let (path, head) = proposed(&server, &tree).await?;
    double.ended(&"1".repeat(40), "OK");
    gate_until(&server, &path, "missing", "of another commit").await?;
    assert_eq!(merge(&server, &path).await?, StatusCode::CONFLICT);
    // The scanner runs again, and this time its analysis is of the commit.
    double.ended(&head, "OK");
    let pipeline = server.get(&path).await?["head_pipeline"].clone();
    let job = server.job("shop", &pipeline, "scan").await?;
    server.post(&format!("{API}/jobs/{}/retry", job["id"]), json!({})).await?;
    gate_until(&server, &path, "passed", "is passed").await?;
    assert_eq!(merge(&server, &path).await?, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn what_leads_elsewhere_or_is_refused_is_no_pass() -> Result<()> {
    let (double, trap) = (Double::start().await?, Double::start().await?);
    double.say(&[("/sonar/api/ce/task", 302, json!(format!("{}/api/ce/task?id=AX-1", trap.address)))]);
    let (server, tree) = begun(&double, &trap).await?;
    let (path, _) = proposed(&server, &tree).await?;
    let said = gate_until(&server, &path, "missing", "answers 302: the address leads elsewhere").await?;
    let chinese = gate(&said).and_then(|gate| gate["chinese"].as_str()).context("gate")?;
    assert!(chinese.contains("地址被重定向") && !chinese.contains("elsewhere"), "{chinese}");
    assert_eq!(merge(&server, &path).await?, StatusCode::CONFLICT);
    assert_eq!(trap.asked(), [""; 0]);
    Ok(())
}
