//! SonarQube's word: its webhook in, checked by the secret that both sides know (SonarQube Server, Webhooks), and the
//! question how an analysis ended.

pub mod analysis;
mod web_api;

use ring::hmac;
use serde::Deserialize;
use serin_quality::text::{NAME_BYTES_MAX, line};
use serin_store::project as projects;
use serin_store::quality::{self as rows, Sonarqube};

use crate::App;
use crate::clock::now;
use crate::error::{Error, Kind, Result};
use crate::hub::Change;

/// The project's variable that holds the webhook's secret; no job sees it.
pub const SECRET: &str = "SERIN_SONARQUBE_SECRET";
/// The project's variables that no job sees: who can speak in SonarQube's name, or as the server, can open the gate.
pub const HIDDEN: [&str; 2] = [SECRET, analysis::TOKEN];
/// Conditions of one gate.
const CONDITIONS_MAX: usize = 100;

/// The webhook's body, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Webhook {
    revision: Option<String>,
    project: Option<Project>,
    #[serde(rename = "qualityGate")]
    gate: Option<Gate>,
}

#[derive(Debug, Deserialize)]
struct Project {
    key: String,
}

#[derive(Debug, Deserialize)]
struct Gate {
    status: String,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    metric: String,
    status: String,
    value: Option<String>,
    operator: Option<String>,
    error_threshold: Option<String>,
}

/// Takes a webhook whose `X-Sonar-Webhook-HMAC-SHA256` was made with the project's secret.
///
/// # Errors
/// Where the project has no secret, the signature is not of it, or the body is no webhook with a revision.
pub async fn receive(app: &App, name: &str, (signature, body): (Option<&str>, &[u8])) -> Result<()> {
    let project = match crate::project::find(app, name).await {
        Ok(project) => project,
        // Who has no secret learns of no project.
        Err(error) if error.kind == Kind::NotFound => return Err(refused()),
        Err(error) => return Err(error),
    };
    let variables = projects::project_variable_list(&mut *app.store.read().await?, project.id).await?;
    let secret = variables.into_iter().find(|variable| variable.key == SECRET && !variable.value.is_empty());
    let signature = signature.and_then(bytes_of_hex).ok_or_else(refused)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.ok_or_else(refused)?.value.as_bytes());
    hmac::verify(&key, body, &signature).map_err(|_| refused())?;
    let (commit, said) = read(body)?;
    let mut tx = app.store.begin().await?;
    rows::quality_sonarqube_set(&mut tx, (project.id, &commit), &said, now().0).await?;
    tx.commit().await?;
    let requests = rows::quality_merge_request_list(&mut *app.store.read().await?, project.id, &commit).await?;
    requests.into_iter().for_each(|id| app.hub.tell(Change::MergeRequest(id)));
    Ok(())
}

fn refused() -> Error {
    Error::new(Kind::Unauthorized, "the webhook is not signed with the project's secret")
        .hint(format!("give SonarQube's webhook and the project's variable `{SECRET}` the same secret"))
}

/// The commit, and what is said of it.
fn read(body: &[u8]) -> Result<(String, Sonarqube)> {
    let webhook: Webhook = serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format!("this is no webhook of SonarQube: {error}")))?;
    let is_commit = |text: &String| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = webhook.revision.filter(is_commit).ok_or_else(|| {
        Error::invalid("the webhook names no commit as its `revision`").hint("let the scanner see the Git repository")
    })?;
    let gate = webhook.gate.ok_or_else(|| Error::invalid("the webhook has no `qualityGate`"))?;
    let open = gate.conditions.iter().filter(|condition| condition.status != "OK").take(CONDITIONS_MAX);
    let open: Vec<String> = open.map(told).collect();
    let said = Sonarqube {
        name: line(&webhook.project.map(|project| project.key).unwrap_or_default(), NAME_BYTES_MAX),
        status: line(&gate.status, NAME_BYTES_MAX),
        conditions: serde_json::to_string(&open)?,
    };
    Ok((commit.to_lowercase(), said))
}

/// A condition that does not hold, such as `new_coverage 61.2, less than 80`.
fn told(condition: &Condition) -> String {
    let limit = condition.error_threshold.as_deref().unwrap_or("?");
    let value = condition.value.as_deref().unwrap_or("?");
    let sign = match condition.operator.as_deref() {
        Some("LESS_THAN") => "<",
        Some("GREATER_THAN") => ">",
        _ => "~",
    };
    line(&format!("{} {value} {sign} {limit}", condition.metric), NAME_BYTES_MAX)
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().as_bytes();
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, after the documents' sample.
    const BODY: &str = r#"{
      "serverUrl": "http://localhost:9000", "taskId": "AVh21JS2JepAEhwQ-b3u", "status": "SUCCESS",
      "analysedAt": "2026-11-18T10:46:28+0100", "revision": "c739069ec7105e01303e8b3065a81141aad9f129",
      "project": { "key": "shop", "name": "Shop", "url": "https://sonar.example/dashboard?id=shop" },
      "properties": {},
      "qualityGate": {
        "conditions": [
          { "errorThreshold": "1", "metric": "new_security_rating", "operator": "GREATER_THAN", "status": "OK", "value": "1" },
          { "errorThreshold": "80", "metric": "new_coverage", "operator": "LESS_THAN", "status": "ERROR", "value": "61.2" },
          { "errorThreshold": "3", "metric": "new_duplicated_lines_density", "operator": "GREATER_THAN", "status": "NO_VALUE" }
        ],
        "name": "Sonar way", "status": "ERROR"
      }
    }"#;

    #[test]
    fn a_webhook_is_read() {
        let (commit, said) = read(BODY.as_bytes()).unwrap();
        assert_eq!(commit, "c739069ec7105e01303e8b3065a81141aad9f129");
        assert_eq!((said.name.as_str(), said.status.as_str()), ("shop", "ERROR"));
        assert_eq!(said.conditions, r#"["new_coverage 61.2 < 80","new_duplicated_lines_density ? > 3"]"#);
        for wrong in ["", "{}", r#"{"revision":"main"}"#, "[1]", &BODY.replace("c739", "c73;")] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signatures_are_hexadecimal() {
        assert_eq!(bytes_of_hex(&"0fA0".repeat(16)).unwrap()[..2], [0x0f, 0xa0]);
        for wrong in ["", "00", &"zz".repeat(32), &"é".repeat(32)] {
            assert!(bytes_of_hex(wrong).is_none());
        }
    }
}
