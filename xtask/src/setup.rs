//! `cargo xtask setup`: installs what the tests need and this machine lacks.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::step;

/// The oldest git with `merge-tree --write-tree`.
const GIT_VERSION_MIN: (u32, u32) = (2, 38);

/// A program that tests start.
struct Tool {
    /// Names it may have; a library goes by a path of its own.
    programs: &'static [&'static str],
    /// Its package in Debian.
    debian: &'static str,
    /// Its package in Ubuntu.
    ubuntu: &'static str,
    /// What needs it.
    purpose: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { programs: &["git"], debian: "git", ubuntu: "git", purpose: "repositories" },
    Tool { programs: &["cc", "gcc"], debian: "gcc", ubuntu: "gcc", purpose: "SQLite and ring are built from C" },
    Tool { programs: &["bash"], debian: "bash", ubuntu: "bash", purpose: "the shell executor" },
    Tool { programs: &["setsid"], debian: "util-linux", ubuntu: "util-linux", purpose: "tests with runaway processes" },
    Tool {
        programs: &["chromium", "chromium-browser", "google-chrome"],
        debian: "chromium",
        ubuntu: "chromium-browser",
        purpose: "browser tests",
    },
    Tool {
        programs: &["chromedriver"],
        debian: "chromium-driver",
        ubuntu: "chromium-chromedriver",
        purpose: "browser tests",
    },
    Tool { programs: &["python3"], debian: "python3", ubuntu: "python3", purpose: "reports of ruff and pytest" },
    Tool { programs: &["pip3"], debian: "python3-pip", ubuntu: "python3-pip", purpose: "installs ruff and pytest" },
    Tool { programs: &["node"], debian: "nodejs", ubuntu: "nodejs", purpose: "reports of eslint" },
    Tool { programs: &["npm"], debian: "npm", ubuntu: "npm", purpose: "installs eslint" },
    Tool {
        programs: &["prometheus"],
        debian: "prometheus",
        ubuntu: "prometheus",
        purpose: "the judge over a real Prometheus",
    },
    Tool { programs: &["go"], debian: "golang-go", ubuntu: "golang-go", purpose: "reports of Go's tests" },
    Tool { programs: &["gotestsum"], debian: "gotestsum", ubuntu: "gotestsum", purpose: "reports of Go's tests" },
    Tool { programs: &["mvn"], debian: "maven", ubuntu: "maven", purpose: "reports of Surefire" },
    Tool {
        programs: &["javac"],
        debian: "default-jdk-headless",
        ubuntu: "default-jdk-headless",
        purpose: "reports of Surefire",
    },
    Tool {
        programs: &["/usr/share/java/surefire-junit4.jar"],
        debian: "libsurefire-java",
        ubuntu: "libsurefire-java",
        purpose: "reports of Surefire",
    },
    Tool {
        programs: &["/usr/share/java/junit4.jar"],
        debian: "junit4",
        ubuntu: "junit4",
        purpose: "reports of Surefire",
    },
    Tool {
        programs: &["/usr/share/maven-repo/org/apache/maven/plugins/maven-compiler-plugin"],
        debian: "libmaven-compiler-plugin-java",
        ubuntu: "libmaven-compiler-plugin-java",
        purpose: "reports of Surefire",
    },
    Tool {
        programs: &["/usr/share/maven-repo/org/apache/maven/plugins/maven-resources-plugin"],
        debian: "libmaven-resources-plugin-java",
        ubuntu: "libmaven-resources-plugin-java",
        purpose: "reports of Surefire",
    },
    Tool { programs: &["ctest"], debian: "cmake", ubuntu: "cmake", purpose: "reports of ctest" },
    Tool { programs: &["dockerd"], debian: "docker.io", ubuntu: "docker.io", purpose: "images and containers" },
    Tool { programs: &["docker"], debian: "docker.io", ubuntu: "docker.io", purpose: "tests of containers" },
    Tool { programs: &["iptables"], debian: "iptables", ubuntu: "iptables", purpose: "networks of containers" },
    Tool { programs: &["ip"], debian: "iproute2", ubuntu: "iproute2", purpose: "networks of containers" },
    Tool { programs: &["openssl"], debian: "openssl", ubuntu: "openssl", purpose: "certificates of the tests" },
    Tool { programs: &["sshd"], debian: "openssh-server", ubuntu: "openssh-server", purpose: "hosts behind ssh" },
    Tool { programs: &["busybox"], debian: "busybox-static", ubuntu: "busybox-static", purpose: "images of the tests" },
    Tool {
        programs: &["pg_ctlcluster"],
        debian: "postgresql",
        ubuntu: "postgresql",
        purpose: "a database as a service of jobs",
    },
    Tool {
        programs: &["docker-registry"],
        debian: "docker-registry",
        ubuntu: "docker-registry",
        purpose: "a registry for images",
    },
];

const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")];

/// Installs what is missing, or says what to install.
pub fn run(root: &Path) -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !is_there(tool)).collect();
    if !missing.is_empty() {
        install(root, &missing)?;
    }
    for (component, program) in COMPONENTS {
        if !works(program) {
            add_component(root, component)?;
        }
    }
    check_git_version()?;
    eprintln!("setup: everything that the tests need is there");
    Ok(())
}

fn is_there(tool: &Tool) -> bool {
    tool.programs.iter().any(|program| find(program).is_some())
}

/// Returns a program's place on PATH, or among the system's programs; an absolute path where there is something.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file() || candidate.is_dir() && Path::new(program).is_absolute())
}

/// Tells whether a program runs: rustup leaves names on PATH behind which a component is missing.
fn works(program: &str) -> bool {
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn install(root: &Path, missing: &[&Tool]) -> Result<()> {
    let wanted: Vec<String> = missing.iter().map(|tool| format!("{} ({})", tool.programs[0], tool.purpose)).collect();
    let wanted = wanted.join(", ");
    if find("apt-get").is_none() {
        bail!(
            "missing: {wanted}; this system has no apt-get: install them with its own package manager, then run this again"
        );
    }
    let is_ubuntu = std::fs::read_to_string("/etc/os-release").is_ok_and(|text| is_ubuntu(&text));
    let packages: Vec<&str> = missing.iter().map(|tool| if is_ubuntu { tool.ubuntu } else { tool.debian }).collect();
    eprintln!("setup: missing: {wanted}");
    apt_get(root, &["update"])?;
    apt_get(root, &[&["install", "--yes", "--no-install-recommends"], packages.as_slice()].concat())?;
    let left: Vec<_> = missing.iter().filter(|tool| !is_there(tool)).map(|tool| tool.programs[0]).collect();
    ensure!(left.is_empty(), "still not on PATH after apt-get install: {}", left.join(", "));
    Ok(())
}

fn is_ubuntu(os_release: &str) -> bool {
    os_release.lines().any(|line| line == "ID=ubuntu" || line.starts_with("ID_LIKE=") && line.contains("ubuntu"))
}

fn apt_get(root: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = as_root()?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments).current_dir(root);
    let told = step::describe(&command);
    let outcome = step::run("setup", &mut command, |_| false)?;
    ensure!(outcome.is_good, "{told} failed; its output above says why");
    Ok(())
}

/// Returns `env`, or `sudo env` for people who are not root.
pub fn as_root() -> Result<Command> {
    let id = Command::new("id").arg("-u").stderr(Stdio::inherit()).output().context("ask `id -u`")?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(Command::new("env"));
    }
    ensure!(find("sudo").is_some(), "packages are missing, you are not root, and there is no sudo: run as root once");
    let mut command = Command::new("sudo");
    if !std::io::stdin().is_terminal() {
        command.arg("--non-interactive");
    }
    command.arg("env");
    Ok(command)
}

fn add_component(root: &Path, component: &'static str) -> Result<()> {
    ensure!(
        find("rustup").is_some(),
        "`{component}` is missing and there is no rustup to add it: install your system's package of it"
    );
    let outcome =
        step::run("setup", Command::new("rustup").args(["component", "add", component]).current_dir(root), |_| false)?;
    ensure!(outcome.is_good, "`rustup component add {component}` failed; its output above says why");
    Ok(())
}

fn check_git_version() -> Result<()> {
    let output = Command::new("git").arg("version").output().context("start `git version`")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let version = git_version(&told).with_context(|| format!("no version in `{}`", told.trim()))?;
    let (major, minor) = GIT_VERSION_MIN;
    ensure!(version >= GIT_VERSION_MIN, "git {major}.{minor} or later is needed, this is `{}`", told.trim());
    Ok(())
}

fn git_version(told: &str) -> Option<(u32, u32)> {
    let mut numbers = told.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_versions() {
        assert_eq!(git_version("git version 2.39.5\n"), Some((2, 39)));
        assert_eq!(git_version("git version 2.50.1 (Apple Git-155)"), Some((2, 50)));
        assert_eq!(git_version("no git"), None);
        assert!(git_version("git version 2.30.2").unwrap() < GIT_VERSION_MIN);
        assert!(git_version("git version 3.0").unwrap() >= GIT_VERSION_MIN);
    }

    #[test]
    fn ubuntu_and_what_is_like_it() {
        assert!(is_ubuntu("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_ubuntu("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_ubuntu("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"));
    }

    #[test]
    fn programs_are_found_on_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
        assert!(works("git") && !works("no-such-program-anywhere") && !works("false"));
    }
}
