//! SonarQube's web API, as far as it tells how an analysis ended (SonarQube Server, Web API: `api/ce/task`,
//! `api/project_analyses/search`, `api/qualitygates/project_status`).
//!
//! Only the address that the project names is called: no redirection is followed, no address out of an answer is used,
//! and every answer is bounded in bytes and time.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::StatusCode;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Analyses among which the one that is meant is looked for.
const ANALYSES: &str = "100";
/// Characters of a name that SonarQube gives.
const NAME_LENGTH_MAX: usize = 400;

/// A reason in both languages of the pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) english: String,
    pub(super) chinese: String,
}

impl Why {
    pub(super) fn new(english: impl Into<String>, chinese: impl Into<String>) -> Self {
        Self { english: english.into(), chinese: chinese.into() }
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It may come later.
    Later(Why),
    /// It will never come.
    Never(Why),
}

impl Problem {
    fn later(english: impl Into<String>, chinese: impl Into<String>) -> Self {
        Self::Later(Why::new(english, chinese))
    }

    pub(super) fn never(english: impl Into<String>, chinese: impl Into<String>) -> Self {
        Self::Never(Why::new(english, chinese))
    }
}

/// A SonarQube server, and who asks.
pub(super) struct Server {
    address: String,
    token: String,
}

/// An analysis that has ended well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// SonarQube's own project.
    pub(super) project: String,
    /// The commit that was analysed.
    pub(super) revision: Option<String>,
    /// The gate's word.
    pub(super) status: String,
    /// Its conditions that do not hold.
    pub(super) open: Vec<Condition>,
}

/// A condition of SonarQube's gate.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    pub(super) metric_key: String,
    pub(super) status: String,
    pub(super) comparator: Option<String>,
    pub(super) error_threshold: Option<String>,
    pub(super) actual_value: Option<String>,
}

#[derive(Deserialize)]
struct TaskAnswer {
    task: Task,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    status: String,
    #[serde(default)]
    component_key: String,
    analysis_id: Option<String>,
    error_message: Option<String>,
    branch: Option<String>,
    pull_request: Option<String>,
}

#[derive(Deserialize)]
struct AnalysesAnswer {
    analyses: Vec<Analysis>,
}

#[derive(Deserialize)]
struct Analysis {
    key: String,
    revision: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    project_status: ProjectStatus,
}

#[derive(Deserialize)]
struct ProjectStatus {
    status: String,
    #[serde(default)]
    conditions: Vec<Condition>,
}

impl Server {
    /// A server of that address; `None`: it is no address of HTTP.
    pub(super) fn new(address: &str, token: &str) -> Option<Self> {
        let address = address.trim().trim_end_matches('/');
        let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '\\');
        let is_whole = !host.is_empty() && !host.starts_with('/') && host.chars().all(is_plain);
        is_whole.then(|| Self { address: address.to_owned(), token: token.to_owned() })
    }

    /// How an analysis ended.
    pub(super) fn ended(&self, task: &str) -> Result<Ended, Problem> {
        let TaskAnswer { task } = self.get("api/ce/task", &[("id", task)])?;
        match task.status.as_str() {
            "SUCCESS" => {}
            "PENDING" | "IN_PROGRESS" => {
                return Err(Problem::later("the analysis is under way", "分析正在进行"));
            }
            status => {
                let why = task.error_message.unwrap_or_default();
                let colon = |colon: &str| if why.is_empty() { String::new() } else { format!("{colon}{why}") };
                return Err(Problem::never(
                    format!("the analysis ended as {status}{}", colon(": ")),
                    format!("分析以 {status} 结束{}", colon("：")),
                ));
            }
        }
        let analysis = task.analysis_id.clone().filter(|id| is_name(id));
        let analysis = analysis.ok_or_else(|| Problem::never("the analysis has no number", "分析没有编号"))?;
        let revision = self.revision(&task, &analysis)?;
        let StatusAnswer { project_status } =
            self.get("api/qualitygates/project_status", &[("analysisId", &analysis)])?;
        let open = project_status.conditions.into_iter().filter(|condition| condition.status != "OK").collect();
        Ok(Ended { project: task.component_key, revision, status: project_status.status, open })
    }

    /// The commit of an analysis.
    fn revision(&self, task: &Task, analysis: &str) -> Result<Option<String>, Problem> {
        let mut query = vec![("project", task.component_key.as_str()), ("ps", ANALYSES)];
        query.extend(task.branch.as_deref().map(|branch| ("branch", branch)));
        query.extend(task.pull_request.as_deref().map(|request| ("pullRequest", request)));
        let AnalysesAnswer { analyses } = self.get("api/project_analyses/search", &query)?;
        Ok(analyses.into_iter().find(|one| one.key == analysis).and_then(|one| one.revision))
    }

    fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Problem> {
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let request = agent.get(format!("{}/{path}", self.address)).query_pairs(query.iter().copied());
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let mut answer = request.call().map_err(|error| {
            Problem::later(format!("`{path}` cannot be asked: {error}"), format!("无法请求 `{path}`：{error}"))
        })?;
        judged(path, answer.status())?;
        let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| {
            Problem::later(format!("`{path}` cannot be read: {error}"), format!("无法读取 `{path}` 的应答：{error}"))
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Problem::never(
                format!("`{path}` answers otherwise: {error}"),
                format!("`{path}` 的应答不符合预期：{error}"),
            )
        })
    }
}

fn judged(path: &str, status: StatusCode) -> Result<(), Problem> {
    let code = status.as_u16();
    let told = |english: &str, chinese: &str| {
        Why::new(format!("`{path}` answers {code}{english}"), format!("`{path}` 应答 {code}{chinese}"))
    };
    match code {
        200 => Ok(()),
        401 | 403 => Err(Problem::Never(told(": the token is refused", "：令牌被拒绝"))),
        300..=399 => {
            let english = ": the address leads elsewhere, give the right one";
            Err(Problem::Never(told(english, "：地址被重定向，请填写正确的地址")))
        }
        408 | 429 | 500..=599 => Err(Problem::Later(told("", ""))),
        _ => Err(Problem::Never(told("", ""))),
    }
}

/// Whether a text is a name as SonarQube gives them to analyses.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_LENGTH_MAX && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_http_and_carry_nothing_else() {
        for (address, is_good) in [
            ("https://sonar.example", true),
            ("http://127.0.0.1:9000/sonar/", true),
            ("ftp://sonar.example", false),
            ("https://", false),
            ("https:///x", false),
            ("https://a@b", false),
            ("https://a/?x=", false),
            ("https://a/#", false),
            ("https://a b", false),
            ("sonar.example", false),
        ] {
            assert_eq!(Server::new(address, "t").is_some(), is_good, "{address}");
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        let is_later = |code| matches!(judged("x", StatusCode::from_u16(code).unwrap()), Err(Problem::Later(_)));
        assert!([408, 429, 500, 503].into_iter().all(is_later));
        assert!(![302, 400, 401, 403, 404].into_iter().any(is_later));
        assert_eq!(judged("x", StatusCode::OK), Ok(()));
    }
}
