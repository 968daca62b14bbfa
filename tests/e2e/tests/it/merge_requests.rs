//! Merge requests by push, what blocks them, and which pushes are refused.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use serin_e2e::{Server, WorkTree};

const PROJECT: &str = "team/shop";
const API: &str = "/projects/team%2Fshop";

/// Runs for merge requests alone; the branch `red` fails, the branch `slow` waits until the file `go` is there.
fn pipeline_file(go: &std::path::Path) -> String {
    let go = go.display();
    format!(
        "check:\n  rules: [{{ if: $CI_PIPELINE_SOURCE == \"merge_request_event\" }}]\n  script:\n    \
         - test -e base.txt && cat *.txt\n    - test \"$CI_MERGE_REQUEST_SOURCE_BRANCH_NAME\" != red\n    \
         - case \"$CI_MERGE_REQUEST_SOURCE_BRANCH_NAME\" in slow*) while [ ! -e '{go}' ]; do sleep 0.05; done;; esac\n"
    )
}

/// A server, and a work tree whose `main` has the pipeline file.
async fn begun() -> Result<(Server, WorkTree)> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    tree.write(".gitlab-ci.yml", pipeline_file(&tree.path().join("go")))?;
    tree.write(".gitignore", "go\n")?;
    tree.write("base.txt", "base\n")?;
    tree.commit("Begin").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    Ok((server, tree))
}

/// A branch off `main` with one file, pushed with a merge request.
async fn propose(tree: &WorkTree, branch: &str, file: (&str, &str), more: &[&str]) -> Result<()> {
    tree.git(&["fetch", "--quiet", "origin"]).await?;
    tree.git(&["checkout", "--quiet", "-B", branch, "origin/main"]).await?;
    tree.write(file.0, file.1)?;
    tree.commit(&format!("Change {}", file.0)).await?;
    let mut push = vec!["push", "--quiet", "-o", "merge_request.create", "-o", "merge_request.target=main"];
    push.extend(more);
    push.extend(["origin", branch]);
    tree.git(&push).await?;
    Ok(())
}

async fn request(server: &Server, branch: &str) -> Result<Value> {
    let of_branch = |request: &Value| request["source_branch"] == branch;
    let list = format!("{API}/merge_requests");
    let all = server.wait(&list, |all| all.as_array().is_some_and(|all| all.iter().any(of_branch))).await?;
    all.as_array().and_then(|all| all.iter().find(|request| of_branch(request))).cloned().context("no merge request")
}

async fn request_until(server: &Server, branch: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let iid = request(server, branch).await?["iid"].clone();
    server.wait(&format!("{API}/merge_requests/{iid}"), wanted).await
}

fn pipeline_is(status: &str) -> impl Fn(&Value) -> bool {
    move |request| request["head_pipeline"]["status"] == status
}

async fn merge(server: &Server, request: &Value) -> Result<(StatusCode, String)> {
    server.ask(Method::PUT, &format!("/api/v4{API}/merge_requests/{}/merge", request["iid"]), Some(json!({}))).await
}

#[tokio::test]
async fn a_pushed_merge_request_is_built_on_its_merged_result_and_merged_when_that_succeeds() -> Result<()> {
    let (server, tree) = begun().await?;
    // Only on the new main, so only the merged result has both files.
    let options = ["-o", "merge_request.title=Add one", "-o", "merge_request.merge_when_pipeline_succeeds"];
    tree.git(&["checkout", "--quiet", "-b", "slow"]).await?;
    tree.write("one.txt", "one\n")?;
    let head = tree.commit("One").await?;
    tree.git(&["checkout", "--quiet", "main"]).await?;
    tree.write("two.txt", "two\n")?;
    let main = tree.commit("Two").await?;
    tree.git(&["push", "--quiet", "-o", "ci.skip", "origin", "main"]).await?;
    let mut push = vec!["push", "-o", "merge_request.create", "-o", "merge_request.target=main"];
    push.extend(options);
    push.extend(["origin", "slow"]);
    let said = tree.git(&push).await?;
    assert!(said.contains("/team/shop/-/merge_requests"), "{said}");

    let request = request_until(&server, "slow", pipeline_is("running")).await?;
    assert_eq!((&request["title"], &request["sha"]), (&json!("Add one"), &json!(head)));
    let pipeline = &request["head_pipeline"];
    assert_eq!(
        (&pipeline["source"], &pipeline["ref"]),
        (&json!("merge_request_event"), &json!("refs/merge-requests/1/merge"))
    );
    let job = server.job("team%2Fshop", pipeline, "check").await?;
    let trace = server.trace_until("team%2Fshop", &job, "\ntwo").await?;
    assert!(trace.contains("\none"), "{trace}");
    let (status, why) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(why.contains("is running"), "{why}");

    tree.write("go", "")?;
    let merged = request_until(&server, "slow", |request| request["state"] == "merged").await?;
    assert_eq!(merged["merge_commit_sha"], pipeline["sha"], "what was tested is what is merged");
    tree.git(&["fetch", "--quiet", "origin"]).await?;
    let parents = tree.git(&["log", "-1", "--format=%P", "origin/main"]).await?;
    assert_eq!(parents.trim(), format!("{main} {head}"));
    Ok(())
}

#[tokio::test]
async fn a_red_pipeline_blocks_and_says_why() -> Result<()> {
    let (server, tree) = begun().await?;
    propose(&tree, "red", ("red.txt", "red\n"), &["-o", "merge_request.merge_when_pipeline_succeeds"]).await?;
    let request = request_until(&server, "red", pipeline_is("failed")).await?;
    let why = request["blockers"][0].as_str().context("no blocker")?;
    assert!(why.contains("failed in check"), "{why}");
    let (status, said) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(said.contains("failed in check"), "{said}");
    assert_eq!(self::request(&server, "red").await?["state"], "opened");
    Ok(())
}

#[tokio::test]
async fn an_outdated_pipeline_blocks_until_a_new_one_succeeds() -> Result<()> {
    let (server, tree) = begun().await?;
    propose(&tree, "first", ("first.txt", "1\n"), &[]).await?;
    let request = request_until(&server, "first", pipeline_is("success")).await?;
    assert_eq!(request["blockers"], json!([]));
    tree.git(&["checkout", "--quiet", "main"]).await?;
    tree.write("moved.txt", "moved\n")?;
    tree.commit("Move main").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    let blocked =
        |request: &Value| request["blockers"][0].as_str().is_some_and(|why| why.contains("outdated: main has moved"));
    request_until(&server, "first", blocked).await?;
    let (status, said) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(said.contains("run a new pipeline"), "{said}");
    server.post(&format!("{API}/merge_requests/{}/pipelines", request["iid"]), json!({})).await?;
    let request = request_until(&server, "first", |request| request["blockers"] == json!([])).await?;
    let (status, said) = merge(&server, &request).await?;
    assert!(status.is_success(), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_conflict_names_its_file() -> Result<()> {
    let (server, tree) = begun().await?;
    propose(&tree, "here", ("base.txt", "here\n"), &[]).await?;
    tree.git(&["checkout", "--quiet", "main"]).await?;
    tree.write("base.txt", "there\n")?;
    tree.commit("There").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    let request = request_until(&server, "here", |request| request["has_conflicts"] == true).await?;
    let why = request["blockers"][0].as_str().context("no blocker")?;
    assert!(why.contains("conflicts with main in base.txt"), "{why}");
    let (status, said) = merge(&server, &request).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(said.contains("base.txt"), "{said}");
    Ok(())
}

#[tokio::test]
async fn protected_branches_are_kept_before_a_push_is_accepted() -> Result<()> {
    let (server, tree) = begun().await?;
    tree.git(&["push", "--quiet", "origin", "HEAD:refs/heads/release"]).await?;
    server.post(&format!("{API}/protected_branches"), json!({ "name": "release", "push_allowed": false })).await?;
    let before = tree.git(&["ls-remote", "origin"]).await?;

    tree.write("more.txt", "more\n")?;
    let more = tree.commit("More").await?;
    let said = tree.try_git(&["push", "origin", "HEAD:refs/heads/release"]).await?;
    assert!(!said.good && said.text.contains("protected branch: open a merge request"), "{}", said.text);
    let said = tree.try_git(&["push", "origin", ":refs/heads/release"]).await?;
    assert!(!said.good && said.text.contains("cannot be deleted"), "{}", said.text);
    tree.git(&["commit", "--quiet", "--amend", "--message=Another root"]).await?;
    tree.git(&["reset", "--quiet", "--soft", "HEAD~"]).await?;
    tree.git(&["commit", "--quiet", "--amend", "--message=Rewritten"]).await?;
    let said = tree.try_git(&["push", "--force", "origin", "HEAD:main"]).await?;
    assert!(!said.good && said.text.contains("rejected"), "{}", said.text);
    assert_eq!(tree.git(&["ls-remote", "origin"]).await?, before);
    // One refused ref takes the others of the same push with it.
    let said = tree.try_git(&["push", "origin", "HEAD:refs/heads/fine", &format!("{more}:refs/heads/release")]).await?;
    assert!(!said.good, "{}", said.text);
    assert_eq!(tree.git(&["ls-remote", "origin"]).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_push_may_skip_its_pipeline() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    tree.write(".gitlab-ci.yml", "job: { script: echo hello }\n")?;
    let skipped = tree.commit("Skipped by option").await?;
    tree.git(&["push", "--quiet", "-o", "ci.skip", "origin", "main"]).await?;
    tree.write("a", "a")?;
    let by_message = tree.commit("Skipped by message [skip ci]").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    tree.write("b", "b")?;
    let built = tree.commit("Built").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    server.finished("team%2Fshop", &built).await?;
    let all = server.get(&format!("{API}/pipelines")).await?;
    let built: Vec<&Value> = all.as_array().into_iter().flatten().map(|pipeline| &pipeline["sha"]).collect();
    assert_eq!(built.len(), 1, "{skipped} and {by_message} were built: {all}");
    Ok(())
}
