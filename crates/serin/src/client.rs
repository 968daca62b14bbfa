//! The server's REST API, from outside.

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serin_wire::rest::Problem;

/// A server and who asks.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// A client of the server at that address.
    #[must_use]
    pub fn new(server: &str, token: &str) -> Self {
        let base = format!("{}/api/v4", server.trim_end_matches('/'));
        Self { http: reqwest::Client::new(), base, token: token.to_owned() }
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(self.http.get(self.address(path)), path).await
    }

    /// `GET` of plain text.
    pub async fn text(&self, path: &str) -> Result<String> {
        let response = self.http.get(self.address(path)).header("PRIVATE-TOKEN", &self.token).send().await;
        let response = response.with_context(|| format!("cannot reach {}", self.base))?;
        if !response.status().is_success() {
            bail!("{}: {}", response.status(), response.text().await?);
        }
        Ok(response.text().await?)
    }

    /// `POST`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.send(self.http.post(self.address(path)).json(body), path).await
    }

    /// `PUT`.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.send(self.http.put(self.address(path)).json(body), path).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder, path: &str) -> Result<T> {
        let response = request.header("PRIVATE-TOKEN", &self.token).send().await;
        let response = response.with_context(|| format!("cannot reach {}", self.base))?;
        let status = response.status();
        let body = response.bytes().await?;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| format!("the answer to {path} is not understood"));
        }
        let problem: Problem =
            serde_json::from_slice(&body).map_err(|_| anyhow!("{status}: {}", String::from_utf8_lossy(&body)))?;
        match problem.hint {
            Some(hint) => bail!("{} ({hint})", problem.message),
            None => bail!(problem.message),
        }
    }
}

/// A name as one part of an address.
#[must_use]
pub fn part(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_are_escaped() {
        assert_eq!(part("team/shop"), "team%2Fshop");
        assert_eq!(part("a b?é"), "a%20b%3F%C3%A9");
    }
}
