//! Files from elsewhere: checkouts beside, clones, components, addresses.

use super::folder::{Colors, Folder};

const SHARED: [(&str, &str); 3] = [
    ("ci/lint.yml", "lint: {script: x}\n"),
    ("templates/scan.yml", "spec: {inputs: {depth: {type: number}}}\n---\nscan: {script: echo $[[ inputs.depth ]]}\n"),
    ("more/b.yml", "b: {script: x}\n"),
];

fn folder(include: &str) -> Folder {
    let folder = Folder::new(&[(".gitlab-ci.yml", &format!("include: {include}\nown: {{script: x}}\n"))]);
    folder.git(&folder.path, &["remote", "add", "origin", "https://gitlab.example/team/shop.git"]);
    folder
}

fn names(folder: &Folder, arguments: &[&str]) -> Vec<String> {
    let all = [&["list", "--format", "json"], arguments].concat();
    let jobs: Vec<serde_json::Value> = serde_json::from_str(&folder.stdout(&all)).unwrap();
    jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_checkout_beside_stands_for_its_project() {
    let folder = folder("[{project: team/shared, file: [/ci/lint.yml, more/*.yml], ref: v1.2.0}]");
    let shared = folder.beside("shared", &SHARED);
    folder.git(&shared, &["remote", "add", "origin", "git@gitlab.example:team/shared.git"]);
    folder.git(&shared, &["tag", "v1.2.0"]);
    folder.git(&shared, &["rm", "--quiet", "ci/lint.yml"]);
    folder.git(&shared, &["commit", "--quiet", "--message", "Gone"]);
    assert_eq!(names(&folder, &["--offline"]), ["lint", "b", "own"]);
}

#[test]
fn another_projects_checkout_does_not() {
    let folder = folder("[{project: team/shared, file: ci/lint.yml}]");
    let shared = folder.beside("shared", &SHARED);
    folder.git(&shared, &["remote", "add", "origin", "git@gitlab.example:other/shared.git"]);
    let refused = folder.output(&["list", "--offline"], Colors::Off);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("no clone of `team/shared` was kept"), "{said}");
}

#[test]
fn components_by_the_beginning_of_their_version() {
    let folder = folder("[{component: gitlab.example/team/shared/scan@1, inputs: {depth: 3}}]");
    let shared = folder.beside("shared", &SHARED);
    folder.git(&shared, &["remote", "add", "origin", "git@gitlab.example:team/shared.git"]);
    folder.git(&shared, &["tag", "1.4.0"]);
    assert_eq!(names(&folder, &["--offline"]), ["scan", "own"]);
}

#[test]
fn projects_are_cloned_once_and_kept() {
    let folder = Folder::new(&[(".gitlab-ci.yml", "include: [{project: team/shared, file: ci/lint.yml}]\n")]);
    let shared = folder.beside("remote/team/shared.git", &SHARED);
    let url = format!("file://{}/shop.git", shared.parent().unwrap().display());
    folder.git(&folder.path, &["remote", "add", "origin", &url]);
    assert_eq!(names(&folder, &[]), ["lint"]);
    std::fs::remove_dir_all(&shared).unwrap();
    assert_eq!(names(&folder, &["--offline"]), ["lint"]);
}

#[test]
fn hostile_names_are_refused() {
    for include in [
        "[{project: ../../etc, file: a.yml}]",
        "[{project: --upload-pack=x, file: a.yml}]",
        "[{component: '-x/team/shared/scan@1'}]",
        "[{component: 'gitlab.example/team/shared/scan@--output=x'}]",
    ] {
        let folder = folder(include);
        let refused = folder.output(&["list", "--offline"], Colors::Off);
        assert_eq!(refused.status.code(), Some(1), "{include}");
    }
}

#[test]
fn links_do_not_lead_out() {
    let folder = Folder::new(&[(".gitlab-ci.yml", "include: [a.yml]\n")]);
    std::fs::write(folder.path.parent().unwrap().join("secret.yml"), "job: {script: x}\n").unwrap();
    std::os::unix::fs::symlink("../secret.yml", folder.path.join("a.yml")).unwrap();
    assert_eq!(folder.output(&["list"], Colors::Off).status.code(), Some(1));
}
