//! What may stand at each keyword: a fragment, the place that is told, and what is said of it.

use serin_lang::{Severity, SourceFile, check_fragment};

#[track_caller]
fn told(severity: Severity, text: &str, place: (usize, usize), says: &str) {
    let found = check_fragment(&SourceFile::new(".gitlab-ci.yml", text.as_bytes().to_vec()));
    let told = found.iter().any(|found| {
        found.severity == severity
            && (found.line as usize, found.column as usize) == place
            && found.message.contains(says)
    });
    assert!(told, "{text}: {found:?}");
}

#[test]
fn refused() {
    for (text, place, says) in [
        ("a: {script: x, timeout: 90}", (1, 25), "`timeout` must be a duration"),
        ("a: {script: x, artifacts: {paths: [x], expire_in: 3600}}", (1, 51), "`artifacts:expire_in` must be"),
        ("a: {script: x, cache: {key: 7, paths: [x]}}", (1, 29), "`cache:key` must be a text"),
        ("a: {script: x, only: main}", (1, 22), "`only` must be a list of refs"),
        ("a: {script: x, except: {refs: ['/(/']}}", (1, 32), "`except:refs` has a pattern that is none"),
        ("a: {script: x, when: delayed}", (1, 22), "`when: delayed` without `start_in`"),
        ("a: {script: x, start_in: 5 minutes}", (1, 26), "goes with `when: delayed` alone"),
        ("include: ci/jobs", (1, 10), "must name a file that ends in `.yml`"),
        ("include: [{local: ci/jobs.txt}]", (1, 19), "`include:local` must name a file"),
        ("include: [{project: a/b, file: [x.yml, y]}]", (1, 40), "`include:file` must name a file"),
        ("include: [{remote: host/x.yml}]", (1, 20), "`include:remote` is no address"),
        ("a: {trigger: {include: [{artifact: x, job: b}]}}", (1, 36), "`trigger:include:artifact` must name a file"),
        ("a: {script: x, release: {tag_name: a, description: b, released_at: soon}}", (1, 68), "is no date: `soon`"),
        ("a: {run: [{name: s, script: x, env: {A: 1}}]}", (1, 41), "`run:env:A` must be a text"),
        ("workflow: {name: ''}", (1, 18), "`workflow:name` must not be empty"),
    ] {
        told(Severity::Error, text, place, says);
    }
}

#[test]
fn warned_about() {
    for (text, place, says) in [
        ("a: {run: [{name: my step, script: x}]}", (1, 18), "`run:name` should be a name"),
        ("a: {script: x, needs: [b, null]}", (1, 27), "`needs` has an empty entry, which is passed over"),
        ("a: {script: x, environment: {name: a, url: host}}", (1, 44), "`environment:url` is no address"),
        ("a: {script: x, cache: {key: '', paths: [x]}}", (1, 29), "`cache:key` is empty"),
        ("a: {script: x, extends: []}", (1, 25), "`extends` is empty"),
        ("a: {script: x, id_tokens: {T: {aud: []}}}", (1, 37), "`id_tokens:T:aud` is empty"),
        ("a: {script: x, release: {tag_name: a, description: b, milestones: m}}", (1, 67), "should be a list of texts"),
    ] {
        told(Severity::Warning, text, place, says);
    }
}

#[test]
fn accepted() {
    for text in [
        "a: {script: x, environment: {name: a, url: $URL}}",
        "a: {script: x, release: {tag_name: a, description: b, released_at: '2021-03-15T08:00:00Z'}}",
        "a: {script: x, release: {tag_name: a, description: b, released_at: $WHEN}}",
        "include: [a.yml, ci/*.yml, $FILE, https://host/x.yml, {local: X.YAML}]",
        "a: {script: x, only: [main, /^v/i, 'main@a/b']}",
    ] {
        let found = check_fragment(&SourceFile::new(".gitlab-ci.yml", text.as_bytes().to_vec()));
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}
