//! Analyses that a job's scanner began: the file that it leaves, and the question how they ended.
//!
//! The file comes out of a job and is hostile: of it the analysis's name alone is used, at the address that the project's
//! variables name, and an analysis of another commit says nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serin_model::CommitId;
use serin_quality::text::{NAME_BYTES_MAX, line};
use serin_store::pipeline::Pipeline;
use serin_store::project as projects;
use serin_store::quality::{self as rows, Sonarqube, SonarqubeTask};
use serin_store::{Tx, pipeline as pipelines};

use super::web_api::{Condition, Ended, Problem, Server, Why, is_name};
use crate::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::hub::Change;

/// The project's variable that names the server.
pub const ADDRESS: &str = "SERIN_SONARQUBE_URL";
/// The project's variable that holds a token of the server's; no job sees it.
pub const TOKEN: &str = "SERIN_SONARQUBE_TOKEN";
/// The project's variable that names the only project there that counts.
pub const PROJECT: &str = "SERIN_SONARQUBE_PROJECT";
/// The status where SonarQube says nothing; its two conditions are the reason, in English and in Chinese.
pub const SILENT: &str = "UNKNOWN";
/// Bytes of the scanner's file.
pub const FILE_BYTES_MAX: u64 = 64 << 10;
/// Analyses asked for at the same time.
const AT_ONCE: i64 = 8;
/// Milliseconds between two questions; the first is the least, and doubles.
const WAIT_MS_MIN: i64 = 1_000;
const WAIT_MS_MAX: i64 = 60_000;
/// Milliseconds after which nobody asks any more.
const GIVEN_UP_MS: i64 = 2 * 60 * 60 * 1_000;

/// What the scanner's file names.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The analysis.
    pub task: String,
    /// SonarQube's own project.
    pub project: String,
}

/// Reads the scanner's `report-task.txt`: lines of a key and a value.
///
/// # Errors
/// Where it names no analysis.
pub fn named(text: &str) -> std::result::Result<Named, String> {
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(known, _)| known.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let task = value("ceTaskId").filter(|task| is_name(task));
    let task = task.ok_or("it names no `ceTaskId`; give the `report-task.txt` that SonarQube's scanner leaves")?;
    Ok(Named { task, project: line(&value("projectKey").unwrap_or_default(), NAME_BYTES_MAX) })
}

/// A server's address and token out of a project's variables.
struct Access {
    server: Server,
    project: Option<String>,
}

async fn access(app: &App, project_id: i64) -> Result<std::result::Result<Access, Why>> {
    let variables = projects::project_variable_list(&mut *app.store.read().await?, project_id).await?;
    let value = |key: &str| {
        let found = variables.iter().find(|variable| variable.key == key && !variable.value.is_empty());
        found.map(|variable| variable.value.as_str())
    };
    let Some((address, token)) = value(ADDRESS).zip(value(TOKEN)) else {
        return Ok(Err(Why::new(
            format!("the project's variables `{ADDRESS}` and `{TOKEN}` are not set"),
            format!("未设置项目变量 `{ADDRESS}` 和 `{TOKEN}`"),
        )));
    };
    let server = Server::new(address, token).ok_or_else(|| {
        Why::new(
            format!("`{ADDRESS}` is no address such as https://sonar.example"),
            format!("`{ADDRESS}` 不是 https://sonar.example 这样的地址"),
        )
    });
    Ok(server.map(|server| Access { server, project: value(PROJECT).map(str::to_owned) }))
}

/// Notes an analysis of a pipeline's commit; until its end is known the gate says that it is under way.
///
/// # Errors
/// Where the database fails; within, why it cannot be asked for.
pub async fn begin(app: &App, pipeline: &Pipeline, named: Named) -> Result<std::result::Result<(), String>> {
    if let Err(why) = access(app, pipeline.project_id).await? {
        return Ok(Err(why.english));
    }
    let mut tx = app.store.begin().await?;
    let task = SonarqubeTask {
        project_id: pipeline.project_id,
        task: named.task,
        commit_id: pipeline.commit_id.clone(),
        name: named.project,
        attempts: 0,
        next_at: now().0,
        created_at: now().0,
    };
    rows::quality_sonarqube_task_add(&mut tx, &task).await?;
    say(&mut tx, &task, ("PENDING", &[])).await?;
    tx.commit().await?;
    app.analyses.notify_one();
    Ok(Ok(()))
}

async fn say(tx: &mut Tx, task: &SonarqubeTask, (status, open): (&str, &[String])) -> Result<()> {
    let said =
        Sonarqube { name: task.name.clone(), status: status.to_owned(), conditions: serde_json::to_string(open)? };
    rows::quality_sonarqube_set(tx, (task.project_id, &task.commit_id), &said, now().0).await?;
    Ok(())
}

/// Asks for analyses until they have ended; never returns.
pub async fn work(app: Arc<App>) {
    loop {
        let wait = match round(&app).await {
            Ok(Some(at)) => Duration::from_millis(at.saturating_sub(now().0).max(1).unsigned_abs()),
            Ok(None) => Duration::from_secs(3_600),
            Err(error) => {
                tracing::error!(%error, "analyses at SonarQube cannot be asked for");
                Duration::from_secs(5)
            }
        };
        tokio::select! {
            () = app.analyses.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Asks for all that are due; tells when the next one is.
async fn round(app: &Arc<App>) -> Result<Option<i64>> {
    loop {
        let waiting = rows::quality_sonarqube_task_list(&mut *app.store.read().await?, AT_ONCE).await?;
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|task| task.next_at <= now().0);
        if due.is_empty() {
            return Ok(later.first().map(|task| task.next_at));
        }
        for ended in join_all(due.iter().map(|task| ask(app, task))).await {
            ended?;
        }
    }
}

async fn ask(app: &Arc<App>, task: &SonarqubeTask) -> Result<()> {
    let answer = match access(app, task.project_id).await? {
        Ok(access) => {
            let (name, project) = (task.task.clone(), access.project.unwrap_or_else(|| task.name.clone()));
            let ended = tokio::task::spawn_blocking(move || {
                access.server.ended(&name).and_then(|ended| of_project(ended, &project))
            });
            ended.await.map_err(|error| Error::internal("SonarQube", &error))?
        }
        Err(why) => Err(Problem::Never(why)),
    };
    let is_late = now().0.saturating_sub(task.created_at) > GIVEN_UP_MS;
    let (status, open) = match answer {
        Err(Problem::Later(why)) if !is_late => {
            tracing::debug!(task = task.task, why = why.english, "analysis not ended");
            let wait = WAIT_MS_MIN.saturating_mul(1 << task.attempts.clamp(0, 20)).min(WAIT_MS_MAX);
            let mut tx = app.store.begin().await?;
            let key = (task.project_id, task.task.as_str());
            rows::quality_sonarqube_task_postpone(&mut tx, key, now().plus_ms(wait).0).await?;
            tx.commit().await?;
            return Ok(());
        }
        Err(Problem::Later(why) | Problem::Never(why)) => silent(&why),
        Ok(ended) if !is_of_commit(app, task, &ended).await? => silent(&Why::new(
            "the analysis is of another commit, or names none: let the scanner see the Git repository",
            "分析针对的是其他提交，或未指明提交：请让扫描器能够访问 Git 仓库",
        )),
        Ok(ended) => (line(&ended.status, NAME_BYTES_MAX), ended.open.iter().map(told).collect()),
    };
    let mut tx = app.store.begin().await?;
    say(&mut tx, task, (&status, &open)).await?;
    rows::quality_sonarqube_task_remove(&mut tx, task.project_id, &task.task).await?;
    tx.commit().await?;
    let requests =
        rows::quality_merge_request_list(&mut *app.store.read().await?, task.project_id, &task.commit_id).await?;
    requests.into_iter().for_each(|id| app.hub.tell(Change::MergeRequest(id)));
    Ok(())
}

/// Why SonarQube says nothing: English, then Chinese.
fn silent(why: &Why) -> (String, Vec<String>) {
    (SILENT.to_owned(), [&why.english, &why.chinese].map(|text| line(text, NAME_BYTES_MAX)).to_vec())
}

/// An analysis of a project that does not count says nothing: its gate may be anybody's.
fn of_project(ended: Ended, wanted: &str) -> std::result::Result<Ended, Problem> {
    if ended.project == wanted {
        return Ok(ended);
    }
    let is = &ended.project;
    Err(Problem::never(
        format!("the analysis is of `{is}`, not of `{wanted}`"),
        format!("分析针对的是 `{is}`，而不是 `{wanted}`"),
    ))
}

/// Whether the commit that was analysed is the one that the pipeline built, or the one that it was merged from.
async fn is_of_commit(app: &App, task: &SonarqubeTask, ended: &Ended) -> Result<bool> {
    let Some(revision) = &ended.revision else { return Ok(false) };
    if revision.eq_ignore_ascii_case(&task.commit_id) {
        return Ok(true);
    }
    let commit = CommitId(task.commit_id.clone());
    let heads = pipelines::pipeline_head_list(&mut *app.store.read().await?, task.project_id, &commit.0).await?;
    Ok(heads.iter().any(|head| head.eq_ignore_ascii_case(revision)))
}

/// A condition that does not hold, such as `new_coverage 61.2 < 80`.
fn told(condition: &Condition) -> String {
    let sign = match condition.comparator.as_deref() {
        Some("LT") => "<",
        Some("GT") => ">",
        _ => "~",
    };
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let (value, limit) = (or_unknown(&condition.actual_value), or_unknown(&condition.error_threshold));
    line(&format!("{} {value} {sign} {limit}", condition.metric_key), NAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, after what the scanner writes.
    const FILE: &str = "projectKey=shop\nserverUrl=https://evil.example\nserverVersion=10.8.0.100206\n\
                        dashboardUrl=https://evil.example/dashboard?id=shop\nceTaskId=AVAn5RKqYwETbXvgas-I\n\
                        ceTaskUrl=https://evil.example/api/ce/task?id=AVAn5RKqYwETbXvgas-I\n";

    #[test]
    fn the_scanners_file_names_an_analysis_and_nothing_else_counts() {
        let expected = Named { task: "AVAn5RKqYwETbXvgas-I".into(), project: "shop".into() };
        assert_eq!(named(FILE), Ok(expected));
        assert_eq!(named("ceTaskId = a-1 \r\n").unwrap().task, "a-1");
        for wrong in ["", "ceTaskId=", "ceTaskId=a b", "ceTaskId=../x", "ceTaskId=a&id=b", "xceTaskId=a", "\0"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
        assert!(named(&format!("ceTaskId={}", "a".repeat(401))).is_err());
    }

    #[test]
    fn conditions_are_told_in_a_line() {
        let condition = Condition {
            metric_key: "new_coverage".into(),
            status: "ERROR".into(),
            comparator: Some("LT".into()),
            error_threshold: Some("80".into()),
            actual_value: Some("61.2".into()),
        };
        assert_eq!(told(&condition), "new_coverage 61.2 < 80");
        assert_eq!(told(&Condition { comparator: None, actual_value: None, ..condition }), "new_coverage ? ~ 80");
    }
}
