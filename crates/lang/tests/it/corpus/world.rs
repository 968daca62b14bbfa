//! A case's folder as the outside world of a pipeline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serin_lang::{
    Answer, Answers, Compilation, Context, PipelineSource, Request, SettingVariable, SourceFile, Step, compile,
};
use serin_model::plan::Variable;

/// Calls of the compiler after which a test gives up.
const ROUNDS_MAX: usize = 400;

pub struct World {
    root: PathBuf,
    context: Value,
}

impl World {
    pub fn new(root: &Path, context: Value) -> Self {
        Self { root: root.to_owned(), context }
    }

    pub fn compile(&self, entry: &str) -> Result<Compilation, String> {
        let bytes = std::fs::read(self.root.join(entry)).map_err(|error| format!("{entry}: {error}"))?;
        self.rounds(&SourceFile::new(entry, bytes), &context(&self.context))
    }

    /// Compiles a text in place of the entry file, which has its inputs already.
    pub fn compile_text(&self, text: &str) -> Result<Compilation, String> {
        let context = Context { inputs: Vec::new(), ..context(&self.context) };
        self.rounds(&SourceFile::new("merged.yml", text), &context)
    }

    fn rounds(&self, file: &SourceFile, context: &Context) -> Result<Compilation, String> {
        let mut answers = Answers::default();
        for _ in 0..ROUNDS_MAX {
            match compile(file, context, &answers) {
                Step::Done(done) => return Ok(*done),
                Step::Ask(requests) => {
                    for request in requests {
                        let answer = self.answer(&request);
                        answers.give(request, answer);
                    }
                }
            }
        }
        Err(format!("still asking after {ROUNDS_MAX} rounds"))
    }

    fn answer(&self, request: &Request) -> Answer {
        match request {
            Request::ProjectFile { path } => self.file(path),
            Request::TreeListing { project: None, .. } => Answer::Files(self.listing()),
            Request::TreeListing { project: Some(project), reference } => {
                match self.project(project, reference.as_deref()) {
                    Some(files) => Answer::Files(files.keys().cloned().collect()),
                    None => Answer::Missing(format!("the project `{project}` is not reachable")),
                }
            }
            Request::OtherProject { project, reference, file } => {
                let files = self.project(project, reference.as_deref());
                match files.as_ref().and_then(|files| files.get(file.trim_start_matches('/'))) {
                    Some(local) => self.file(local),
                    None => Answer::Missing(format!("`{file}` of the project `{project}` is not reachable")),
                }
            }
            Request::Remote { url } => self.mock("remotes", url),
            Request::Template { name } => self.mock("templates", name),
            Request::Component { address, version } => self.component(address, version),
            Request::ChangedFilesAgainst { .. } => Answer::Changes(changed(&self.context)),
        }
    }

    fn file(&self, path: &str) -> Answer {
        match std::fs::read(self.root.join(path)) {
            Ok(bytes) => Answer::File(bytes),
            Err(_) => Answer::Missing("the local file does not exist".to_owned()),
        }
    }

    fn mock(&self, kind: &str, key: &str) -> Answer {
        match self.context[kind].get(key).and_then(Value::as_str) {
            Some(local) => self.file(local),
            None => Answer::Missing("it is not reachable".to_owned()),
        }
    }

    /// The files of another project: `path@ref`, or `path` for the head of its default branch.
    fn project(&self, project: &str, reference: Option<&str>) -> Option<BTreeMap<String, String>> {
        let projects = self.context["projects"].as_object()?;
        let wanted = reference.map_or_else(|| project.to_owned(), |reference| format!("{project}@{reference}"));
        let any = || {
            projects
                .iter()
                .find(|(key, _)| reference.is_none() && key.split('@').next() == Some(project))
                .map(|(_, files)| files)
        };
        let files = projects.get(&wanted).or_else(any)?.as_object()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(files.iter().map(|(path, local)| (path.trim_start_matches('/').to_owned(), text(local))).collect())
    }

    fn component(&self, address: &str, version: &str) -> Answer {
        let whole = format!("{address}@{version}");
        let (project, name) =
            address.split_once('/').map_or(("", address), |(_, path)| path.rsplit_once('/').unwrap_or(("", path)));
        let files = self.project(project, Some(version));
        let paths = [format!("templates/{name}.yml"), format!("templates/{name}/template.yml")];
        let local = files.as_ref().and_then(|files| paths.iter().find_map(|path| files.get(path)));
        let mocked = self.context["components"].get(&whole).and_then(Value::as_str).map(str::to_owned);
        match mocked.or_else(|| local.cloned()).map(|path| std::fs::read(self.root.join(path))) {
            Some(Ok(bytes)) => Answer::Component {
                bytes,
                project: project.to_owned(),
                sha: version.to_owned(),
                version: version.to_owned(),
            },
            _ => Answer::Missing("it is not reachable".to_owned()),
        }
    }

    pub fn listing(&self) -> Vec<String> {
        let mut files = Vec::new();
        list(&self.root, "", &mut files);
        files.sort();
        files
    }
}

fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path() {
            path if path.is_dir() => list(&path, &format!("{name}/"), files),
            _ if name != "expect.json" => files.push(name),
            _ => {}
        }
    }
}

/// The commit of cases that name none.
pub const SHA: &str = "02618988a1864b3d06cfee3bd79f8baa2dd21407";

fn changed(context: &Value) -> Option<Vec<String>> {
    let files = context["changed_files"].as_array()?;
    Some(files.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn pairs(value: &Value) -> Vec<Variable> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| Variable::plain(key.as_str(), text(value))).collect()
}

pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn context(given: &Value) -> Context {
    let word = |key: &str| given[key].as_str().map(str::to_owned);
    let default_branch = word("default_branch").unwrap_or_else(|| "main".to_owned());
    let mut source = word("source").and_then(|word| PipelineSource::parse(&word)).unwrap_or_default();
    if given["merge_request"] == true {
        source = PipelineSource::MergeRequestEvent;
    }
    let message = given["commit"]["message"].as_str().unwrap_or("Commit Title");
    let title = message.lines().next().unwrap_or_default();
    let setting = |value: &Value| SettingVariable {
        environment_scope: value["environment_scope"].as_str().unwrap_or("*").to_owned(),
        ..SettingVariable::plain(text(&value["key"]), text(&value["value"]))
    };
    let group = pairs(&given["group_variables"]);
    let mut predefined = vec![Variable::plain("CI_COMMIT_MESSAGE", message), Variable::plain("CI_COMMIT_TITLE", title)];
    if source == PipelineSource::MergeRequestEvent {
        let target = ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", default_branch.as_str());
        let request = [("CI_MERGE_REQUEST_ID", "1"), ("CI_MERGE_REQUEST_IID", "1"), target];
        predefined.extend(request.map(|(key, value)| Variable::plain(key, value)));
        predefined.push(Variable::plain("CI_MERGE_REQUEST_EVENT_TYPE", "detached"));
    }
    Context {
        source,
        branch: word("branch").or_else(|| Some(default_branch.clone())),
        tag: word("tag"),
        default_branch,
        project: word("project").unwrap_or_else(|| "gcl/test-project".to_owned()),
        sha: given["commit"]["sha"].as_str().unwrap_or(SHA).to_owned(),
        predefined,
        project_variables: given["project_variables"].as_array().into_iter().flatten().map(setting).collect(),
        group_variables: group
            .into_iter()
            .map(|variable| SettingVariable::plain(variable.key, variable.value))
            .collect(),
        pipeline_variables: pairs(&given["pipeline_variables"]),
        inputs: given["inputs"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect(),
        changed_files: changed(given),
        server_url: word("server_url").unwrap_or_else(|| "https://gitlab.com".to_owned()),
        ..Context::default()
    }
}
