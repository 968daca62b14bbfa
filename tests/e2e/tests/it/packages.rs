//! Packaged images: what they are built of, where they are pushed, what is said of them; and what becomes of a package when
//! the server or the engine dies in the middle of it.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_e2e::image::docker;
use serin_e2e::registry::{PASSWORD, USER};
use serin_e2e::{Engine, LOOK_EVERY, PATIENCE, Registry, Server, WorkTree, server, service};

const PROJECT: &str = "boxed";
/// A static busybox (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const SERVICE: &str = "service:\n  name: boxed\n  health: { path: /healthz, timeout: 30s, interval: 100ms }\n  \
                       stop_timeout: 1s\n  image:\n";
const ENVIRONMENTS: &str = "environments:\n  test: { platform: docker, nodes: 2 }\n";
const PACKAGE: &str = "stages: [package, deploy]\npackage: { stage: package, serin: { action: package } }\n";
const DEPLOY: &str = "deploy: { stage: deploy, serin: { action: deploy, environment: test } }\n";
/// What it ends with: a web server for the nodes.
const RUNS: &str =
    "COPY www /www\nENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
const STATUS: &str = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
const CARGO: &str = "version = 4\n[[package]]\nname = \"itoa\"\nversion = \"1.0.9\"\nsource = \"registry+x\"\n";
/// An argument that is much else if it is taken for anything but data.
const NOTE: &str = "a=\"b\" 'c' --privileged $HOME\n#d";

/// Removes the images of a server's projects, and the containers of them, also where a test fails.
struct Cleared(String);

impl Cleared {
    fn of(server: &Server) -> Self {
        Self(format!("label=org.opencontainers.image.source={}/{PROJECT}", server.url))
    }

    /// The images that the server built.
    fn images(&self) -> Result<Vec<String>> {
        let all = docker(&["images", "-aq", "--no-trunc", "--filter", &self.0])?;
        let mut all: Vec<String> = all.split_whitespace().map(str::to_owned).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        for image in self.images().unwrap_or_default() {
            let filter = format!("ancestor={image}");
            for id in docker(&["ps", "-aq", "--filter", &filter]).unwrap_or_default().split_whitespace() {
                let _ = docker(&["rm", "-f", "-v", id]);
            }
            let _ = docker(&["rmi", "-f", &image]);
        }
    }
}

/// A server, and after its end everything that it left in the engine.
struct World {
    server: Server,
    cleared: Cleared,
}

impl World {
    async fn start() -> Result<Self> {
        let server = Server::start().await?;
        Ok(Self { cleared: Cleared::of(&server), server })
    }
}

async fn begin(server: &Server, dockerfile: &str, image: &str) -> Result<WorkTree> {
    let tree = server.project(PROJECT).await?;
    std::fs::copy(BUSYBOX, tree.path().join("busybox")).context("`apt-get install busybox-static`")?;
    tree.write("Dockerfile", format!("FROM scratch\nCOPY busybox /bin/busybox\n{dockerfile}{RUNS}"))?;
    tree.write("www/healthz", "ok\n")?;
    tree.write("status", STATUS)?;
    tree.write("Cargo.lock", CARGO)?;
    write_config(&tree, image)?;
    Ok(tree)
}

fn write_config(tree: &WorkTree, image: &str) -> Result<()> {
    let image: String = image.lines().map(|line| format!("    {line}\n")).collect();
    tree.write("serin.yml", format!("{SERVICE}{image}{ENVIRONMENTS}"))?;
    Ok(())
}

async fn set(server: &Server, key: &str, value: &str, masked: bool) -> Result<()> {
    let body = json!({ "key": key, "value": value, "masked": masked, "raw": true });
    server.post(&format!("/projects/{PROJECT}/variables"), body).await?;
    Ok(())
}

async fn job(server: &Server, pipeline: &Value, name: &str) -> Result<(Value, String)> {
    let job = server.job(PROJECT, pipeline, name).await?;
    let trace = server.trace(PROJECT, &job).await?;
    Ok((job, trace))
}

/// Pushes the tree as it is, and waits for its pipeline's end; the job `package` and its trace.
async fn packaged(server: &Server, tree: &WorkTree) -> Result<(Value, String)> {
    let pipeline = server.finished(PROJECT, &tree.push_pipeline(PACKAGE).await?).await?;
    job(server, &pipeline, "package").await
}

/// Runs the newest commit's pipeline once more.
async fn again(server: &Server) -> Result<(Value, String)> {
    let made = server.post(&format!("/projects/{PROJECT}/pipeline?ref=main"), json!({})).await?;
    let ended = server.pipeline_until(PROJECT, &made, &["success", "failed"]).await?;
    job(server, &ended, "package").await
}

async fn releases(server: &Server) -> Result<Vec<Value>> {
    let all = server.get(&format!("/projects/{PROJECT}/releases")).await?;
    Ok(all.as_array().context("no list")?.clone())
}

#[tokio::test]
async fn an_image_is_pushed_and_its_nodes_run_what_the_registry_has() -> Result<()> {
    let mut registry = Registry::start().await?;
    let world = World::start().await?;
    let (server, cleared) = (&world.server, &world.cleared);
    let repository = format!("{}/team/boxed", registry.address);
    let tree = begin(server, "", &format!("repository: {repository}")).await?;

    // Nobody pushes without a login, and the trace says what is missing.
    let (refused, trace) = packaged(server, &tree).await?;
    let commit = tree.git(&["rev-parse", "HEAD"]).await?.trim().to_owned();
    assert_eq!(refused["status"], "failed", "{trace}");
    assert!(trace.contains("SERIN_REGISTRY_PASSWORD"), "{trace}");
    assert_eq!(registry.digest("team/boxed", &commit).await?, None);

    for (key, value) in [("SERIN_REGISTRY", registry.address.as_str()), ("SERIN_REGISTRY_USER", USER)] {
        set(server, key, value, false).await?;
    }
    set(server, "SERIN_REGISTRY_PASSWORD", PASSWORD, false).await?;
    // The registry is away when the push begins, and comes back. Nothing is built again.
    registry.stop().await?;
    let made = server.post(&format!("/projects/{PROJECT}/pipeline?ref=main"), json!({})).await?;
    let pushing = server.job(PROJECT, &made, "package").await?;
    server.trace_until(PROJECT, &pushing, "Try 1 of 5 failed").await?;
    registry.start_again().await?;
    let ended = server.pipeline_until(PROJECT, &made, &["success", "failed"]).await?;
    let (_, trace) = job(server, &ended, "package").await?;
    assert_eq!(ended["status"], "success", "{trace}");
    assert!(!trace.contains(PASSWORD) && trace.contains("is packaged already") && !trace.contains("COPY"), "{trace}");
    let digest = registry.digest("team/boxed", &commit).await?.context("nothing was pushed")?;
    let image = format!("{repository}@{digest}");
    assert!(trace.contains(&format!("Image {image}")), "{trace}");

    // An image that is gone from the engine comes back from the registry, as it was.
    docker(&["rmi", "-f", &cleared.images()?[0]])?;
    assert_eq!(cleared.images()?, [""; 0]);
    let (_, trace) = again(server).await?;
    assert!(trace.contains("is packaged already") && !trace.contains("COPY"), "{trace}");
    docker(&["image", "inspect", &image])?;

    let commit = tree.push_pipeline(&format!("{PACKAGE}{DEPLOY}")).await?;
    let ended = server.finished(PROJECT, &commit).await?;
    let (_, deployed) = job(server, &ended, "deploy").await?;
    assert_eq!(ended["status"], "success", "{deployed}");
    let environment = server.get(&format!("/projects/{PROJECT}/environments/test")).await?;
    assert!(service::runs(&environment, &commit, 2), "{environment}");
    let digest = registry.digest("team/boxed", &commit).await?.context("nothing was pushed")?;
    let mut nodes = 0;
    for id in docker(&["ps", "-q", "--filter", "label=serin.node"])?.split_whitespace() {
        let runs = docker(&["inspect", "--format", "{{.Config.Image}}", id]).unwrap_or_default();
        nodes += usize::from(runs == format!("{repository}@{digest}"));
    }
    assert_eq!(nodes, 2);
    Ok(())
}

#[tokio::test]
async fn arguments_are_data_and_secrets_are_nowhere() -> Result<()> {
    const TOKEN: &str = "geheim-7f3a9c21";
    let world = World::start().await?;
    let (server, cleared) = (&world.server, &world.cleared);
    let dockerfile = "ARG NOTE\nLABEL note=\"$NOTE\"\nCOPY status /var/lib/dpkg/status\n\
                      RUN --mount=type=secret,id=token [\"/bin/busybox\", \"sh\", \"-c\", \
                      \"/bin/busybox cat /run/secrets/token && test $(/bin/busybox wc -c < /run/secrets/token) = 15\"]\n";
    let tree = begin(server, dockerfile, "args: { NOTE: $NOTE }\nsecrets: { token: $TOKEN }").await?;
    // What no build has seen before: the engine keeps the layers of those.
    tree.write(
        "status",
        format!("{STATUS}\nPackage: unique\nVersion: {}\n", server.url.rsplit(':').next().unwrap_or_default()),
    )?;
    set(server, "NOTE", NOTE, false).await?;
    set(server, "TOKEN", TOKEN, true).await?;
    let (job, trace) = packaged(server, &tree).await?;
    let commit = tree.git(&["rev-parse", "HEAD"]).await?.trim().to_owned();
    assert_eq!(job["status"], "success", "{trace}");
    assert!(trace.contains("| [MASKED]") && !trace.contains(TOKEN), "{trace}");
    let image = cleared.images()?.first().context("no image")?.clone();
    let label =
        |key: &str| docker(&["inspect", "--format", &format!("{{{{index .Config.Labels \"{key}\"}}}}"), &image]);
    assert_eq!(label("note")?, NOTE);
    assert_eq!(label("org.opencontainers.image.revision")?, commit);
    let saved = std::process::Command::new("docker").args(["save", &image]).output()?.stdout;
    let holds = |word: &str| saved.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(holds("busybox") && !holds(TOKEN), "the secret is in the image");
    assert!(!docker(&["history", "--no-trunc", &image])?.contains(TOKEN));

    // What is said of it.
    let all = releases(server).await?;
    let subject = all[0]["subject"].as_str().unwrap_or_default().to_owned();
    assert_eq!(subject, image);
    let path = format!("/projects/{PROJECT}/releases/{subject}");
    let bill = server.get(&format!("{path}/sbom")).await?;
    let purls: Vec<&str> =
        bill["components"].as_array().into_iter().flatten().filter_map(|c| c["purl"].as_str()).collect();
    let purls: Vec<&str> = purls.into_iter().filter(|purl| !purl.contains("unique")).collect();
    assert_eq!(purls, ["pkg:deb/debian/base-files@12.4?arch=amd64", "pkg:cargo/itoa@1.0.9"]);
    assert_eq!(bill["metadata"]["component"]["version"], subject.as_str());
    let made = server.text(&format!("{path}/provenance")).await?;
    assert!(!made.contains(TOKEN), "{made}");
    let made: Value = serde_json::from_str(&made)?;
    assert_eq!(made["subject"][0]["digest"]["sha256"], subject.trim_start_matches("sha256:"));
    let parameters = &made["predicate"]["buildDefinition"]["externalParameters"]["image"];
    assert_eq!((&parameters["args"]["NOTE"], &parameters["secrets"][0]), (&json!(NOTE), &json!("token")));
    let digits = &subject["sha256:".len()..][..12];
    let printed = tokio::process::Command::new(server::program()?)
        .args(["package", "sbom", digits, "--project", PROJECT, "--server", &server.url, "--token", &server.token])
        .output()
        .await?;
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout)?, bill);

    // The same inputs: nothing is built. Another argument: another release, and the first one stays as it is.
    let (_, trace) = again(server).await?;
    assert!(trace.contains("is packaged already") && !trace.contains("COPY"), "{trace}");
    server.ask(reqwest::Method::DELETE, &format!("/api/v4/projects/{PROJECT}/variables/NOTE"), None).await?;
    set(server, "NOTE", "other", false).await?;
    let (_, trace) = again(server).await?;
    assert!(trace.contains("Packaged as sha256:"), "{trace}");
    let both = releases(server).await?;
    assert_eq!((both.len(), &both[1]), (2, &all[0]));
    assert_ne!(both[0]["digest"], both[1]["digest"]);
    assert_eq!(both[0]["tree"], both[1]["tree"]);
    Ok(())
}

#[tokio::test]
async fn a_dockerfile_reaches_nothing_outside_of_its_context() -> Result<()> {
    let world = World::start().await?;
    let (server, cleared) = (&world.server, &world.cleared);
    let tree = begin(server, "", "{}").await?;
    set(server, "TOKEN", "geheim-7f3a9c21", true).await?;
    tree.write("app/Dockerfile", "FROM scratch\nCOPY busybox /\n")?;
    tree.write("app/.dockerignore", "*.key\n")?;
    tree.write("app/private.key", "key")?;
    tree.write("Outside", "FROM scratch\nCOPY ../../../../etc/hostname /\n")?;
    tree.write("Up", "FROM scratch\nCOPY app/../../secret /\n")?;
    tree.write("app/Ignored", "FROM scratch\nCOPY private.key /\n")?;
    std::os::unix::fs::symlink("app", tree.path().join("linked"))?;
    for (image, words) in [
        ("dockerfile: ../Dockerfile", "no path in the repository"),
        ("context: /etc\ndockerfile: /etc/passwd", "no path in the repository"),
        ("dockerfile: linked/Dockerfile", "no folder `linked`"),
        ("context: linked\ndockerfile: linked/Dockerfile", "no folder `linked`"),
        ("context: app\ndockerfile: Dockerfile", "does not lie in the context"),
        ("context: app", "busybox"),
        ("dockerfile: Outside", "hostname"),
        ("dockerfile: Up", "secret"),
        ("context: app\ndockerfile: app/Ignored", "private.key"),
        ("target: --privileged", "must be letters"),
        ("platform: --privileged", "is no platform"),
        ("repository: --privileged", "is no image name"),
        ("repository: shop:latest", "without a tag"),
        ("args: { A: x$TOKEN }", "masked variable `TOKEN`"),
        ("secrets: { a: $NOTHING }", "secret `a` of `service.image` is empty"),
    ] {
        write_config(&tree, image)?;
        let (job, trace) = packaged(server, &tree).await?;
        assert_eq!(job["status"], "failed", "{image}: {trace}");
        assert!(trace.contains(words) && trace.contains("ERROR: "), "{image}: no {words:?} in {trace}");
        assert!(!trace.contains("geheim"), "{trace}");
    }
    assert_eq!(cleared.images()?, [""; 0]);
    // A link that leads out of the tree is in no release.
    write_config(&tree, "{}")?;
    std::os::unix::fs::symlink("/etc", tree.path().join("out"))?;
    let (job, trace) = packaged(server, &tree).await?;
    assert_eq!(job["status"], "success", "{trace}");
    assert!(trace.contains("Left out: link `out`, which leads out of the tree"), "{trace}");
    Ok(())
}

/// A build that has begun, and waits.
async fn begun(server: &Server, tree: &WorkTree) -> Result<(Value, Value)> {
    let commit = tree.push_pipeline(PACKAGE).await?;
    let pipeline = server.pipeline(PROJECT, &commit).await?;
    let job = server.job(PROJECT, &pipeline, "package").await?;
    server.trace_until(PROJECT, &job, "| begun").await?;
    Ok((pipeline, job))
}

/// Waits at the first build, and no more as soon as the tree's `go` says so in a new commit.
const WAITS: &str = "COPY go /go\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \
                     \"echo begun $(/bin/busybox cat /go); /bin/busybox sleep $(/bin/busybox cat /go)\"]\n";

/// What an engine still does or holds of builds: processes that sleep, containers.
fn at_work(seconds: &str) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        count += usize::from(words.len() > 2 && words[1] == b"sleep" && words[2] == seconds.as_bytes());
    }
    Ok(count)
}

async fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds()? {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn folders(server: &Server) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(server.data().join("builds"))?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.starts_with("package-")).collect())
}

#[tokio::test]
async fn a_server_killed_while_it_packages_leaves_nothing_and_packages_again() -> Result<()> {
    let mut world = World::start().await?;
    let (server, cleared) = (&mut world.server, &world.cleared);
    let tree = begin(server, WAITS, "{}").await?;
    // A number that no other test sleeps for.
    let seconds = format!("{}", 100_000 + std::process::id() % 100_000);
    tree.write("go", &seconds)?;
    let (_, job) = begun(server, &tree).await?;
    assert_eq!(at_work(&seconds)?, 1);
    let left = folders(server)?;
    assert!(!left.is_empty());
    server.kill().await?;
    until("the engine has given the build up", || Ok(at_work(&seconds)? == 0)).await?;
    server.start_again().await?;
    let path = format!("/projects/{PROJECT}/jobs/{}", job["id"]);
    server.wait(&path, |job| job["status"] == "running").await?;
    until("it builds again", || Ok(at_work(&seconds)? == 1)).await?;
    until("the old folders are gone", || Ok(folders(server)?.iter().all(|name| !left.contains(name)))).await?;

    // A cancel ends the build, and leaves nothing either.
    server.post(&format!("{path}/cancel"), json!({})).await?;
    server.job_until(PROJECT, &job, &["canceled"]).await?;
    until("the build has ended", || Ok(at_work(&seconds)? == 0)).await?;
    until("its folders are gone", || Ok(folders(server)?.is_empty())).await?;
    assert_eq!((cleared.images()?, releases(server).await?), (Vec::new(), Vec::new()));

    tree.write("go", "0")?;
    let (job, trace) = packaged(server, &tree).await?;
    assert_eq!(job["status"], "success", "{trace}");
    assert_eq!((cleared.images()?.len(), releases(server).await?.len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_engine_killed_while_it_builds_fails_the_job_and_the_next_one_is_whole() -> Result<()> {
    let mut engine = Engine::start().await?;
    let server = Server::start_in(&[], &[("DOCKER_HOST", &engine.host())]).await?;
    let tree = begin(&server, WAITS, "{}").await?;
    let seconds = format!("{}", 200_000 + std::process::id() % 100_000);
    tree.write("go", &seconds)?;
    let (_, job) = begun(&server, &tree).await?;
    engine.kill().await?;
    let ended = server.job_until(PROJECT, &job, &["failed", "success"]).await?;
    let trace = server.trace(PROJECT, &job).await?;
    assert_eq!(ended["status"], "failed", "{trace}");
    assert!(trace.contains("Docker Engine could not build the image"), "{trace}");
    assert_eq!(releases(&server).await?, Vec::<Value>::new());
    until("its folders are gone", || Ok(folders(&server)?.is_empty())).await?;

    engine.start_again().await?;
    tree.write("go", "0")?;
    let (job, trace) = packaged(&server, &tree).await?;
    assert_eq!(job["status"], "success", "{trace}");
    assert_eq!(engine.docker(&["ps", "-aq"])?, "", "a container of a build is left");
    let images = engine.docker(&["images", "-q"])?;
    assert_eq!((images.lines().count(), releases(&server).await?.len()), (1, 1), "{images}");
    Ok(())
}
