//! Projects: making them, finding them, what may be pushed to them.

use serin_git::Repository;
use serin_store::account::Account;
use serin_store::project::{self as rows, Notice, Project, ProtectedBranch};

use crate::App;
use crate::clock::now;
use crate::error::{Error, Kind, Result};

/// Bytes of a project's path.
const PATH_BYTES_MAX: usize = 255;
/// The branch of a project that says nothing else.
pub const DEFAULT_BRANCH: &str = "main";

/// What a new project is to be.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Its path in addresses.
    pub path: String,
    /// Its name for people.
    pub name: String,
    /// The branch that a clone checks out.
    pub default_branch: String,
}

/// Makes a project and its repository; its default branch is protected against pushes by force.
///
/// # Errors
/// Where the path is taken or wrong.
pub async fn create(app: &App, new: NewProject) -> Result<Project> {
    check_path(&new.path)?;
    serin_git::valid_ref_name(&format!("refs/heads/{}", new.default_branch))
        .map_err(|why| Error::invalid(format!("default branch `{}`: {why}", new.default_branch)))?;
    let mut project =
        Project { id: 0, path: new.path, name: new.name, default_branch: new.default_branch, created_at: now().0 };
    let mut tx = app.store.begin().await?;
    if rows::project_by_path(&mut tx, &project.path).await?.is_some() {
        return Err(Error::conflict(format!("there is a project `{}` already", project.path)));
    }
    project.id = rows::project_create(&mut tx, &project).await?;
    let protected = ProtectedBranch { name: project.default_branch.clone(), push_allowed: true };
    rows::protected_branch_set(&mut tx, project.id, &protected).await?;
    let path = app.settings.repositories().join(format!("{}.git", project.id));
    Repository::create(&path, &project.default_branch).await?;
    tx.commit().await?;
    Ok(project)
}

/// The project of a path or number, as addresses name it.
///
/// # Errors
/// Where there is none.
pub async fn find(app: &App, name: &str) -> Result<Project> {
    let mut db = app.store.read().await?;
    let found = match name.parse::<i64>() {
        Ok(id) => rows::project_get(&mut db, id).await?,
        Err(_) => rows::project_by_path(&mut db, name).await?,
    };
    found.ok_or_else(|| Error::not_found(format!("project `{name}`")))
}

/// Tells the project's people something, and the log.
///
/// # Errors
/// Where the database fails.
pub async fn tell(app: &App, project_id: i64, kind: &str, (message, link): (&str, Option<String>)) -> Result<()> {
    let notice = Notice { id: 0, at: now().0, kind: kind.to_owned(), message: message.to_owned(), link };
    let mut tx = app.store.begin().await?;
    rows::notice_create(&mut tx, project_id, &notice).await?;
    tx.commit().await?;
    tracing::info!(project_id, kind, message, "notice");
    app.hub.tell(crate::hub::Change::Project(project_id));
    Ok(())
}

/// Refuses whoever is no administrator.
///
/// # Errors
/// Where the account is none.
pub fn admin_only(account: &Account, what: &str) -> Result<()> {
    if account.admin {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, format!("`{}` may not {what}", account.username)).hint("ask an administrator"))
}

fn check_path(path: &str) -> Result<()> {
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['-', '.', '_'])
            && !part.ends_with(".git")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let reserved = ["api", "login", "logout", "assets", "healthz", "metrics", "events", "projects"];
    let first = path.split('/').next().unwrap_or_default();
    let numeric = path.bytes().all(|byte| byte.is_ascii_digit());
    if path.len() > PATH_BYTES_MAX || numeric || reserved.contains(&first) || !path.split('/').all(good) {
        return Err(Error::invalid(format!("`{path}` is no path for a project")).hint(
            "letters, digits, `-`, `_` and `.` in parts separated by `/`; not digits alone, and not a page of Serin's",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_path;

    #[test]
    fn paths() {
        for good in ["shop", "team/shop", "a.b_c-d", "4x"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "12", "-x", "a//b", "../x", "a/..", "x.git", "api/v4", "a b", "a\nb", "é", &"x".repeat(300)] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
