//! Hosts of the tests' own: a second engine behind TLS that may be killed, an `ssh` server, certificates.

use serin_platform::{Engine, Host};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Runs a program to its good end.
fn run(folder: &Path, words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes `ca.pem`, and certificates with keys of `server` (127.0.0.1) and `client`, in that folder.
pub fn certificates(folder: &Path) {
    let subject = |name: &str| format!("/CN={name}");
    let new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    run(
        folder,
        &[&new[..], &["-subj", &subject("test authority"), "-keyout", "ca-key.pem", "-out", "ca.pem"]].concat(),
    );
    for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
        let (key, request, certificate) = (format!("{name}-key.pem"), format!("{name}.csr"), format!("{name}.pem"));
        let ask = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"];
        run(folder, &[&ask[..], &["-subj", &subject(name), "-keyout", &key, "-out", &request]].concat());
        let text = format!("subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n");
        std::fs::write(folder.join("extensions"), text).unwrap();
        let sign =
            ["openssl", "x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"];
        run(folder, &[&sign[..], &["-extfile", "extensions", "-in", &request, "-out", &certificate]].concat());
    }
}

/// A port that nobody listens at now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// An engine of its own, with everything of it below one folder; needs root, as every engine does.
pub struct Dockerd {
    pub port: u16,
    dir: PathBuf,
    bridge: String,
    child: Child,
}

impl Dockerd {
    /// Starts it with the certificates of that folder.
    pub async fn start(dir: &Path) -> Self {
        let port = free_port();
        // A name and a network that no other test has, as ports are not shared either.
        let bridge = format!("srn{port}");
        let address = format!("10.{}.{}.1/24", 200 + port / 256 % 50, port % 256);
        run(dir, &["ip", "link", "add", "name", &bridge, "type", "bridge"]);
        run(dir, &["ip", "address", "add", &address, "dev", &bridge]);
        run(dir, &["ip", "link", "set", &bridge, "up"]);
        let child = launch(dir, port, &bridge);
        let dockerd = Self { port, dir: dir.to_owned(), bridge, child };
        dockerd.answers().await;
        dockerd
    }

    /// Kills the engine; its containers are out of reach with it, as its host's ports are served by its children.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its containerd dies with it; where nobody takes note of that, a new engine would wait for it in vain.
        let record = self.dir.join("exec/containerd/containerd.pid");
        let containerd = std::fs::read_to_string(&record).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        while containerd.trim().parse().is_ok_and(crate::world::is_alive) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        let _ = std::fs::remove_file(record);
    }

    /// Stops the engine and what serves its containers' ports in the middle of what they do.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let own = self.child.id();
        let is_proxy = |pid: u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "docker-proxy" && crate::world::parent(pid) == own
        };
        for pid in crate::world::pids_with(is_proxy).into_iter().chain([own]) {
            crate::world::kill(pid, signal);
        }
    }

    /// Starts it on what it left.
    pub async fn start_again(&mut self) {
        self.child = launch(&self.dir, self.port, &self.bridge);
        self.answers().await;
    }

    /// Ends what an engine that was killed left: supervisors of containers, the containers, their mounts.
    fn sweep(&self) {
        let folder = self.dir.display().to_string();
        for pid in crate::world::pids_with(|pid| {
            let text = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            text(pid).contains(&folder)
                || crate::world::is_alive(pid) && text(crate::world::parent(pid)).contains(&folder)
        }) {
            crate::world::kill(pid, "KILL");
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        for path in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if path.starts_with(&folder) {
                let _ = Command::new("umount").args(["-l", path]).status();
            }
        }
    }

    async fn answers(&self) {
        let url = format!("unix://{}", self.dir.join("docker.sock").display());
        let host = Host { name: "own".to_owned(), url, tls: None, address: None, ssh_config: None };
        let deadline = Instant::now() + PATIENCE;
        while Engine::open(&host).await.is_err() {
            let log = std::fs::read_to_string(self.dir.join("dockerd.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "dockerd does not answer:\n{log}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn launch(dir: &Path, port: u16, bridge: &str) -> Child {
    let path = |name: &str| dir.join(name).display().to_string();
    let log = std::fs::File::options().create(true).append(true).open(dir.join("dockerd.log")).unwrap();
    let mut command = Command::new("dockerd");
    command.args([format!("--host=unix://{}", path("docker.sock")), format!("--host=tcp://127.0.0.1:{port}")]);
    command.args(["--tlsverify", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
    for (flag, name) in [
        ("tlscacert", "ca.pem"),
        ("tlscert", "server.pem"),
        ("tlskey", "server-key.pem"),
        ("data-root", "data"),
        ("exec-root", "exec"),
        ("pidfile", "dockerd.pid"),
    ] {
        command.arg(format!("--{flag}={}", path(name)));
    }
    command.arg(format!("--bridge={bridge}"));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().expect("`apt-get install docker.io`")
}

/// Leaves no process, no mount and no bridge behind.
impl Drop for Dockerd {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.thaw();
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        self.sweep();
        let _ = Command::new("ip").args(["link", "delete", &self.bridge]).status();
    }
}

/// An `ssh` server for this user, with keys of its own (Debian: `openssh-server`).
pub struct Sshd {
    pub port: u16,
    pub user: String,
    child: Child,
}

impl Sshd {
    /// Starts it; `ssh_config` in that folder is what a client needs.
    pub async fn start(dir: &Path) -> Self {
        let port = free_port();
        let path = |name: &str| dir.join(name).display().to_string();
        for key in ["host", "user"] {
            run(dir, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
        }
        std::fs::copy(dir.join("user.pub"), dir.join("authorized")).unwrap();
        let public = std::fs::read_to_string(dir.join("host.pub")).unwrap();
        std::fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        let server = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPidFile none\n{}",
            path("host"),
            path("authorized"),
            // Whoever comes in finds the engine where the tests do.
            std::env::var("DOCKER_HOST").map_or_else(|_| String::new(), |host| format!("SetEnv DOCKER_HOST={host}\n"))
        );
        std::fs::write(dir.join("sshd_config"), server).unwrap();
        let client = format!(
            "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n",
            path("user"),
            path("known")
        );
        std::fs::write(dir.join("ssh_config"), client).unwrap();
        std::fs::create_dir_all("/run/sshd").unwrap();
        let log = std::fs::File::create(dir.join("sshd.log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`apt-get install openssh-server`");
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let sshd = Self { port, user, child };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "sshd does not listen");
            tokio::time::sleep(LOOK).await;
        }
        sshd
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
