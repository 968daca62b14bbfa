//! Real builds; the base is a static busybox (Debian: `busybox-static`).

use std::path::Path;
use std::process::Command;

use serin_image::{Builder, Context, Ecosystem, ImageBuild, Secret, pack};
use tokio::sync::mpsc;

const BUSYBOX: &str = "/bin/busybox";
/// Label of everything that is built here.
const LABEL: &str = "serin.test.image";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// An image that goes with this value.
struct Built(String);

impl Drop for Built {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "--force", &self.0]).output();
    }
}

async fn build(folder: &Path, build: ImageBuild) -> (Result<Built, String>, Vec<String>) {
    build_heard(folder, build, |_| {}).await
}

/// Builds, and hands each line of progress over as it comes.
async fn build_heard(folder: &Path, build: ImageBuild, heard: impl Fn(&str)) -> (Result<Built, String>, Vec<String>) {
    let builder = Builder::connect().await.unwrap();
    std::fs::copy(BUSYBOX, folder.join("busybox")).expect("`apt-get install busybox-static`");
    let context = Context::find(folder, ".", "Dockerfile").unwrap();
    let archive = tempfile::NamedTempFile::new().unwrap();
    pack(&context, archive.path()).unwrap();
    let (sender, mut lines) = mpsc::channel::<String>(16);
    let build = ImageBuild {
        dockerfile: "Dockerfile".into(),
        labels: vec![(LABEL.into(), "1".into())],
        tag: format!("serin-test/{}:1", std::process::id()),
        ..build
    };
    let told = async {
        let mut told = Vec::new();
        while let Some(line) = lines.recv().await {
            heard(&line);
            told.push(line);
        }
        told
    };
    let building = async {
        let built = builder.build(&build, archive.path(), &sender).await;
        drop(sender);
        built
    };
    let (built, told) = tokio::join!(building, told);
    (built.map(Built).map_err(|error| error.to_string()), told)
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A line that no build has run before.
fn unique() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}-{}", std::process::id(), since.as_nanos())
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_and_a_failure_says_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let flood = "/bin/busybox yes 0123456789012345678901234567890123456789 | /bin/busybox head -c 100000000; exit 7";
    write(
        folder.path(),
        "Dockerfile",
        &format!(
            "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"{flood} # {}\"]\n",
            unique()
        ),
    );
    let (built, told) = build(folder.path(), ImageBuild::default()).await;
    let error = built.map(drop).unwrap_err();
    assert!(error.contains("exit code: 7"), "{error}");
    let bytes: usize = told.iter().map(String::len).sum();
    assert!((100_000..40_000_000).contains(&bytes), "{bytes} bytes were told");
}

#[tokio::test]
async fn a_secret_is_given_to_the_step_that_asks_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let step = |text: &str| format!("[\"/bin/busybox\", \"sh\", \"-c\", \"{text} # {}\"]", unique());
    let secret = ImageBuild { secrets: vec![("key".into(), Secret::new("a\"b\nc"))], ..ImageBuild::default() };
    let asks = step("test $(/bin/busybox wc -c < /run/secrets/key) = 5");
    let sees_none = step("test ! -e /run/secrets/key");
    let lines =
        format!("FROM scratch\nCOPY busybox /bin/busybox\nRUN --mount=type=secret,id=key {asks}\nRUN {sees_none}\n");
    write(folder.path(), "Dockerfile", &lines);
    let (built, told) = build(folder.path(), secret.clone()).await;
    built.unwrap_or_else(|error| panic!("{error}\n{}", told.join("\n")));

    let missing = step("true");
    let lines =
        format!("FROM scratch\nCOPY busybox /bin/busybox\nRUN --mount=type=secret,id=other,required=true {missing}\n");
    write(folder.path(), "Dockerfile", &lines);
    let (built, _) = build(folder.path(), secret).await;
    let error = built.map(drop).unwrap_err();
    assert!(error.contains("secret other"), "{error}");
}

#[tokio::test]
async fn what_is_in_an_image_is_read_from_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "one", "Package: one\nStatus: install ok installed\nVersion: 1\n");
    write(folder.path(), "two", "Package: two\nStatus: install ok installed\nVersion: 2\n");
    write(folder.path(), "gone/requirements.txt", "gone==1\n");
    write(folder.path(), "stays/requirements.txt", "stays==1\n");
    write(
        folder.path(),
        "Dockerfile",
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY one /var/lib/dpkg/status\nCOPY gone /gone\nCOPY stays /stays\n\
         COPY two /var/lib/dpkg/status\nRUN [\"/bin/busybox\", \"rm\", \"-r\", \"/gone\"]\n",
    );
    let (built, told) = build(folder.path(), ImageBuild::default()).await;
    let built = built.unwrap_or_else(|error| panic!("{error}\n{}", told.join("\n")));
    let inventory = Builder::connect().await.unwrap().inventory(&built.0).await.unwrap();
    let found: Vec<_> = inventory.components.keys().map(|one| (one.ecosystem, one.name.as_str())).collect();
    assert_eq!(found, [(Ecosystem::Deb, "two"), (Ecosystem::Pypi, "stays")]);
    assert!(inventory.missing.is_empty(), "{:?}", inventory.missing);
}

#[tokio::test]
async fn a_build_that_nobody_waits_for_ends() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = format!("{}", 300_000 + std::process::id() % 100_000);
    write(
        folder.path(),
        "Dockerfile",
        &format!(
            "FROM scratch\nCOPY busybox /bin/busybox\n\
             RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo begun; exec /bin/busybox sleep {seconds}\"]\n"
        ),
    );
    let sleeps = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
        let wanted = format!("/bin/busybox\0sleep\0{seconds}\0");
        lines.filter(|line| line == wanted.as_bytes()).count()
    };
    let begun = tokio::sync::Notify::new();
    let building = build_heard(folder.path(), ImageBuild::default(), |line| {
        if line.ends_with("| begun") {
            begun.notify_one();
        }
    });
    tokio::select! {
        (built, told) = building => panic!("{:?}\n{}", built.map(|built| built.0.clone()), told.join("\n")),
        () = begun.notified() => {}
    }
    // The future is gone, and nobody tells when the engine has noticed.
    let deadline = std::time::Instant::now() + PATIENCE;
    while sleeps() > 0 {
        assert!(std::time::Instant::now() < deadline, "the build goes on");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
