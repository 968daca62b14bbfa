//! Jobs in containers, by `serin run` and on the server: a real database beside them, and nothing left of them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use serin_e2e::image::{docker, postgresql};
use serin_e2e::{Engine, LOOK_EVERY, PATIENCE, Registry, Said, Server, WorkTree, process, server};
use tokio::process::{Child, Command};
use tokio::time::Instant;

const PROJECT: &str = "boxes";

/// The example with the tests' own image, as nothing can be pulled.
fn example(tree: &WorkTree, image: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/with-database");
    for name in ["schema.sql", "data.sql", "report.sql"] {
        tree.write(name, std::fs::read(folder.join(name))?)?;
    }
    let text = std::fs::read_to_string(folder.join(".gitlab-ci.yml"))?;
    ensure!(text.contains("postgres:15"), "{text}");
    Ok(text.replace("postgres:15", image))
}

/// A job that waits for ever in a container.
fn endless(image: &str, name: &str) -> String {
    format!(
        "{name}:\n  image: \"{image}\"\n  services: [\"{image}\"]\n  variables: {{POSTGRES_PASSWORD: x}}\n  retry: 1\n  \
             script: [\"echo begun, attempt $CI_JOB_ID\", \"test -e go || sleep 100000\"]\n"
    )
}

/// A name for a job that no other test has.
fn unique(word: &str) -> String {
    format!("{word}-{}", std::process::id())
}

/// The containers and networks of a job of that name.
fn left(name: &str) -> Result<Vec<String>> {
    let label = format!("label=serin.job.name={name}");
    let containers = docker(&["ps", "-aq", "--filter", &label])?;
    let networks = docker(&["network", "ls", "-q", "--filter", &label])?;
    Ok(containers.split_whitespace().chain(networks.split_whitespace()).map(str::to_owned).collect())
}

/// The unnamed volumes of a job's containers.
fn volumes(name: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for id in docker(&["ps", "-aq", "--filter", &format!("label=serin.job.name={name}")])?.split_whitespace() {
        // One that only told its image's user may be gone.
        let names = docker(&["inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", id]).unwrap_or_default();
        all.extend(names.split_whitespace().map(str::to_owned));
    }
    Ok(all)
}

async fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// A `serin run` in a work tree.
fn serin_run(tree: &WorkTree, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(server::program()?);
    command.arg("run").args(arguments).current_dir(tree.path()).env("SERIN_CACHE", tree.path().join(".git/cache"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

#[tokio::test]
async fn a_database_beside_a_job_is_the_same_here_and_on_the_server() -> Result<()> {
    let image = postgresql()?;
    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let file = example(&tree, &image)? + "    - id -u\n    - test ! -e /var/run/docker.sock\n";
    let commit = tree.push_pipeline(&file).await?;
    let words = [
        format!("Using Docker executor with image {image}: the job names it, and a Docker Engine answers"),
        ", db is ready: port 5432 accepts".to_owned(),
        "\nINSERT 0 3\n".to_owned(),
        "\ntea 2|coffee 1\n".to_owned(),
        "Job succeeded".to_owned(),
    ];

    let output = serin_run(&tree, &["--format", "json"])?.output().await?;
    ensure!(output.status.success(), "{}", Said::of(&output).text);
    let outcome: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((&outcome["jobs"][0]["status"], &outcome["jobs"][1]["status"]), (&json!("success"), &json!("success")));
    let here = std::fs::read_to_string(outcome["jobs"][0]["logs"][0].as_str().unwrap_or_default())?;

    let ended = server.finished(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &ended, "migrate").await?;
    let there = server.trace(PROJECT, &job).await?;
    assert_eq!(ended["status"], "success", "{there}");
    for words in &words {
        assert!(here.contains(words), "no {words:?} in {here}");
        assert!(there.contains(words), "no {words:?} in {there}");
    }
    Ok(())
}

/// A `serin run` whose job is under way in a container.
async fn begun(tree: &WorkTree, name: &str) -> Result<Child> {
    let child = serin_run(tree, &["--lines"])?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // The service, the job, the network.
    until("the job runs", || Ok(left(name)?.len() == 3)).await?;
    Ok(child)
}

#[tokio::test]
async fn a_killed_serin_run_leaves_nothing_after_the_next_start() -> Result<()> {
    let image = postgresql()?;
    let server = Server::start_with(&["--executor", "shell"]).await?;
    let tree = server.project(PROJECT).await?;
    let (name, other) = (unique("killed"), unique("alive"));
    tree.write(".gitlab-ci.yml", endless(&image, &other))?;
    tree.commit("First").await?;
    let mut alive = begun(&tree, &other).await?;
    tree.write(".gitlab-ci.yml", endless(&image, &name))?;
    let mut child = begun(&tree, &name).await?;
    let volumes = volumes(&name)?;
    ensure!(!volumes.is_empty(), "the image has one");
    process::kill(child.id().unwrap_or_default())?;
    child.wait().await?;

    tree.write("go", "")?;
    let output = serin_run(&tree, &["--lines"])?.output().await?;
    ensure!(output.status.success(), "{}", Said::of(&output).text);
    assert_eq!(left(&name)?, [""; 0]);
    assert!(volumes.iter().all(|volume| docker(&["volume", "inspect", volume]).is_err()), "{volumes:?}");
    assert_eq!(left(&other)?.len(), 3, "the owner of these lives");

    // One that is asked to end takes its own along.
    nix_terminate(&alive)?;
    alive.wait().await?;
    assert_eq!(left(&other)?, [""; 0]);
    Ok(())
}

fn nix_terminate(child: &Child) -> Result<()> {
    let pid = child.id().unwrap_or_default().to_string();
    ensure!(std::process::Command::new("kill").args(["-TERM", &pid]).status()?.success(), "kill {pid}");
    Ok(())
}

#[tokio::test]
async fn a_killed_server_leaves_nothing_and_the_job_runs_again() -> Result<()> {
    let image = postgresql()?;
    let mut server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let name = unique("server");
    let commit = tree.push_pipeline(&endless(&image, &name)).await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, &name).await?;
    server.trace_until(PROJECT, &job, "\nbegun").await?;
    let before = left(&name)?;
    server.kill().await?;
    server.start_again().await?;
    until("what the dead server left is gone", || Ok(left(&name)?.iter().all(|id| !before.contains(id)))).await?;
    let path = format!("/projects/{PROJECT}/jobs/{}", job["id"]);
    server.wait(&path, |job| job["attempt"] == 2 && job["status"] == "running").await?;
    until("it runs again", || Ok(left(&name)?.len() == 3)).await?;

    // A cancel ends it in its container.
    server.post(&format!("/projects/{PROJECT}/jobs/{}/cancel", job["id"]), json!({})).await?;
    server.job_until(PROJECT, &job, &["canceled"]).await?;
    assert_eq!(left(&name)?, [""; 0]);
    Ok(())
}

/// Makes a small image with a shell in an engine of the test's own.
fn small_image(engine: &Engine) -> Result<&'static str> {
    const NAME: &str = "serin-test/small:1";
    let folder = tempfile::tempdir()?;
    let bin = folder.path().join("root/bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::copy("/bin/busybox", bin.join("busybox"))?;
    for name in ["sh", "cat", "chmod", "chown", "env", "grep", "id", "ls", "mkdir", "sleep", "stat"] {
        std::os::unix::fs::symlink("busybox", bin.join(name))?;
    }
    let archive = folder.path().join("image.tar").display().to_string();
    let root = folder.path().join("root").display().to_string();
    ensure!(std::process::Command::new("tar").args(["-C", &root, "-cf", &archive, "."]).status()?.success());
    engine.docker(&["import", &archive, NAME])?;
    Ok(NAME)
}

#[tokio::test]
async fn an_engine_killed_under_a_job_leaves_nothing_and_the_job_runs_again() -> Result<()> {
    let mut engine = Engine::start().await?;
    let image = small_image(&engine)?;
    let server = Server::start_in(&["--executor", "docker"], &[("DOCKER_HOST", &engine.host())]).await?;
    let tree = server.project(PROJECT).await?;
    let file = format!("inside:\n  image: \"{image}\"\n  script: [echo begun, sleep 100000]\n");
    let pipeline = server.pipeline(PROJECT, &tree.push_pipeline(&file).await?).await?;
    let job = server.job(PROJECT, &pipeline, "inside").await?;
    server.trace_until(PROJECT, &job, "\nbegun").await?;
    let before = engine.docker(&["ps", "-aq"])?;
    engine.kill().await?;
    let path = format!("/projects/{PROJECT}/jobs/{}", job["id"]);
    server.wait(&path, |job| job["attempt"] != 1 || job["status"] == "failed").await?;
    engine.start_again().await?;
    let ended = server.wait(&path, |job| job["status"] == "failed" || job["status"] == "running").await?;
    let job = match ended["status"] == "failed" {
        true => server.post(&format!("{path}/retry"), json!({})).await?,
        false => ended,
    };
    server.trace_until(PROJECT, &job, "\nbegun").await?;
    until("what the killed engine had is gone", || {
        let now = engine.docker(&["ps", "-aq"])?;
        Ok(now.lines().count() == 1 && before.lines().all(|id| !now.contains(id)))
    })
    .await?;
    server.post(&format!("/projects/{PROJECT}/jobs/{}/cancel", job["id"]), json!({})).await?;
    server.job_until(PROJECT, &job, &["canceled"]).await?;
    until("nothing is left", || {
        let networks = engine.docker(&["network", "ls", "-q", "--filter", "label=serin.job.name"])?;
        Ok(networks.is_empty() && engine.docker(&["ps", "-aq"])?.is_empty())
    })
    .await
}

#[tokio::test]
async fn a_server_with_containers_alone_runs_nothing_beside_them() -> Result<()> {
    let image = postgresql()?;
    let server = Server::start_with(&["--executor", "docker", "--job-pids", "50"]).await?;
    let tree = server.project(PROJECT).await?;
    let mark = tree.path().join("mark");
    let script = format!("\"id; echo it ran; touch '{}'\"", mark.display());
    let file = format!(
        "plain: {{script: [{script}]}}\n\
         flags: {{image: '--privileged', script: [{script}]}}\n\
         absent: {{image: '127.0.0.1:1/absent', script: [{script}]}}\n\
         inside: {{image: '{image}', script: [{script}, 'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max']}}\n"
    );
    let pipeline = server.finished(PROJECT, &tree.push_pipeline(&file).await?).await?;
    for (name, words) in [
        ("plain", "names no image: give `image:`"),
        ("flags", "`--privileged` is no image name"),
        ("absent", "cannot be pulled"),
        ("inside", "No such file or directory"),
    ] {
        let job = server.job(PROJECT, &pipeline, name).await?;
        let trace = server.trace(PROJECT, &job).await?;
        assert_eq!(job["status"], "failed", "{trace}");
        assert!(trace.contains(words), "no {words:?} in {trace}");
        assert_eq!(trace.contains("uid=999"), name == "inside", "{trace}");
    }
    assert!(!mark.exists(), "a script ran on this machine");
    Ok(())
}

#[tokio::test]
async fn images_behind_a_login_are_pulled_with_it() -> Result<()> {
    let image = postgresql()?;
    let registry = Registry::start().await?;
    let name = format!("{}/private/{}:1", registry.address, unique("box"));
    let config = tempfile::tempdir()?;
    std::fs::write(config.path().join("config.json"), registry.config())?;
    docker(&["tag", &image, &name])?;
    docker(&["--config", &config.path().display().to_string(), "push", "--quiet", &name])?;
    docker(&["rmi", &name])?;
    let gone = Gone(name.clone());
    let file = format!("inside:\n  image: {{name: '{name}', pull_policy: always}}\n  script: [id -u, 'echo inside']\n");

    let server = Server::start().await?;
    let tree = server.project(PROJECT).await?;
    let commit = tree.push_pipeline(&file).await?;
    let pipeline = server.finished(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, "inside").await?;
    let trace = server.trace(PROJECT, &job).await?;
    assert_eq!(job["status"], "failed", "{trace}");
    assert!(trace.contains("cannot be pulled") && trace.contains("no basic auth credentials"), "{trace}");

    let path = format!("/projects/{PROJECT}");
    let wrong =
        json!({ "key": "DOCKER_AUTH_CONFIG", "value": "{\"auths\": {\"a\": {\"auth\": \"geheim\"}}}", "raw": true });
    server.post(&format!("{path}/variables"), wrong).await?;
    let retried = server.post(&format!("{path}/jobs/{}/retry", job["id"]), json!({})).await?;
    server.job_until(PROJECT, &retried, &["failed", "success"]).await?;
    let trace = server.trace(PROJECT, &retried).await?;
    assert!(trace.contains("`DOCKER_AUTH_CONFIG` is not understood") && !trace.contains("geheim"), "{trace}");

    server.ask(reqwest::Method::DELETE, &format!("/api/v4{path}/variables/DOCKER_AUTH_CONFIG"), None).await?;
    let right = json!({ "key": "DOCKER_AUTH_CONFIG", "value": registry.config(), "file": true });
    server.post(&format!("{path}/variables"), right).await?;
    let retried = server.post(&format!("{path}/jobs/{}/retry", job["id"]), json!({})).await?;
    let ended = server.job_until(PROJECT, &retried, &["failed", "success"]).await?;
    let trace = server.trace(PROJECT, &retried).await?;
    assert_eq!(ended["status"], "success", "{trace}");

    // By `serin run`: without a login a shell of this machine, with the runner's own a container.
    let home = tempfile::tempdir()?;
    let output = serin_run(&tree, &["--lines"])?.env("HOME", home.path()).output().await?;
    ensure!(!Said::of(&output).text.contains("inside | 999"), "{}", Said::of(&output).text);
    let mut command = serin_run(&tree, &["--lines"])?;
    let output = command.env("HOME", home.path()).env("DOCKER_AUTH_CONFIG", registry.config()).output().await?;
    ensure!(Said::of(&output).text.contains("inside | 999"), "{}", Said::of(&output).text);
    std::fs::create_dir(home.path().join(".docker"))?;
    std::fs::write(home.path().join(".docker/config.json"), registry.config())?;
    let output = serin_run(&tree, &["--lines"])?.env("HOME", home.path()).output().await?;
    ensure!(Said::of(&output).text.contains("inside | 999"), "{}", Said::of(&output).text);
    drop(gone);
    Ok(())
}

/// A name of an image that goes with this value.
struct Gone(String);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = docker(&["rmi", &self.0]);
    }
}

#[tokio::test]
async fn a_job_in_a_container_tests_the_nodes_that_were_deployed() -> Result<()> {
    let image = postgresql()?;
    for platform in ["docker", "process"] {
        let server = Server::start().await?;
        let tree = server.project(PROJECT).await?;
        let source = format!("label=org.opencontainers.image.source={}/{PROJECT}", server.url);
        std::fs::copy("/bin/busybox", tree.path().join("busybox"))?;
        tree.write("www/healthz", "healthy\n")?;
        let serve = "[\"/bin/busybox\", \"sh\", \"-c\", \"exec /bin/busybox httpd -f -p $PORT -h /www\"]";
        tree.write(
            "Dockerfile",
            format!("FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\nENTRYPOINT {serve}\n"),
        )?;
        tree.write(
            "ask.sh",
            "for url in $SERIN_TARGET_URLS; do\n  host=${url#http://}\n  \
             printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 20 ${host%:*} ${host##*:}\ndone\n",
        )?;
        let what = if platform == "docker" {
            "image: {}"
        } else {
            "command: [sh, -c, 'exec ./busybox httpd -f -p 127.0.0.1:$PORT -h www']"
        };
        tree.write(
            "serin.yml",
            format!(
                "service:\n  name: boxes\n  {what}\n  health: {{ path: /healthz, interval: 100ms }}\n  stop_timeout: 1s\n\
                 environments:\n  test: {{ platform: {platform}, nodes: 2 }}\n"
            ),
        )?;
        let file = format!(
            "stages: [package, deploy, test]\npackage: {{ stage: package, serin: {{ action: package }} }}\n\
             deploy: {{ stage: deploy, serin: {{ action: deploy, environment: test }} }}\n\
             inside:\n  stage: test\n  image: '{image}'\n  script:\n    - id -u\n    \
             - sh ask.sh\n"
        );
        let pipeline = server.finished(PROJECT, &tree.push_pipeline(&file).await?).await?;
        let job = server.job(PROJECT, &pipeline, "inside").await?;
        let trace = server.trace(PROJECT, &job).await?;
        drop(server);
        for id in docker(&["images", "-q", "--filter", &source])?.split_whitespace() {
            for node in docker(&["ps", "-aq", "--filter", &format!("ancestor={id}")])?.split_whitespace() {
                docker(&["rm", "-f", node])?;
            }
            docker(&["rmi", "-f", id])?;
        }
        assert_eq!(job["status"], "success", "{platform}: {trace}");
        assert!(trace.contains("\n999\n") && trace.matches("\nhealthy").count() == 2, "{platform}: {trace}");
    }
    Ok(())
}

#[tokio::test]
async fn a_runner_that_is_not_root_gets_the_files_of_roots_containers_back() -> Result<()> {
    const USER: u32 = 65_534;
    let image = postgresql()?;
    let folder = tempfile::tempdir()?;
    let (project, cache, program) = (folder.path().join("p"), folder.path().join("c"), folder.path().join("serin"));
    std::fs::create_dir_all(&project)?;
    std::fs::create_dir_all(&cache)?;
    std::fs::copy(server::program()?, &program)?;
    let file = format!(
        "stages: [one, two]\n\
         root:\n  stage: one\n  image: {{name: '{image}', entrypoint: [''], docker: {{user: root}}}}\n  \
         script: [id -u, 'umask 077; echo of-root > made']\n  artifacts: {{paths: [made]}}\n\
         user:\n  stage: two\n  image: '{image}'\n  script: [id -u, cat made, 'echo mine > other']\n"
    );
    std::fs::write(project.join(".gitlab-ci.yml"), file)?;
    let own = std::fs::metadata(&project)?.uid();
    let mut command = Command::new(&program);
    if own == 0 {
        // Where the tests are root's, this one is somebody else, with a socket of the engine that is his.
        for path in [folder.path(), &project, &cache, &project.join(".gitlab-ci.yml")] {
            std::os::unix::fs::chown(path, Some(USER), Some(USER))?;
        }
        let socket = folder.path().join("docker.sock");
        share_engine(&socket)?;
        std::os::unix::fs::chown(&socket, Some(USER), Some(USER))?;
        command.uid(USER).gid(USER).env("DOCKER_HOST", format!("unix://{}", socket.display()));
    }
    command.args(["run", "--lines", "-j", "1"]).current_dir(&project).env("SERIN_CACHE", &cache).env("HOME", &cache);
    let said = Said::of(&command.stdin(Stdio::null()).kill_on_drop(true).output().await?);
    ensure!(said.good, "{}", said.text);
    for words in ["root | 0", "user | 999", "user | of-root"] {
        assert!(said.text.contains(words), "no {words:?} in {}", said.text);
    }
    let mine = if own == 0 { USER } else { own };
    let mut open = vec![cache];
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata()?;
        assert_eq!(metadata.uid(), mine, "{}", path.display());
        if metadata.is_dir() {
            open.extend(std::fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        }
    }
    Ok(())
}

/// Makes a socket that leads to the engine's, which may be where another user cannot go.
fn share_engine(socket: &Path) -> Result<()> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let engine = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();
    let listener = tokio::net::UnixListener::bind(socket)?;
    tokio::spawn(async move {
        while let Ok((mut theirs, _)) = listener.accept().await {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut engine = tokio::net::UnixStream::connect(engine).await?;
                tokio::io::copy_bidirectional(&mut theirs, &mut engine).await
            });
        }
    });
    Ok(())
}
