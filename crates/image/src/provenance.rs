//! How a release was made: an in-toto statement with SLSA's provenance. It is not signed: it says what this server did, to
//! those who trust this server.
//!
//! Source: in-toto Attestation Framework, Statement v1; SLSA v1.0, Provenance.

use serde_json::{Value, json};

use crate::Subject;

/// What the parameters of a build mean; described in Serin's documentation, docs/docker.md.
const BUILD_TYPE: &str = "https://example.org/serin/build-types/package/v1";
/// Base images of a Dockerfile that are told.
const BASES_MAX: usize = 50;

/// How a release was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// The repository's address.
    pub repository: String,
    /// The branch or ref.
    pub ref_name: String,
    /// The commit.
    pub commit: String,
    /// The commit's tree.
    pub tree: String,
    /// What the repository and its settings chose: Dockerfile, arguments, names of secrets.
    pub parameters: Value,
    /// Base images and the digests by which the engine has them.
    pub bases: Vec<(String, String)>,
    /// The server that built it.
    pub builder: String,
    /// The job that built it.
    pub invocation: String,
    /// When.
    pub times: BuildTimes,
}

/// When a build was, in RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildTimes {
    /// Its begin.
    pub started: String,
    /// Its end.
    pub finished: String,
}

/// Writes the statement.
#[must_use]
pub fn statement(subject: &Subject, build: &Build) -> String {
    let name = subject.repository.as_ref().unwrap_or(&subject.name);
    let source = format!("git+{}@{}", build.repository, build.ref_name);
    let mut dependencies = vec![json!({
        "uri": source,
        "digest": { "gitCommit": build.commit, "gitTree": build.tree },
    })];
    dependencies.extend(build.bases.iter().map(|(name, digest)| {
        json!({ "uri": format!("docker:{name}"), "digest": { "sha256": digest.trim_start_matches("sha256:") } })
    }));
    let mut parameters = build.parameters.clone();
    parameters["source"] = json!({ "repository": build.repository, "ref": build.ref_name });
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": name, "digest": { "sha256": subject.hex() } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters,
                "internalParameters": {},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": { "id": build.builder, "version": { "serin": env!("CARGO_PKG_VERSION") } },
                "metadata": {
                    "invocationId": build.invocation,
                    "startedOn": build.times.started,
                    "finishedOn": build.times.finished,
                },
            },
        },
    });
    statement.to_string()
}

/// The base images that a Dockerfile names plainly: none that an argument or an earlier stage names.
#[must_use]
pub fn base_images(dockerfile: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(dockerfile);
    let (mut stages, mut bases): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("FROM")) {
            continue;
        }
        let mut words = words.skip_while(|word| word.starts_with("--"));
        let Some(name) = words.next() else { continue };
        let is_stage = stages.iter().any(|stage| stage.eq_ignore_ascii_case(name));
        if name != "scratch" && !is_stage && !name.contains('$') && bases.len() < BASES_MAX {
            bases.push(name.to_owned());
        }
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("AS")) {
            stages.extend(words.next().map(str::to_owned));
        }
    }
    bases.sort();
    bases.dedup();
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_about_the_subject() {
        let subject = Subject {
            name: "shop".into(),
            digest: format!("sha256:{}", "cd".repeat(32)),
            repository: None,
            is_image: true,
        };
        let build = Build {
            repository: "http://serin.example/shop".into(),
            ref_name: "develop".into(),
            commit: "c".repeat(40),
            tree: "t".repeat(40),
            parameters: json!({ "dockerfile": "Dockerfile", "args": { "A": "\"quoted\"\n" } }),
            bases: vec![("debian:12".into(), format!("sha256:{}", "ef".repeat(32)))],
            builder: "http://serin.example".into(),
            invocation: "http://serin.example/shop/-/jobs/7".into(),
            times: BuildTimes { started: "2026-01-01T00:00:00Z".into(), finished: "2026-01-01T00:01:00Z".into() },
        };
        let said: Value = serde_json::from_str(&statement(&subject, &build)).unwrap();
        assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v1");
        assert_eq!(said["subject"][0], json!({ "name": "shop", "digest": { "sha256": "cd".repeat(32) } }));
        let definition = &said["predicate"]["buildDefinition"];
        assert_eq!(definition["externalParameters"]["args"]["A"], "\"quoted\"\n");
        assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], "c".repeat(40));
        assert_eq!(definition["resolvedDependencies"][1]["digest"]["sha256"], "ef".repeat(32));
    }

    #[test]
    fn base_images_are_those_that_are_named() {
        let text = "# FROM no\nARG V=1\nFROM --platform=linux/amd64 rust:1 AS build\nfrom debian:12 as Run\n\
                    FROM build\nFROM x:$V\nFROM scratch\nFROM run AS last\n";
        assert_eq!(base_images(text.as_bytes()), ["debian:12", "rust:1"]);
    }
}
