//! A repository with a hand-written pipeline file runs as the file says.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use serin_e2e::{Said, Server};

const PROJECT: &str = "hand";

const WHOLE: &str = r#"
stages: [build, test, deliver]

variables:
  GREETING: hello
  WHOM: $GREETING world

default:
  before_script:
    - echo "before $CI_JOB_NAME"

compile:
  stage: build
  variables: { WHOM: builders }
  script:
    - mkdir -p out/deep
    - printf '%s, %s' "$GREETING" "$WHOM" > out/deep/greeting.txt
    - echo secret > out/left-out.txt
    - echo "SIZE=42" > build.env
  artifacts:
    paths: [out/]
    exclude: [out/left-out.txt]
    reports: { dotenv: build.env }
    expire_in: 1 week

no-artifacts:
  stage: build
  script: test ! -e out

early:
  stage: test
  needs: []
  before_script: []
  script: test ! -e out && test "$WHOM" = "hello world"

reads:
  stage: test
  script:
    - test "$(cat out/deep/greeting.txt)" = "hello, builders"
    - test ! -e out/left-out.txt
    - test "$SIZE" = 42
    - echo "branch $CI_COMMIT_BRANCH of $CI_PROJECT_PATH by $CI_PIPELINE_SOURCE"

without:
  stage: test
  needs: [{ job: compile, artifacts: false }]
  script: test ! -e out

may-fail:
  stage: test
  script: exit 7
  allow_failure: true

may-fail-so:
  stage: test
  script: exit 137
  allow_failure: { exit_codes: [137] }

again:
  stage: test
  script:
    - echo "try"
    - exit 3
  retry: 2
  allow_failure: true

cleans-up:
  stage: test
  script:
    - echo "in script"
    - "false"
  after_script:
    - echo "after, the job is $CI_JOB_STATUS"
  allow_failure: true

too-long:
  stage: test
  timeout: 2s
  script: sleep 1000
  allow_failure: true

never:
  stage: test
  script: exit 1
  rules:
    - if: $CI_COMMIT_BRANCH == "main"
      when: never
    - when: always

chosen:
  stage: test
  script: test "$PICKED" = yes
  rules:
    - if: $CI_COMMIT_BRANCH == "other"
    - if: $GREETING =~ /^hel+o$/
      variables: { PICKED: "yes" }

broken-clean-up:
  stage: deliver
  when: on_failure
  script: echo "only after failures"

ship:
  stage: deliver
  when: manual
  allow_failure: true
  script: test -e out/deep/greeting.txt && echo shipped

last:
  stage: deliver
  when: always
  script: echo done
"#;

async fn statuses(server: &Server, pipeline: &Value) -> Result<Value> {
    let jobs = server.get(&format!("/projects/{PROJECT}/pipelines/{}/jobs", pipeline["id"])).await?;
    let jobs = jobs.as_array().context("no list of jobs")?;
    let pairs = jobs.iter().map(|job| (job["name"].as_str().unwrap_or_default().to_owned(), job["status"].clone()));
    Ok(Value::Object(pairs.collect()))
}

#[tokio::test]
async fn a_hand_written_pipeline_runs_as_it_says() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let commit = tree.push_pipeline(WHOLE).await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    assert_eq!((&pipeline["status"], &pipeline["ref"]), (&json!("success"), &json!("main")), "{pipeline}");
    let expected = json!({
        "compile": "success", "no-artifacts": "success", "early": "success", "reads": "success",
        "without": "success", "may-fail": "failed", "may-fail-so": "failed", "again": "failed",
        "cleans-up": "failed", "too-long": "failed", "chosen": "success", "broken-clean-up": "skipped",
        "ship": "manual", "last": "success",
    });
    assert_eq!(statuses(&server, &pipeline).await?, expected);
    let job = async |name: &str| server.job(PROJECT, &pipeline, name).await;

    let reads = server.trace(PROJECT, &job("reads").await?).await?;
    assert!(reads.contains("before reads") && reads.contains("branch main of hand by push"), "{reads}");
    let cleans_up = server.trace(PROJECT, &job("cleans-up").await?).await?;
    assert!(cleans_up.contains("after, the job is failed"), "{cleans_up}");
    let failed = job("may-fail").await?;
    assert_eq!((&failed["exit_code"], &failed["allow_failure"]), (&json!(7), &json!(true)));
    assert_eq!(job("again").await?["attempt"], 3);
    assert_eq!(job("too-long").await?["failure_reason"], "job_execution_timeout");

    let compile = job("compile").await?;
    let archive = server.file(&format!("/projects/{PROJECT}/jobs/{}/artifacts", compile["id"])).await?;
    let archive = zip::ZipArchive::new(std::io::Cursor::new(archive))?;
    let files: Vec<&str> = archive.file_names().filter(|name| !name.ends_with('/')).collect();
    assert_eq!(files, ["out/deep/greeting.txt"]);

    let ship = job("ship").await?;
    server.post(&format!("/projects/{PROJECT}/jobs/{}/play", ship["id"]), json!({})).await?;
    let ship = server.job_until(PROJECT, &ship, &["success", "failed"]).await?;
    assert_eq!(ship["status"], "success");
    assert!(server.trace(PROJECT, &ship).await?.contains("shipped"));
    Ok(())
}

#[tokio::test]
async fn a_red_job_stops_the_stages_behind_it() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let file = "stages: [a, b]\nred: { stage: a, script: exit 1 }\nafter: { stage: b, script: echo no }\n\
                tidy: { stage: b, script: echo yes, when: on_failure }\n";
    let pipeline = server.finished(PROJECT, &tree.push_pipeline(file).await?).await?;
    assert_eq!(pipeline["status"], "failed");
    assert_eq!(statuses(&server, &pipeline).await?, json!({ "red": "failed", "after": "skipped", "tidy": "success" }));
    Ok(())
}

#[tokio::test]
async fn a_canceled_job_ends_and_a_retried_one_runs_again() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let commit = tree.push_pipeline("waits: { script: [echo waiting, sleep 1000] }\n").await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, "waits").await?;
    server.trace_until(PROJECT, &job, "\nwaiting").await?;
    server.post(&format!("/projects/{PROJECT}/jobs/{}/cancel", job["id"]), json!({})).await?;
    server.job_until(PROJECT, &job, &["canceled"]).await?;
    let (status, _) = server
        .ask(Method::POST, &format!("/api/v4/projects/{PROJECT}/jobs/{}/cancel", job["id"]), Some(json!({})))
        .await?;
    assert!(status.is_client_error() || status.is_success());
    server.post(&format!("/projects/{PROJECT}/jobs/{}/retry", job["id"]), json!({})).await?;
    let job = server.job_until(PROJECT, &job, &["running"]).await?;
    assert_eq!(job["attempt"], 2);
    Ok(())
}

/// A file with a misspelt key in line 4.
const MISSPELT: &str = "build:\n  stage: build\n  script: echo hello\n  artefacts:\n    paths: [out]\n";

#[tokio::test]
async fn a_misspelt_key_is_an_error_with_its_place_and_a_suggestion() -> Result<()> {
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let pipeline = server.finished(PROJECT, &tree.push_pipeline(MISSPELT).await?).await?;
    assert_eq!(pipeline["status"], "failed");
    let said = pipeline["yaml_errors"].as_str().context("no errors told")?;
    for part in [".gitlab-ci.yml:4:3", "artefacts", "artifacts"] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert_eq!(server.get(&format!("/projects/{PROJECT}/pipelines/{}/jobs", pipeline["id"])).await?, json!([]));

    let lint = |flags: &[&str]| {
        let mut command = std::process::Command::new(serin_e2e::server::program()?);
        anyhow::Ok(Said::of(&command.arg("lint").args(flags).current_dir(tree.path()).env("NO_COLOR", "1").output()?))
    };
    let text = lint(&[])?;
    assert_eq!(text.code, Some(1));
    for part in [".gitlab-ci.yml:4:3", "artefacts", "artifacts"] {
        assert!(text.text.contains(part), "no `{part}` in:\n{}", text.text);
    }
    let data = lint(&["--format", "json"])?;
    assert_eq!(data.code, Some(1));
    let data: Value = serde_json::from_str(&data.text)?;
    let finding = &data[0];
    assert_eq!(
        (&finding["file"], &finding["line"], &finding["column"]),
        (&json!(".gitlab-ci.yml"), &json!(4), &json!(3))
    );
    tree.write(".gitlab-ci.yml", "build: { script: echo hello }\n")?;
    assert_eq!(lint(&[])?.code, Some(0));
    Ok(())
}
