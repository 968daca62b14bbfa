//! Releases that people must approve, and windows in which nothing is released.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use serin_e2e::{Server, WorkTree, service};

const PROJECT: &str = "tiny";
const PRODUCTION: &str = "/projects/tiny/environments/production";

fn environments(release: &str) -> String {
    format!(
        "environments:\n  production: {{ pools: {{ a: {{ nodes: 1 }}, b: {{ nodes: 1 }} }} }}\nrelease: {{ {release} }}\n"
    )
}

/// A window that holds now, in whatever zone the clock there shows: all week but one minute, half a week away.
fn always() -> String {
    let day =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    // 1970-01-01 was a Thursday.
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let far = days[usize::try_from((day + 3) % 7).unwrap_or_default()];
    format!("{far} 12:01 – {far} 12:00 UTC")
}

/// A person with a token of that scope.
async fn person(server: &Server, name: &str, scope: &str) -> Result<String> {
    let email = format!("{name}@example.org");
    // The account may be there already.
    server.ask(Method::POST, "/api/v4/users", Some(json!({ "username": name, "email": email }))).await?;
    let path = format!("/users/{name}/personal_access_tokens");
    let made = server.post(&path, json!({ "name": "test", "scopes": [scope] })).await?;
    made["token"].as_str().map(str::to_owned).context("token")
}

/// Asks with somebody's token.
async fn ask(server: &Server, token: &str, command: Value) -> Result<(StatusCode, String)> {
    let request = reqwest::Client::new().post(format!("{}/api/v4{PRODUCTION}/rollout", server.url));
    let answer = request.header("private-token", token).json(&command).send().await?;
    Ok((answer.status(), answer.text().await?))
}

async fn begun(server: &Server, release: &str) -> Result<WorkTree> {
    server.post("/projects", json!({ "path": PROJECT, "default_branch": "main" })).await?;
    let tree = WorkTree::new(server, PROJECT).await?;
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), &environments(release))?;
    tree.write("service.txt", "version one\n")?;
    Ok(tree)
}

/// The release of a commit, when it waits with these actions first.
async fn waits(server: &Server, commit: &str, action: &str) -> Result<Value> {
    let stands = |environment: &Value| {
        let rollout = &environment["rollout"];
        let offers = |one: &Value| one["action"] == action;
        rollout["sha"] == commit
            && rollout["phase"] == "awaiting_release"
            && rollout["actions"].as_array().is_some_and(|all| all.iter().any(offers))
    };
    server.wait(PRODUCTION, stands).await
}

fn approve(environment: &Value) -> Value {
    json!({ "action": "approve", "digest": environment["rollout"]["digest"] })
}

async fn succeeded(server: &Server, commit: &str) -> Result<Value> {
    server.wait(PRODUCTION, |one| one["rollout"]["sha"] == commit && one["rollout"]["phase"] == "succeeded").await
}

#[tokio::test]
async fn a_release_waits_for_people_who_did_not_write_it() -> Result<()> {
    let server = Server::start().await?;
    let tree = begun(&server, "order: automatic, watch: 0s, approvals: 2").await?;
    // Dana's address stands in the commits; the administrator pushes them.
    let (dana, ada) = (person(&server, "dana", "api").await?, person(&server, "ada", "api").await?);
    let (bea, robot) = (person(&server, "bea", "api").await?, person(&server, "robot", "read_api").await?);
    let first = tree.push_pipeline(service::RELEASE_PIPELINE).await?;
    let environment = waits(&server, &first, "approve").await?;
    let terms = &environment["rollout"]["terms"];
    assert_eq!((&terms["approvals_left"], &terms["authors"]), (&json!(2), &json!(["admin", "dana"])), "{terms}");

    let (status, said) = ask(&server, &dana, approve(&environment)).await?;
    assert_eq!(status, StatusCode::FORBIDDEN, "{said}");
    assert!(said.contains("`dana` wrote part of this change"), "{said}");
    assert_eq!(ask(&server, &server.token, approve(&environment)).await?.0, StatusCode::FORBIDDEN, "pushed it");
    let (status, said) = ask(&server, &robot, approve(&environment)).await?;
    assert_eq!((status, said.contains("read_api")), (StatusCode::FORBIDDEN, true), "{said}");
    let (status, said) = ask(&server, &ada, json!({ "action": "approve", "digest": "sha256:0123" })).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    assert_eq!(ask(&server, &ada, json!({ "action": "approve" })).await?.0, StatusCode::BAD_REQUEST);
    let (status, said) = ask(&server, &bea, json!({ "action": "override", "reason": "I want it" })).await?;
    assert_eq!((status, said.contains("ask an administrator")), (StatusCode::FORBIDDEN, true), "{said}");

    for _ in 0..2 {
        assert_eq!(ask(&server, &ada, approve(&environment)).await?.0, StatusCode::OK);
    }
    let environment = waits(&server, &first, "approve").await?;
    assert_eq!(environment["rollout"]["terms"]["approved_by"], json!(["ada"]), "one person counts once");
    assert_eq!(environment["rollout"]["terms"]["approvals_left"], 1);
    let (status, said) = ask(&server, &bea, json!({ "action": "release", "pool": "a" })).await?;
    assert_eq!((status, said.contains("1 of 2 approvals are given")), (StatusCode::CONFLICT, true), "{said}");
    assert_eq!(ask(&server, &bea, approve(&environment)).await?.0, StatusCode::OK);
    let done = succeeded(&server, &first).await?;
    let timeline = done["rollout"]["timeline"].to_string();
    for line in ["waits for 2 approvals", "approved by ada: 1 more needed", "approved by bea: enough people agree"] {
        assert!(timeline.contains(line), "{line}: {timeline}");
    }
    an_approval_is_of_one_version(&server, &tree, (&environment, &ada)).await
}

/// A later change cannot lower its own bar, nor is it approved by who approved the one before.
async fn an_approval_is_of_one_version(server: &Server, tree: &WorkTree, (older, ada): (&Value, &str)) -> Result<()> {
    service::put(
        tree,
        env!("CARGO_BIN_EXE_serin-e2e-service"),
        &environments("order: automatic, watch: 0s, approvals: 0"),
    )?;
    tree.write("service.txt", "version two\n")?;
    let second = tree.push_pipeline(service::RELEASE_PIPELINE).await?;
    let environment = waits(server, &second, "approve").await?;
    assert_eq!(environment["rollout"]["terms"]["approvals_left"], 2, "{environment}");
    let (status, said) = ask(server, ada, approve(older)).await?;
    assert_eq!((status, said.contains("is not what is released now")), (StatusCode::CONFLICT, true), "{said}");
    // What goes round the release is refused.
    let deploy = service::RELEASE_PIPELINE.replace("action: release", "action: deploy");
    tree.git(&["checkout", "--quiet", "-b", "around"]).await?;
    tree.write(".gitlab-ci.yml", &deploy)?;
    let around = tree.commit("Around").await?;
    tree.git(&["push", "--quiet", "origin", "around"]).await?;
    let pipeline = server.finished(PROJECT, &around).await?;
    assert_eq!(pipeline["status"], "failed", "{pipeline}");
    let job = server.job(PROJECT, &pipeline, "production").await?;
    let trace = server.trace(PROJECT, &job).await?;
    assert!(trace.contains("`deploy` would go round them"), "{trace}");
    // An administrator may, with a reason that everybody reads.
    let no_reason = json!({ "action": "override", "reason": " " });
    assert_eq!(ask(server, &server.token, no_reason).await?.0, StatusCode::BAD_REQUEST);
    let reason = json!({ "action": "override", "reason": "customers cannot pay" });
    assert_eq!(ask(server, &server.token, reason).await?.0, StatusCode::OK);
    let done = succeeded(server, &second).await?;
    assert_eq!(done["rollout"]["terms"]["overridden"], json!({ "by": "admin", "reason": "customers cannot pay" }));
    let notices = server.get(&format!("/projects/{PROJECT}/notices")).await?.to_string();
    assert!(notices.contains("against its terms: customers cannot pay"), "{notices}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_released_in_a_window_and_back_is_always_possible() -> Result<()> {
    let mut server = Server::start().await?;
    let tree = begun(&server, "order: manual, watch: 0s").await?;
    let first = tree.push_pipeline(service::RELEASE_PIPELINE).await?;
    for pool in ["a", "b"] {
        waits(&server, &first, "release").await?;
        server.wait(PRODUCTION, |one| one["rollout"]["actions"][0]["pool"] == pool).await?;
        server.post(&format!("{PRODUCTION}/rollout"), json!({ "action": "release", "pool": pool })).await?;
    }
    succeeded(&server, &first).await?;

    let release = format!("order: manual, watch: 0s, freeze: [\"{}\"]", always());
    service::put(&tree, env!("CARGO_BIN_EXE_serin-e2e-service"), &environments(&release))?;
    tree.write("service.txt", "version two\n")?;
    let second = tree.push_pipeline(service::RELEASE_PIPELINE).await?;
    let environment = waits(&server, &second, "override").await?;
    assert_eq!(environment["rollout"]["terms"]["frozen"]["window"], always().as_str(), "{environment}");
    let click = json!({ "action": "release", "pool": "a" });
    let (status, said) = ask(&server, &server.token, click.clone()).await?;
    assert_eq!((status, said.contains("releases are frozen until")), (StatusCode::CONFLICT, true), "{said}");
    // The page says so too, in the reader's language, and offers what is left to do.
    let page = server.ask(Method::GET, "/tiny/-/environments/production", None).await?.1;
    assert!(page.contains("no pool begins before") && page.contains("confirm=override"), "{page}");
    assert!(!page.contains("confirm=release"), "{page}");
    let rollout = &environment["rollout"];
    assert_eq!(rollout["message_zh"], "等待发布服务池 a");
    let last = rollout["timeline"].as_array().and_then(|all| all.last()).context("timeline")?;
    assert!(last["message_zh"].as_str().is_some_and(|said| said.starts_with("封网至")), "{last}");
    // A crash forgets none of it.
    server.kill().await?;
    server.start_again().await?;
    waits(&server, &second, "override").await?;
    assert_eq!(ask(&server, &server.token, click.clone()).await?.0, StatusCode::CONFLICT);
    let reason = json!({ "action": "override", "reason": "the bank asks for it" });
    assert_eq!(ask(&server, &server.token, reason).await?.0, StatusCode::OK);
    assert_eq!(ask(&server, &server.token, click).await?.0, StatusCode::OK);
    server.wait(PRODUCTION, |one| one["rollout"]["actions"][0]["pool"] == "b").await?;
    assert_eq!(ask(&server, &server.token, json!({ "action": "roll_back" })).await?.0, StatusCode::OK);
    server.wait(PRODUCTION, |one| service::runs(one, &first, 2)).await?;
    Ok(())
}

#[tokio::test]
async fn who_pushed_a_branch_under_another_name_wrote_it() -> Result<()> {
    let server = Server::start().await?;
    let tree = begun(&server, "order: automatic, watch: 0s, approvals: 1").await?;
    let (lee, ada) = (person(&server, "lee", "api").await?, person(&server, "ada", "api").await?);
    let base = tree.push_pipeline("job: { script: 'true' }\n").await?;
    server.finished(PROJECT, &base).await?;
    // Ada begins a branch where `main` stands, and Lee changes it as nobody who is known.
    let as_person = |token: &str| server.url.replace("http://", &format!("http://person:{token}@"));
    tree.git(&["push", "--quiet", &format!("{}/{PROJECT}.git", as_person(&ada)), "HEAD:refs/heads/change"]).await?;
    tree.git(&["config", "user.email", "nobody@example.net"]).await?;
    let on_main = "workflow: { rules: [{ if: $CI_COMMIT_BRANCH == 'main' }] }\n";
    tree.write(".gitlab-ci.yml", on_main.to_owned() + service::RELEASE_PIPELINE)?;
    tree.commit("Change").await?;
    tree.git(&["push", "--quiet", &format!("{}/{PROJECT}.git", as_person(&lee)), "HEAD:refs/heads/change"]).await?;
    let request = json!({ "source_branch": "change", "target_branch": "main" });
    let request = server.post(&format!("/projects/{PROJECT}/merge_requests"), request).await?;
    let path = format!("/projects/{PROJECT}/merge_requests/{}", request["iid"]);
    let ready = |request: &Value| request["blockers"] == json!([]) && request["merge_status"] == "can_be_merged";
    server.wait(&path, ready).await?;
    let (status, merged) = server.ask(Method::PUT, &format!("/api/v4{path}/merge"), Some(json!({}))).await?;
    assert_eq!(status, StatusCode::OK, "{merged}");
    let merged: Value = serde_json::from_str(&merged)?;
    let commit = merged["merge_commit_sha"].as_str().context("commit")?;
    let environment = waits(&server, commit, "approve").await?;
    // The administrator opened the merge request and pushed what was there before.
    assert_eq!(environment["rollout"]["terms"]["authors"], json!(["admin", "lee"]), "{environment}");
    assert_eq!(ask(&server, &lee, approve(&environment)).await?.0, StatusCode::FORBIDDEN);
    assert_eq!(ask(&server, &ada, approve(&environment)).await?.0, StatusCode::OK);
    succeeded(&server, commit).await?;
    Ok(())
}
