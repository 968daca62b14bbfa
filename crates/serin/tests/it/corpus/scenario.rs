//! One scenario of a case, made real: a repository with a remote, its neighbours, variables, a diff.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::expectation::{self, Ran};
use crate::project::{Project, git};

/// The commit that cases name, which no repository here can have.
const SHA: &str = "02618988a1864b3d06cfee3bd79f8baa2dd21407";
/// Writes the environment of a job's first shell beside its project.
const DUMP: &str = "if [ -n \"$CI_PROJECT_DIR\" ] && [ ! -e \"$CI_PROJECT_DIR/../environment\" ]; then \
                    env -0 > \"$CI_PROJECT_DIR/../environment\"; fi\n";

struct Scenario<'a> {
    case: &'a Path,
    context: &'a Value,
    project: Project,
    args: Vec<String>,
}

/// Runs a scenario and compares what came of it.
pub fn check(case: &Path, entry: &str, scenario: &Value) -> Result<(), String> {
    let context = &scenario["context"];
    let word = |key: &str| context[key].as_str().map(str::to_owned);
    let path = word("project").unwrap_or_else(|| "gcl/test-project".to_owned());
    let default_branch = word("default_branch").unwrap_or_else(|| "main".to_owned());
    let branch = word("branch").unwrap_or_else(|| default_branch.clone());
    let name = path.rsplit('/').next().unwrap_or("project");
    let mut made = Scenario { case, context, project: Project::new(name, &branch), args: Vec::new() };
    made.args = ["run", "--format", "json", "--keep", "--no-delay", "--file", entry].map(str::to_owned).to_vec();
    made.repository((&path, &default_branch))?;
    made.neighbours(&path)?;
    made.variables();
    made.event()?;
    let run = &scenario["run"];
    let runs = match run["runs"].as_array() {
        Some(runs) => runs.clone(),
        None => vec![run.clone()],
    };
    for expected in &runs {
        let ran = made.run()?;
        let expected = if run["runs"].is_array() { jobs_map(expected) } else { expected.clone() };
        expectation::check(&expected, &ran)?;
    }
    Ok(())
}

/// Each of several runs is a map of jobs, with or without the word.
fn jobs_map(run: &Value) -> Value {
    if run.get("jobs").is_some() { run.clone() } else { serde_json::json!({ "jobs": run }) }
}

impl Scenario<'_> {
    fn repository(&mut self, (path, default_branch): (&str, &str)) -> Result<(), String> {
        copy(self.case, &self.project.root())?;
        self.mocks()?;
        let server = self.context["server_url"].as_str().unwrap_or("https://gitlab.com");
        let message = self.context["commit"]["message"].as_str().unwrap_or("Commit Title");
        let changed: Option<Vec<String>> = self.context["changed_files"]
            .as_array()
            .map(|files| files.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let real: Vec<(String, Option<Vec<u8>>)> = changed
            .iter()
            .flatten()
            .map(|file| (file.clone(), std::fs::read(self.project.root().join(file)).ok()))
            .collect();
        for (file, content) in &real {
            self.project.write(file, [content.as_deref().unwrap_or_default(), b"\n# before\n"].concat());
        }
        self.project.commit(message);
        for (file, content) in real {
            match content {
                Some(content) => self.project.write(&file, content),
                None => std::fs::remove_file(self.project.root().join(file)).map_err(|error| error.to_string())?,
            }
        }
        if changed.is_some() {
            self.args.extend(["--since", "HEAD"].map(str::to_owned));
        }
        self.project.git(&["remote", "add", "origin", &format!("{server}/{path}.git")]);
        let remote = format!("refs/remotes/origin/{default_branch}");
        self.project.git(&["update-ref", &remote, "HEAD"]);
        self.project.git(&["symbolic-ref", "refs/remotes/origin/HEAD", &remote]);
        Ok(())
    }

    /// Addresses and templates become files of the project: there is no network here.
    fn mocks(&self) -> Result<(), String> {
        for (kind, keyword) in [("remotes", "remote"), ("templates", "template")] {
            for (from, to) in self.context[kind].as_object().into_iter().flatten() {
                let to = to.as_str().unwrap_or_default();
                for file in files(&self.project.root()) {
                    let Ok(text) = std::fs::read_to_string(self.project.root().join(&file)) else { continue };
                    let mut changed = text.clone();
                    for quote in ["", "'", "\""] {
                        let written = format!("{keyword}: {quote}{from}{quote}");
                        changed = changed.replace(&written, &format!("local: {to}"));
                    }
                    if keyword == "remote" {
                        changed = changed.replace(from, &format!("/{to}"));
                    }
                    if changed != text {
                        self.project.write(&file, changed);
                    }
                }
            }
        }
        Ok(())
    }

    /// Other projects become checkouts beside this one, each ref a branch.
    fn neighbours(&self, own: &str) -> Result<(), String> {
        for (key, listed) in self.context["projects"].as_object().into_iter().flatten() {
            let (path, reference) = key.split_once('@').unwrap_or((key, "main"));
            let folder = self.project.above().join(path.rsplit('/').next().unwrap_or("other"));
            if path == own {
                return Err(format!("the project itself is included as `{path}`"));
            }
            if !folder.join(".git").exists() {
                std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
                git(&folder, &["init", "-q", "-b", "main", "."]);
                git(&folder, &["commit", "-q", "--allow-empty", "-m", "first"]);
                git(&folder, &["remote", "add", "origin", &format!("https://gitlab.com/{path}.git")]);
            }
            if reference != "main" {
                git(&folder, &["checkout", "-q", "-b", reference, "main"]);
            }
            for (file, local) in listed.as_object().into_iter().flatten() {
                let target = folder.join(file.trim_start_matches('/'));
                let content = std::fs::read(self.case.join(local.as_str().unwrap_or_default()));
                std::fs::create_dir_all(target.parent().unwrap_or(&folder)).map_err(|error| error.to_string())?;
                std::fs::write(target, content.map_err(|error| error.to_string())?).map_err(|e| e.to_string())?;
            }
            git(&folder, &["add", "-A", "."]);
            git(&folder, &["commit", "-q", "--allow-empty", "-m", "files"]);
            git(&folder, &["checkout", "-q", "main"]);
        }
        Ok(())
    }

    fn variables(&mut self) {
        let mut lines = vec!["[plain]".to_owned()];
        for (key, value) in self.context["group_variables"].as_object().into_iter().flatten() {
            lines.push(format!("{key}={}", text(value)));
        }
        for variable in self.context["project_variables"].as_array().into_iter().flatten() {
            let scope = variable["environment_scope"].as_str().unwrap_or("*");
            lines.push(format!("[plain, environment {scope}]"));
            lines.push(format!("{}={}", text(&variable["key"]), text(&variable["value"])));
        }
        if lines.len() > 1 {
            self.project.write(".serin.env", lines.join("\n"));
        }
        for (key, value) in self.context["pipeline_variables"].as_object().into_iter().flatten() {
            self.args.extend(["--var".to_owned(), format!("{key}={}", text(value))]);
        }
    }

    fn event(&mut self) -> Result<(), String> {
        if let Some(tag) = self.context["tag"].as_str() {
            self.args.extend(["--tag".to_owned(), tag.to_owned()]);
        }
        let source = if self.context["merge_request"] == true { Some("merge_request_event") } else { None };
        let event = match source.or(self.context["source"].as_str()) {
            None | Some("push") => "push",
            Some("merge_request_event") => "merge_request",
            Some(word @ ("web" | "schedule" | "api" | "trigger")) => word,
            Some(other) => return Err(format!("`serin run` knows no event `{other}`")),
        };
        self.args.extend(["--event".to_owned(), event.to_owned()]);
        for (name, value) in self.context["inputs"].as_object().into_iter().flatten() {
            self.args.extend(["--input".to_owned(), format!("{name}={value}")]);
        }
        for job in self.context["manual_played"].as_array().into_iter().flatten() {
            self.args.extend(["--play".to_owned(), text(job)]);
        }
        Ok(())
    }

    fn run(&self) -> Result<Ran, String> {
        let dump = self.project.above().join("dump.sh");
        std::fs::write(&dump, DUMP).map_err(|error| error.to_string())?;
        let mut args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let wanted = format!("BASH_ENV={}", dump.display());
        // Only where it is asked for: it is one variable more than the case has.
        if self.wants_environment() {
            args.extend(["--var", &wanted]);
        }
        let said = self.project.serin(&args);
        let outcome = serde_json::from_str(&said.output)
            .map_err(|_| format!("exit code {}: {}{}", said.code, said.output, said.errors))?;
        let sha = self.project.git(&["rev-parse", "HEAD"]);
        let names = BTreeMap::from([(SHA.to_owned(), sha.clone()), (SHA[..8].to_owned(), sha[..8].to_owned())]);
        Ok(Ran { outcome, code: said.code, same: names })
    }

    fn wants_environment(&self) -> bool {
        let expect = std::fs::read_to_string(self.case.join("expect.json")).unwrap_or_default();
        expect.contains("\"env\"") || expect.contains("\"env_absent\"")
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The files of a folder, relative to it.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                if entry.file_name() != ".git" {
                    open.push(path);
                }
            } else {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    for file in files(from).into_iter().filter(|file| file != "expect.json") {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().unwrap_or(to)).map_err(|error| error.to_string())?;
        std::fs::copy(from.join(&file), target).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}
