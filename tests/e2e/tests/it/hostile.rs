//! Names that want to be options, commands, markup or paths stay names.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use serin_e2e::{Server, WorkTree};

const PROJECT: &str = "names";

/// Branches that Git allows, and that hurt whoever hands them to a shell, to HTML, or to Git without care.
const BRANCHES: [&str; 6] = [
    "$(touch${IFS}hurt)",
    "`touch${IFS}hurt`",
    "x;touch${IFS}hurt;",
    "quote'\"><script>alert(1)</script>",
    "a&b=c#d%2e%2e",
    "grün/枝",
];

const PIPELINE: &str = r#"
show:
  script:
    - printf '%s\n' "$CI_COMMIT_BRANCH" "$CI_COMMIT_TITLE" "$CI_COMMIT_MESSAGE"
"#;

const MESSAGE: &str =
    "Title $(touch hurt) `touch hurt` <script>alert(1)</script>\n\nline\r\n\x1b[2Jline 'with' \"quotes\"\n::error\n";

/// Every file below the folder with this name.
fn find(folder: &Path, name: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name() == name {
            found.insert(entry.path().display().to_string());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&entry.path(), name, found);
        }
    }
}

fn nothing_was_touched(server: &Server, tree: &WorkTree) {
    let mut found = BTreeSet::new();
    find(&server.data(), "hurt", &mut found);
    find(tree.path(), "hurt", &mut found);
    find(Path::new(env!("CARGO_MANIFEST_DIR")), "hurt", &mut found);
    assert_eq!(found, BTreeSet::new());
    assert!(!Path::new("/hurt").exists() && !Path::new("/tmp/hurt").exists());
}

/// A page with the administrator's token; it must be answered, and hold no markup of the names.
async fn page(server: &Server, path: &str) -> Result<String> {
    let (status, body) = server.ask(Method::GET, path, None).await?;
    assert!(status.is_success(), "{path}: {status}: {body}");
    assert!(!body.contains("<script>alert"), "{path} holds a script of somebody's:\n{body}");
    Ok(body)
}

#[tokio::test]
async fn hostile_branches_and_messages_stay_names() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    tree.write(".gitlab-ci.yml", PIPELINE)?;
    tree.commit("Begin").await?;
    tree.git(&["push", "--quiet", "-o", "ci.skip", "origin", "main"]).await?;
    for branch in BRANCHES {
        tree.git(&["checkout", "--quiet", "-b", branch, "main"]).await?;
        tree.write("file.txt", branch)?;
        let commit = tree.commit(MESSAGE).await?;
        tree.git(&[
            "push",
            "--quiet",
            "-o",
            "merge_request.create",
            "-o",
            "merge_request.target=main",
            "origin",
            branch,
        ])
        .await?;
        let pipeline = server.finished(PROJECT, &commit).await?;
        assert_eq!(pipeline["ref"], branch);
        assert_eq!(pipeline["status"], "success", "{branch}");
        let job = server.job(PROJECT, &pipeline, "show").await?;
        let trace = server.trace(PROJECT, &job).await?;
        assert!(trace.contains(&format!("\n{branch}\n")), "the job saw another branch:\n{trace}");
        for path in ["pipelines", "jobs"] {
            let id = if path == "jobs" { &job["id"] } else { &pipeline["id"] };
            page(&server, &format!("/{PROJECT}/-/{path}/{id}")).await?;
        }
        let (status, log) = server.ask(Method::GET, &format!("/{PROJECT}/-/jobs/{}/log", job["id"]), None).await?;
        assert!(status.is_success() && serde_json::from_str::<Value>(&log).is_ok(), "{status}: {log}");
    }
    let requests = server
        .wait(&format!("/projects/{PROJECT}/merge_requests"), |all| {
            all.as_array().map(Vec::len) == Some(BRANCHES.len())
        })
        .await?;
    for request in requests.as_array().context("no list")? {
        page(&server, &format!("/{PROJECT}/-/merge_requests/{}", request["iid"])).await?;
        page(&server, &format!("/{PROJECT}/-/merge_requests/{}/changes", request["iid"])).await?;
    }
    for path in ["/", "/names", "/names/-/pipelines", "/names/-/merge_requests", "/names/-/merge_requests/new"] {
        page(&server, path).await?;
    }
    nothing_was_touched(&server, &tree);
    Ok(())
}

#[tokio::test]
async fn a_branch_that_looks_like_an_option_is_refused_or_harmless() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    tree.write("a", "a")?;
    tree.commit("Begin").await?;
    tree.git(&["push", "--quiet", "origin", "main"]).await?;
    for name in ["--upload-pack=touch${IFS}hurt", "-x", "x/-rf"] {
        // The client takes such a name with its full form alone.
        let said = tree.try_git(&["push", "origin", &format!("HEAD:refs/heads/{name}")]).await?;
        assert!(!said.good && said.text.contains("begins with `-`"), "{name}: {}", said.text);
    }
    let commit = |name: &str| format!("/api/v4/projects/{PROJECT}/repository/commits/{name}");
    for name in
        ["--upload-pack=touch%20hurt", "%2D%2Dall", "main%0Amain", "main..main", "%40%7Bu%7D", "..%2F..%2Fx", "%00"]
    {
        let (status, said) = server.ask(Method::GET, &commit(name), None).await?;
        assert!(status.is_client_error(), "{name}: {status}: {said}");
    }
    for project in ["..%2F..%2Fetc", "%2E%2E", "names.git", "--help", "names%00", "names%2F..%2Fnames"] {
        let (status, said) = server.ask(Method::GET, &format!("/api/v4/projects/{project}"), None).await?;
        assert!(status.is_client_error(), "{project}: {status}: {said}");
        let (status, said) =
            server.ask(Method::GET, &format!("/{project}.git/info/refs?service=git-upload-pack"), None).await?;
        assert!(status.is_client_error(), "{project}: {status}: {said}");
    }
    let said = tree.try_git(&["ls-remote", "--upload-pack=touch hurt", "origin"]).await?;
    assert!(said.good, "{}", said.text);
    page(&server, "/names").await?;
    nothing_was_touched(&server, &tree);
    Ok(())
}

#[tokio::test]
async fn names_of_64_kilobytes_are_refused_in_words_or_carried() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    tree.write(".gitlab-ci.yml", "job: { script: ls | wc -c }\n")?;
    let commit = tree.commit("Begin").await?;
    tree.git(&["push", "--quiet", "-o", "ci.skip", "origin", "main"]).await?;

    // Git's own client refuses such a branch; the server must, whoever sends it.
    let command = format!("{} {commit} refs/heads/{}\0 report-status", "0".repeat(40), "x".repeat(65_000));
    let body = format!("{:04x}{command}0000", command.len() + 4);
    let answer = reqwest::Client::new()
        .post(format!("{}/{PROJECT}.git/git-receive-pack", server.url))
        .header("private-token", &server.token)
        .body(body)
        .send()
        .await?;
    let (status, said) = (answer.status(), answer.text().await?);
    assert!(status.is_client_error() && said.contains("longer than 255 bytes"), "{status}: {said}");

    // A tree with a file name of 64 KB, made by hand: no file system would hold it.
    let blob = tree.git(&["hash-object", "-w", ".gitlab-ci.yml"]).await?;
    let listing =
        format!("100644 blob {}\t.gitlab-ci.yml\n100644 blob {}\t{}\n", blob.trim(), blob.trim(), "n".repeat(65_536));
    let file = tree.write("../listing.txt", listing)?;
    let made = std::process::Command::new("git")
        .arg("mktree")
        .current_dir(tree.path())
        .stdin(std::fs::File::open(&file)?)
        .output()?;
    std::fs::remove_file(file)?;
    let id = String::from_utf8(made.stdout)?;
    let commit = tree.git(&["commit-tree", id.trim(), "-p", "HEAD", "-m", "Long name"]).await?;
    let said = tree
        .try_git(&["push", "-o", "merge_request.create", "origin", &format!("{}:refs/heads/long", commit.trim())])
        .await?;
    if said.good {
        let pipeline = server.finished(PROJECT, commit.trim()).await?;
        let job = server.job(PROJECT, &pipeline, "job").await?;
        assert_eq!(job["status"], "failed", "no file system holds that name: {job}");
        let request = server.wait(&format!("/projects/{PROJECT}/merge_requests"), |all| !all[0].is_null()).await?;
        page(&server, &format!("/{PROJECT}/-/merge_requests/{}/changes", request[0]["iid"])).await?;
        page(&server, &format!("/{PROJECT}/-/jobs/{}", job["id"])).await?;
    }
    page(&server, "/names").await?;
    let list: Value = server.get("/projects").await?;
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    Ok(())
}
