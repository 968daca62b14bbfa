//! Images for tests, made of what Debian's packages put on this machine, as nothing can be pulled.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Where Debian has PostgreSQL, by version.
const POSTGRESQL: &str = "/usr/lib/postgresql";
/// Programs of it that the image has.
const PROGRAMS: [&str; 5] = ["createdb", "initdb", "pg_ctl", "postgres", "psql"];
/// Names of busybox in it.
const NAMES: [&str; 10] = ["cat", "chmod", "chown", "echo", "env", "id", "ls", "sh", "sleep", "test"];
/// A static busybox (Debian: `busybox-static`).
const BUSYBOX: &str = "/bin/busybox";
const USERS: &str = "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/data:/bin/sh\n";
/// Part of the image's tag: to be counted up when what is made here changes.
const EDITION: u32 = 1;

/// What the image runs: any command, or a server with the database and password that its variables name.
const ENTRY: &str = r#"#!/bin/sh
set -e
[ "$1" = postgres ] || exec "$@"
export PGDATA=/data/cluster
printf %s "${POSTGRES_PASSWORD:?is not set}" > /tmp/password
initdb --username=postgres --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 \
    --locale=C --encoding=UTF8 --no-sync
echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
echo "unix_socket_directories = '/tmp'" >> "$PGDATA/postgresql.conf"
pg_ctl --wait -o "-c listen_addresses=''" start
createdb --host=/tmp --username=postgres "${POSTGRES_DB:-test}"
pg_ctl --wait --mode=fast stop
exec postgres -c listen_addresses='*' -c fsync=off
"#;

/// Runs the engine's own client.
///
/// # Errors
/// Where it fails.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().context("start `docker`")?;
    ensure!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A small image with PostgreSQL, and a shell and `psql` for jobs; made where it is not there yet.
///
/// # Errors
/// Where there is no engine, or a package is not installed.
pub fn postgresql() -> Result<String> {
    let lock = fs::File::create(std::env::temp_dir().join("serin-e2e-image.lock"))?;
    lock.lock()?;
    let version = version()?;
    let output =
        Command::new("dpkg-query").args(["-W", "-f", "${Version}", &format!("postgresql-{version}")]).output()?;
    ensure!(output.status.success(), "`apt-get install postgresql-{version}`");
    let package = String::from_utf8(output.stdout)?.replace(['+', '~', ':'], "-");
    let image = format!("serin-test/postgresql:{package}-{EDITION}");
    if docker(&["image", "inspect", &image]).is_ok() {
        return Ok(image);
    }
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    fill(&root, &version)?;
    let archive = folder.path().join("image.tar");
    let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status()?;
    ensure!(packed.success(), "`tar` failed");
    let path = format!("ENV PATH={POSTGRESQL}/{version}/bin:/bin");
    let changes =
        [&path, "ENTRYPOINT [\"/entry\"]", "CMD [\"postgres\"]", "USER postgres", "EXPOSE 5432", "VOLUME /data"];
    let mut arguments = vec!["import"];
    changes.iter().for_each(|change| arguments.extend(["--change", change]));
    let archive = archive.display().to_string();
    arguments.extend([archive.as_str(), &image]);
    docker(&arguments)?;
    Ok(image)
}

/// The newest version of PostgreSQL that is installed.
fn version() -> Result<String> {
    let installed = fs::read_dir(POSTGRESQL).context("`apt-get install postgresql`")?;
    let versions = installed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(versions.max().context("`apt-get install postgresql`")?.to_string())
}

fn fill(root: &Path, version: &str) -> Result<()> {
    for folder in ["bin", "etc", "tmp", "data", "root"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in ["tmp", "data"] {
        fs::set_permissions(root.join(folder), PermissionsExt::from_mode(0o1777))?;
    }
    fs::write(root.join("etc/passwd"), USERS)?;
    fs::write(root.join("etc/group"), "root:x:0:\npostgres:x:999:\n")?;
    fs::write(root.join("entry"), ENTRY)?;
    fs::set_permissions(root.join("entry"), PermissionsExt::from_mode(0o755))?;
    fs::copy(BUSYBOX, root.join("bin/busybox")).context("`apt-get install busybox-static`")?;
    NAMES.iter().try_for_each(|name| symlink("busybox", root.join("bin").join(name)))?;
    let home = PathBuf::from(POSTGRESQL).join(version);
    let mut files: BTreeSet<PathBuf> = PROGRAMS.iter().map(|name| home.join("bin").join(name)).collect();
    files.extend(["dict_snowball.so", "plpgsql.so"].map(|name| home.join("lib").join(name)));
    let libraries: Vec<PathBuf> = files.iter().map(|file| libraries(file)).collect::<Result<Vec<_>>>()?.concat();
    files.extend(libraries);
    for file in files {
        copy(&file, &below(root, &file))?;
    }
    let share = PathBuf::from("/usr/share/postgresql").join(version);
    copy_folder(&share, &below(root, &share))
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The libraries that a program or library needs, and what loads them.
fn libraries(file: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(file).output()?;
    let text = String::from_utf8(output.stdout)?;
    let words = text.split_ascii_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() && entry.file_name() != "man" => copy_folder(&entry.path(), &target)?,
            kind if kind.is_file() => copy(&entry.path(), &target)?,
            _ => {}
        }
    }
    Ok(())
}
