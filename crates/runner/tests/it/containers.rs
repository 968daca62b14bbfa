//! Jobs in containers of a real engine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use serin_model::FailureReason;
use serin_model::plan::{Artifacts, Cache, Image, Script, Variable};
use serin_runner::{CancelToken, Choice, ContainerLimits, ContainerSettings, Containers, JobRequest, Missing, Outcome};

use crate::desk::{Desk, Kept, lines, run, until};

/// A static busybox with a few names and users (Debian: `busybox-static`).
const IMAGE: &str = "serin-test/job:2";
const NAMES: [&str; 24] = [
    "sh", "cat", "chmod", "chown", "dd", "echo", "env", "grep", "head", "id", "ln", "ls", "mkdir", "mknod", "mount",
    "nc", "ping", "seq", "sleep", "stat", "touch", "wget", "yes", "httpd",
];
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235::/tmp:/bin/sh\n";

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {words}; these tests need a Docker Engine");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes the image of the tests where it is not there yet.
fn image() -> &'static str {
    let lock = fs::File::create(std::env::temp_dir().join("serin-test-job-image.lock")).unwrap();
    lock.lock().unwrap();
    if Command::new("docker").args(["image", "inspect", IMAGE]).output().unwrap().status.success() {
        return IMAGE;
    }
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("root/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(folder.path().join("root/etc")).unwrap();
    fs::create_dir_all(folder.path().join("root/tmp")).unwrap();
    fs::copy("/bin/busybox", bin.join("busybox")).expect("`apt-get install busybox-static`");
    NAMES.iter().for_each(|name| std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap());
    fs::write(folder.path().join("root/etc/passwd"), USERS).unwrap();
    let archive = folder.path().join("image.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
    tar.follow_symlinks(false);
    tar.append_dir_all(".", folder.path().join("root")).unwrap();
    tar.finish().unwrap();
    docker(&["import", archive.to_str().unwrap(), IMAGE]);
    IMAGE
}

fn containers(choice: Choice, missing: Missing, limits: ContainerLimits) -> Containers {
    Containers::new(ContainerSettings { choice, missing, limits })
}

/// A job in a container, with a name that no other job has.
fn job(desk: &Desk, script: &[&str]) -> JobRequest {
    let mut job = desk.job(script);
    job.name = desk.path("").display().to_string();
    job.script.image = Some(Image { name: image().to_owned(), ..Image::default() });
    job.containers = containers(Choice::Auto, Missing::Fail, ContainerLimits::default());
    job
}

/// What is left of a job in the engine.
fn left(name: &str) -> String {
    let label = format!("label=serin.job.name={name}");
    let networks = docker(&["network", "ls", "-q", "--filter", &label]);
    format!("{}{networks}", docker(&["ps", "-aq", "--filter", &label]))
}

async fn ran(job: JobRequest) -> (serin_runner::JobReport, String) {
    let name = job.name.clone();
    let (report, trace) = run(job).await;
    assert_eq!(left(&name), "", "{trace}");
    (report, trace)
}

fn succeeded((report, trace): &(serin_runner::JobReport, String)) {
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
}

#[tokio::test]
async fn a_job_runs_in_its_image_and_leaves_its_artifacts_here() {
    let desk = Desk::new();
    let mut job = job(&desk, &[]);
    job.source = desk.repository("main", &[("file", "of the commit")]);
    job.variables.push(Variable { file: true, ..Variable::plain("KEY", "the key\n") });
    job.variables.push(Variable { masked: true, ..Variable::plain("TOKEN", "secret-123") });
    job.script = Script {
        before_script: lines(&["cd ..", "export CARRIED=yes", "cd project"]),
        script: lines(&[
            "test -x /bin/busybox && ! test -e /usr/bin/git && echo \"carried $CARRIED\"",
            "cat file; cat \"$KEY\"; echo \"$TOKEN $CI_PROJECT_DIR $PWD\"",
            "test -d \"$(cat .git/objects/info/alternates)/pack\"",
            "mkdir out; echo made > out/x; exit 3",
        ]),
        after_script: lines(&["echo \"after $CI_JOB_STATUS [$CARRIED] $(cat out/x)\""]),
        artifacts: Some(Artifacts {
            paths: lines(&["$CI_PROJECT_DIR/out"]),
            when: serin_model::plan::ArtifactsWhen::Always,
            ..Artifacts::default()
        }),
        image: job.script.image.clone(),
        ..Script::default()
    };
    let (report, trace) = ran(job).await;
    let failed = Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(3) };
    assert_eq!(report.outcome, failed, "{trace}");
    for words in [
        "section_start:",
        "Preparing the \"docker\" executor",
        "Using Docker executor with image serin-test/job:2: the job names it, and a Docker Engine answers\n",
        "\ncarried yes\n",
        "of the committhe key\n",
        "\n[MASKED] /builds/project /builds/project\n",
        "\nafter failed [] made\n",
        "Job failed: exit code 3",
    ] {
        assert!(trace.contains(words), "no {words:?} in {trace}");
    }
    let archive = fs::File::open(report.artifacts.unwrap()).unwrap();
    let names: Vec<String> = zip::ZipArchive::new(archive).unwrap().file_names().map(str::to_owned).collect();
    assert!(names.contains(&"out/x".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_job_of_a_user_owns_its_files_and_they_can_be_removed() {
    let desk = Desk::new();
    let mut job = job(&desk, &["id -u; id -g", "cat file > copy", "cat \"$KEY\"", "chmod 700 .; mkdir -m 500 locked"]);
    job.source = desk.repository("main", &[("file", "text")]);
    job.variables.push(Variable { file: true, ..Variable::plain("KEY", "the key") });
    job.script.image.as_mut().unwrap().user = Some("$WHO".to_owned());
    job.variables.push(Variable::plain("WHO", "app"));
    job.script.after_script = lines(&["cat copy"]);
    let ended = ran(job).await;
    succeeded(&ended);
    assert!(ended.1.contains("\n1234\n1235\n") && ended.1.contains("the key"), "{}", ended.1);
    let made = desk.path("builds/project/copy").metadata().unwrap();
    let own = nix::unistd::geteuid();
    assert_eq!(made.uid(), if own.is_root() { 1234 } else { own.as_raw() });
    serin_objects::tree::remove(&desk.path("builds")).unwrap();
}

#[tokio::test]
async fn a_job_is_confined() {
    let desk = Desk::new();
    fs::write(desk.path("secret-of-the-machine"), "").unwrap();
    let mut job = job(
        &desk,
        &[
            "for place in /var/run/docker.sock /run/docker.sock $DESK; do test ! -e $place; done",
            "grep -E 'NoNewPrivs:\\s1' /proc/self/status",
            "grep -E 'Seccomp:\\s2' /proc/self/status",
            "! mount -t tmpfs none /tmp 2>/dev/null",
            "! mknod /tmp/disk b 8 0 2>/dev/null",
            "! echo b > /proc/sysrq-trigger 2>/dev/null",
            "! touch /builds/project.tmp/scripts/step.sh 2>/dev/null",
            "ls /builds/project.tmp",
            "ls /dev",
        ],
    );
    // What a job may say changes nothing of that.
    job.variables.push(Variable::plain("DOCKER_HOST", "unix:///var/run/docker.sock"));
    let ended = ran(job).await;
    succeeded(&ended);
    assert!(ended.1.contains("\nscripts\nvariables\n") && !ended.1.contains("\nsda"), "{}", ended.1);
    assert!(!ended.1.contains("\nresults"), "{}", ended.1);
}

#[tokio::test]
async fn names_that_are_flags_or_paths_are_refused() {
    let bad = |image: Image| {
        let desk = Desk::new();
        let mut job = job(&desk, &["echo it ran"]);
        job.script.image = Some(image);
        (desk, job)
    };
    let named = |name: &str| Image { name: name.to_owned(), ..Image::default() };
    let odd = |change: fn(&mut Image)| {
        let mut image = named(image());
        change(&mut image);
        image
    };
    for (image, words) in [
        (named("--privileged"), "`--privileged` is no image name"),
        (named("-v /var/run/docker.sock:/x busybox"), "is no image name"),
        (named("../../containers/create?name=x"), "is no image name"),
        (odd(|image| image.user = Some("--privileged".to_owned())), "`--privileged` is no user"),
        (odd(|image| image.user = Some("nobody-has-this-name".to_owned())), "no user `nobody-has-this-name`"),
        (odd(|image| image.platform = Some("--x".to_owned())), "`--x` is no platform"),
        (odd(|image| image.pull_policy = lines(&["sometimes"])), "unknown pull policy `sometimes`"),
        (odd(|image| image.entrypoint = Some(lines(&["/no/such/program"]))), "cannot be started"),
        (
            Image {
                name: format!("serin-test/absent-{}:1", std::process::id()),
                pull_policy: lines(&["never"]),
                ..Image::default()
            },
            "its pull policy is `never`",
        ),
        (named("127.0.0.1:1/absent:1"), "image `127.0.0.1:1/absent:1` cannot be pulled"),
        (
            Image {
                name: "127.0.0.1:1/absent:2".to_owned(),
                pull_policy: lines(&["never", "always"]),
                ..Image::default()
            },
            "`never`; `docker pull` it, or build it; image `127.0.0.1:1/absent:2` cannot be pulled",
        ),
    ] {
        let (_desk, job) = bad(image);
        let (report, trace) = ran(job).await;
        let failed = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
        assert_eq!(report.outcome, failed, "{trace}");
        assert!(trace.contains(words) && !trace.contains("it ran"), "no {words:?} in {trace}");
    }
}

#[tokio::test]
async fn which_executor_runs_a_job_is_a_choice_and_told() {
    let desk = Desk::new();
    let with = |choice, missing, name: Option<&str>| {
        let mut job = job(&desk, &["echo in $(cat /etc/passwd | grep -c app:x:1234)"]);
        job.script.image = name.map(|name| Image { name: name.to_owned(), ..Image::default() });
        job.containers = containers(choice, missing, ContainerLimits::default());
        job
    };
    let absent = Some("127.0.0.1:1/absent:1");
    for (choice, missing, name, runs, words) in [
        (Choice::Auto, Missing::Fail, None, "in 0", "Using Shell"),
        (Choice::Auto, Missing::Fail, Some(IMAGE), "in 1", "Using Docker executor"),
        (
            Choice::Shell,
            Missing::Fail,
            Some(IMAGE),
            "in 0",
            "is not used: the shell executor runs on this machine (the shell",
        ),
        (Choice::Docker, Missing::Fail, Some(IMAGE), "in 1", "Using Docker executor"),
        (Choice::Docker, Missing::RunInShell, None, "", "names no image: give `image:`"),
        (Choice::Auto, Missing::Fail, absent, "", "cannot be pulled"),
        (Choice::Docker, Missing::RunInShell, absent, "", "cannot be pulled"),
        (Choice::Auto, Missing::RunInShell, absent, "in 0", "; the job runs in a shell of this machine"),
    ] {
        let (_, trace) = ran(with(choice, missing, name)).await;
        assert!(trace.contains(words), "{choice:?} {missing:?}: no {words:?} in {trace}");
        let ran = trace.lines().any(|line| line.starts_with("in "));
        assert!(if runs.is_empty() { !ran } else { trace.contains(&format!("\n{runs}\n")) }, "{choice:?}: {trace}");
    }
}

#[tokio::test]
async fn a_container_that_floods_its_log_is_bounded() {
    let desk = Desk::new();
    let mut job = job(&desk, &["dd if=/dev/zero bs=1M count=200", "echo the end"]);
    job.script.after_script = lines(&["echo after"]);
    let limits = ContainerLimits { output_bytes: 1 << 20, ..ContainerLimits::default() };
    job.containers = containers(Choice::Auto, Missing::Fail, limits);
    let ended = ran(job).await;
    assert_eq!(ended.0.outcome, Outcome::Success);
    assert!(ended.1.len() < (1 << 20) + 5_000, "{} bytes", ended.1.len());
    assert!(ended.1.contains("the output is longer than 1048576 bytes") && !ended.1.contains("the end"));
    assert!(ended.1.contains("\nafter\n"), "each script has its own bound");
}

#[tokio::test]
async fn a_fork_bomb_meets_the_limit_and_is_gone_afterwards() {
    let desk = Desk::new();
    let mut job = job(
        &desk,
        &[
            "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null || :",
            "bomb() { bomb | bomb & bomb; }; bomb",
        ],
    );
    let limits = ContainerLimits { pids: 64, memory_bytes: 256 << 20, ..ContainerLimits::default() };
    job.containers = containers(Choice::Auto, Missing::Fail, limits);
    job.timeout_ms = 15_000;
    let (report, trace) = ran(job).await;
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "{trace}");
    assert!(trace.contains("\n64\n") && trace.contains("can't fork"), "{trace}");
}

#[tokio::test]
async fn memory_is_limited_and_the_trace_says_so() {
    let desk = Desk::new();
    let mut job = job(&desk, &["exec dd if=/dev/zero of=/dev/null bs=512M count=1"]);
    let limits = ContainerLimits { memory_bytes: 64 << 20, ..ContainerLimits::default() };
    job.containers = containers(Choice::Auto, Missing::Fail, limits);
    let (report, trace) = ran(job).await;
    let killed = Outcome::Failed { reason: FailureReason::ScriptFailure, exit_code: Some(137) };
    assert_eq!(report.outcome, killed, "{trace}");
    assert!(trace.contains("the job's container has 64 MiB of memory"), "{trace}");
}

/// A job that waits for ever, with what its shell does on SIGTERM.
fn endless(desk: &Desk, on_signal: &str) -> JobRequest {
    let mut job =
        job(desk, &[&format!("trap '{on_signal}' TERM"), "sleep 100000 & echo begun; while :; do wait; done"]);
    job.script.after_script = lines(&["echo after $CI_JOB_STATUS"]);
    job
}

#[tokio::test]
async fn cancel_ends_the_container_and_after_script_still_runs() {
    for (on_signal, words) in [("echo asked; exit 1", "\nasked\n"), ("", "\nbegun\n")] {
        let desk = Desk::new();
        let job = endless(&desk, on_signal);
        let (name, cancel, kept) = (job.name.clone(), CancelToken::new(), Kept::default());
        let (sink, token) = (kept.clone(), cancel.clone());
        let running = tokio::spawn(async move { serin_runner::run(job, &sink, token).await });
        until("the script runs", || kept.text().contains("\nbegun\n")).await;
        assert_ne!(left(&name), "");
        cancel.cancel();
        assert_eq!(running.await.unwrap().outcome, Outcome::Canceled);
        let trace = kept.text();
        assert!(trace.contains(words) && trace.contains("\nafter canceled\n"), "{trace}");
        assert_eq!(left(&name), "");
    }
}

#[tokio::test]
async fn a_time_out_ends_the_container() {
    let desk = Desk::new();
    let mut job = endless(&desk, "");
    job.timeout_ms = 3_000;
    let (report, trace) = ran(job).await;
    let timed_out = Outcome::Failed { reason: FailureReason::JobExecutionTimeout, exit_code: None };
    assert_eq!(report.outcome, timed_out, "{trace}");
    assert!(!trace.contains("after"), "{trace}");
}

#[tokio::test]
async fn a_job_that_is_dropped_leaves_nothing() {
    let desk = Desk::new();
    let job = endless(&desk, "");
    let (name, kept) = (job.name.clone(), Kept::default());
    let sink = kept.clone();
    let running = tokio::spawn(async move { serin_runner::run(job, &sink, CancelToken::new()).await });
    until("the script runs", || kept.text().contains("\nbegun\n")).await;
    running.abort();
    until("nothing is left", || left(&name).is_empty()).await;
}

/// The engine carries out a request although nobody waits for its answer any more.
#[tokio::test]
async fn a_cancel_while_things_are_made_leaves_nothing() {
    let mut names = Vec::new();
    for moment in 0..12 {
        let desk = Desk::new();
        let mut job = endless(&desk, "");
        let command = Some(lines(&["sleep", "1000"]));
        job.script.services = vec![Image { name: image().to_owned(), command, ..Image::default() }];
        let (name, cancel, kept) = (job.name.clone(), CancelToken::new(), Kept::default());
        let (sink, token) = (kept.clone(), cancel.clone());
        let running = tokio::spawn(async move { serin_runner::run(job, &sink, token).await });
        until("the images are there", || kept.text().contains("Using docker image")).await;
        tokio::time::sleep(Duration::from_millis(moment * 8)).await;
        cancel.cancel();
        let ended = running.await.unwrap().outcome;
        assert_eq!(ended, Outcome::Canceled, "{}", kept.text());
        assert_eq!(left(&name), "", "{}", kept.text());
        names.push(name);
    }
    assert_eq!(names.iter().map(|name| left(name)).collect::<String>(), "");
}

#[tokio::test]
async fn services_are_reached_by_name_once_they_are_ready() {
    let desk = Desk::new();
    let service = |aliases: &[&str], command: &str| Image {
        name: image().to_owned(),
        command: Some(lines(&["sh", "-c", command])),
        aliases: lines(aliases),
        variables: vec![Variable::plain("HEALTHCHECK_TCP_PORT", "80"), Variable::plain("OWN", "own of $WORD")],
        ..Image::default()
    };
    let mut job = job(
        &desk,
        &[
            "wget -q -O - http://web/; wget -q -O - http://serin-test__job/; wget -q -O - http://serin-test-job/",
            "! wget -q -T 2 -O - http://nobody/",
        ],
    );
    job.variables.push(Variable::plain("WORD", "the job"));
    job.variables.push(Variable { masked: true, ..Variable::plain("TOKEN", "secret-123") });
    let page = "sleep 1; mkdir /www; echo \"$WORD, $OWN, [$TOKEN]\" > /www/index.html; exec httpd -f -h /www";
    job.script.services = vec![service(&["web", "web.local"], page)];
    let ended = ran(job).await;
    succeeded(&ended);
    assert_eq!(ended.1.matches("the job, own of the job, []\n").count(), 3, "{}", ended.1);
    assert!(ended.1.contains("web, web.local is ready: port 80 accepts"), "{}", ended.1);
}

#[tokio::test]
async fn the_last_words_of_a_service_that_does_not_start_are_shown() {
    let desk = Desk::new();
    let mut job = job(&desk, &["echo the job goes on"]);
    job.variables.push(Variable { masked: true, ..Variable::plain("TOKEN", "secret-123") });
    let command = Some(lines(&["sh", "-c", "seq 1 1000; echo no disk for secret-123; exit 7"]));
    let variables = vec![Variable::plain("HEALTHCHECK_TCP_PORT", "80")];
    job.script.services =
        vec![Image { name: image().to_owned(), command, aliases: lines(&["db"]), variables, ..Image::default() }];
    let ended = ran(job).await;
    succeeded(&ended);
    let trace = &ended.1;
    assert!(trace.contains("db probably did not start properly: it ended with exit code 7"), "{trace}");
    assert!(trace.contains("\n  1000\n  no disk for [MASKED]\n") && !trace.contains("\n  900\n"), "{trace}");
    assert!(trace.contains("\nthe job goes on\n"), "{trace}");
}

#[tokio::test]
async fn two_jobs_do_not_see_each_others_services() {
    let (one, two) = (Desk::new(), Desk::new());
    let serving = |desk: &Desk, script: &[&str]| {
        let mut job = job(desk, script);
        let page = format!("mkdir /www; echo {} > /www/index.html; exec httpd -f -h /www", job.name);
        job.script.services = vec![Image {
            name: image().to_owned(),
            command: Some(lines(&["sh", "-c", &page])),
            aliases: lines(&["web"]),
            variables: vec![Variable::plain("HEALTHCHECK_TCP_PORT", "80")],
            ..Image::default()
        }];
        job
    };
    let script = ["wget -q -O - http://web/"];
    let (first, second) = (serving(&one, &script), serving(&two, &script));
    let names = (first.name.clone(), second.name.clone());
    let (first, second) = tokio::join!(ran(first), ran(second));
    assert!(first.1.contains(&format!("\n{}\n", names.0)) && !first.1.contains(&names.1), "{}", first.1);
    assert!(second.1.contains(&format!("\n{}\n", names.1)) && !second.1.contains(&names.0), "{}", second.1);
}

#[tokio::test]
async fn what_a_hook_plants_leads_the_runner_nowhere() {
    let desk = Desk::new();
    fs::create_dir(desk.path("outside")).unwrap();
    let mut job = job(&desk, &["cat file; ls -A"]);
    job.source = desk.repository("main", &[("file", "text"), ("folder/in", "x")]);
    job.script.pre_get_sources_script = lines(&["ln -s $DESK/outside .git; ln -s $DESK/outside folder; ls -A"]);
    let ended = ran(job).await;
    succeeded(&ended);
    assert_eq!(fs::read_dir(desk.path("outside")).unwrap().count(), 0, "{}", ended.1);
    assert!(desk.path("builds/project/folder/in").is_file());
}

#[tokio::test]
async fn a_runner_that_ends_takes_its_own_with_it_and_nobody_elses() {
    let (one, two) = (Desk::new(), Desk::new());
    let (first, second) = (endless(&one, ""), endless(&two, ""));
    let (mine, others) = (first.containers.clone(), second.containers.clone());
    let names = (first.name.clone(), second.name.clone());
    let kept = (Kept::default(), Kept::default());
    for (job, sink) in [(first, kept.0.clone()), (second, kept.1.clone())] {
        tokio::spawn(async move { serin_runner::run(job, &sink, CancelToken::new()).await });
    }
    until("both run", || [&kept.0, &kept.1].iter().all(|kept| kept.text().contains("\nbegun\n"))).await;
    // Another runner starts meanwhile: what it finds has a living owner.
    containers(Choice::Auto, Missing::Fail, ContainerLimits::default()).sweep().await;
    assert!(!left(&names.0).is_empty() && !left(&names.1).is_empty());
    mine.end().await;
    tokio::time::timeout(Duration::from_secs(20), async {
        until("its own is gone", || left(&names.0).is_empty()).await;
    })
    .await
    .unwrap();
    assert!(!left(&names.1).is_empty());
    others.end().await;
    until("the other's as well", || left(&names.1).is_empty()).await;
}

#[tokio::test]
async fn a_cache_goes_from_container_to_container() {
    let desk = Desk::new();
    let caching = |script: &[&str]| {
        let mut job = job(&desk, script);
        let paths = lines(&["$CI_PROJECT_DIR/kept/"]);
        job.script.caches = vec![Cache { key: Some("k".to_owned()), paths, ..Cache::default() }];
        job.script.image.as_mut().unwrap().user = Some("app".to_owned());
        job
    };
    succeeded(&ran(caching(&["mkdir -m 700 kept; echo of-the-first > kept/file"])).await);
    let ended = ran(caching(&["cat kept/file; echo more >> kept/file"])).await;
    succeeded(&ended);
    assert!(ended.1.contains("\nof-the-first\n"), "{}", ended.1);
}

#[tokio::test]
async fn a_slot_is_its_runners_again_after_a_job_of_another_user() {
    let desk = Desk::new();
    let into = desk.path("snapshot");
    desk.repository("main", &[("folder/file", "text")]);
    let host = serin_runner::HostEnvironment::of_this_process();
    let snapshot = std::sync::Arc::new(serin_runner::Snapshot::take(&desk.path("work"), &into, &host).await.unwrap());
    let record = desk.path("record");
    let slot = std::sync::Arc::new(serin_runner::Slot::reopen(snapshot, desk.path("builds"), &record));
    let in_slot = |mut job: JobRequest| {
        job.source = serin_runner::Source::Slot(std::sync::Arc::clone(&slot));
        job
    };
    let mut boxed = in_slot(job(&desk, &["id -u; echo more >> folder/file; touch folder/new"]));
    boxed.script.image.as_mut().unwrap().user = Some("app".to_owned());
    let ended = ran(boxed).await;
    succeeded(&ended);
    assert!(ended.1.contains("\n1234\n"), "{}", ended.1);
    // Git refuses folders of others, even to root.
    let plain = in_slot(desk.job(&["git status --porcelain; cat folder/file; ls folder"]));
    let (report, trace) = run(plain).await;
    assert_eq!(report.outcome, Outcome::Success, "{trace}");
    assert!(trace.contains("text") && !trace.contains("new\n") && !trace.contains("dubious"), "{trace}");
    slot.keep(&record).unwrap();
    let own = nix::unistd::geteuid().as_raw();
    for name in ["", ".git", "folder", "folder/file"] {
        assert_eq!(desk.path("builds/project").join(name).metadata().unwrap().uid(), own, "{name}");
    }
}
