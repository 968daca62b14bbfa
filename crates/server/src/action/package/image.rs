//! The image of a release: built where it is not there, pushed where a registry is named.

use serin_image::{Builder, Context, ImageBuild, ImageName, Login, Logins, Secret};
use serin_model::plan::Variable;
use serin_model::service::Image;
use serin_model::{CommitId, Digest};
use serin_runner::Masker;
use serin_runner::expand::expand;
use serin_store::project as projects;
use serin_store::release::Release;
use tokio::sync::mpsc;

use super::{Folder, Use, hex_of, keep};
use crate::action::Running;
use crate::error::{Error, Result};
use crate::pipeline::create;

/// The project's variables with the login at a registry; no job sees them.
pub(crate) const REGISTRY: [&str; 3] = ["SERIN_REGISTRY", "SERIN_REGISTRY_USER", "SERIN_REGISTRY_PASSWORD"];
/// The variable with logins at several (GitLab's name for it).
const LOGINS: &str = "DOCKER_AUTH_CONFIG";
/// Lines of a build that may wait to be written.
const LINES_WAITING: usize = 256;
/// Bytes of one build argument or secret.
const VALUE_BYTES_MAX: usize = 128 << 10;

/// What an image is to be, with every variable in its place.
pub(super) struct Wish {
    pub(super) image: Image,
    pub(super) builder: Builder,
    /// Where it is pushed to, by this commit's tag; `None`: it stays in the engine.
    target: Option<ImageName>,
    /// Logins of the project alone: nobody pushes in the server's name.
    own_logins: Logins,
    /// Those, and the server's own, for what is pulled.
    logins: Logins,
    masked: Vec<String>,
}

impl Wish {
    /// Puts the pipeline's variables in; an argument that would show a masked one is refused.
    pub(super) async fn of(running: &Running, image: &Image) -> Result<Self> {
        let (app, pipeline) = (&running.app, &running.pipeline);
        let variables = crate::runner::action_variables(app, (&running.project, pipeline, &running.job)).await?;
        let put = |pairs: &[(String, String)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| (key.clone(), expand(value, &variables))).collect()
        };
        let image = Image {
            args: put(&image.args),
            secrets: put(&image.secrets),
            repository: image.repository.as_ref().map(|repository| expand(repository, &variables)),
            ..image.clone()
        };
        check(&image, &variables)?;
        let target = image.repository.as_ref().map(|name| target(name, &pipeline.commit_id)).transpose()?;
        let own_logins = logins(running, &variables).await?;
        let logins = own_logins.clone().or(&app.logins);
        let mut masked: Vec<String> = masked_values(&variables).map(str::to_owned).collect();
        masked.extend(image.secrets.iter().map(|(_, value)| value.clone()));
        masked.extend(logins.passwords().map(str::to_owned));
        Ok(Self { image, builder: Builder::connect().await?, target, own_logins, logins, masked })
    }

    /// Digest of what the image is built of besides its tree: what variables may have changed.
    pub(super) fn inputs(&self) -> String {
        let Image { dockerfile, context, target, platform, args, .. } = &self.image;
        if args.is_empty() {
            return String::new();
        }
        hex_of(serde_json::json!([dockerfile, context, target, platform, args]).to_string().as_bytes())
    }

    /// Sees to it that the release has an image, here and in its registry.
    pub(super) async fn provide(&self, running: &Running, (service, release): (&str, &mut Release)) -> Result<()> {
        let (sender, lines) = mpsc::channel(LINES_WAITING);
        let providing = async {
            if !self.has(release, &sender).await? {
                release.image = Some(self.build(running, (service, release), &sender).await?);
                // A push that fails is made up for without another build.
                keep(running, release, Use::Made).await?;
            }
            self.publish(running, release, &sender).await?;
            drop(sender);
            Ok::<(), Error>(())
        };
        let (provided, told) = tokio::join!(providing, self.tell(running, lines));
        provided.and(told)
    }

    /// Writes lines into the trace, without what is masked.
    async fn tell(&self, running: &Running, mut lines: mpsc::Receiver<String>) -> Result<()> {
        let mut masker = Masker::new(self.masked.iter().map(String::as_str));
        while let Some(line) = lines.recv().await {
            let mut shown = Vec::new();
            masker.push(line.as_bytes(), &mut shown);
            masker.finish(&mut shown);
            running.say(&String::from_utf8_lossy(&shown)).await?;
        }
        Ok(())
    }

    /// Whether the release's image is in the engine, or comes there from its registry.
    async fn has(&self, release: &Release, lines: &mpsc::Sender<String>) -> Result<bool> {
        let Some(image) = &release.image else { return Ok(false) };
        if self.builder.find(image).await?.is_some() {
            return Ok(true);
        }
        let Some(name) = ImageName::parse(image).ok().filter(|name| !name.is_id()) else { return Ok(false) };
        match self.builder.pull(&name, self.logins.of(&name), lines).await {
            Ok(()) => Ok(true),
            Err(error) => {
                // Nobody listens any more: it is built all the same.
                let _ = lines.send(format!("{error}; it is built again")).await;
                Ok(false)
            }
        }
    }

    /// Builds the image of the release's files.
    async fn build(
        &self,
        running: &Running,
        (service, release): (&str, &Release),
        lines: &mpsc::Sender<String>,
    ) -> Result<String> {
        let files = running.app.objects.releases.release_path(&Digest(release.content.clone()));
        let files =
            files.ok_or_else(|| Error::conflict(format!("the files of release {} are gone", release.digest)))?;
        let context = Context::find(&files, &self.image.context, &self.image.dockerfile)?;
        let folder = Folder::make(running, "context").await?;
        let archive = folder.path().join("context.tar");
        let (packing, packed) = (context.clone(), archive.clone());
        let pack = tokio::task::spawn_blocking(move || serin_image::pack(&packing, &packed));
        pack.await.map_err(std::io::Error::other)??;
        let secrets = self.image.secrets.iter().map(|(id, value)| (id.clone(), Secret::new(value)));
        let build = ImageBuild {
            dockerfile: context.dockerfile().to_owned(),
            target: self.image.target.clone(),
            platform: self.image.platform.clone(),
            args: self.image.args.clone(),
            secrets: secrets.collect(),
            labels: labels(running, release).await?,
            tag: tag(service, release),
            logins: self.logins.clone(),
        };
        Ok(self.builder.build(&build, &archive, lines).await?)
    }

    /// Pushes the image, where it is to be pushed and was not yet; it is known by its manifest's digest from then on. What a
    /// merge request proposes stays in the engine until it is merged.
    async fn publish(&self, running: &Running, release: &mut Release, lines: &mpsc::Sender<String>) -> Result<()> {
        let (Some(target), Some(image)) = (&self.target, &release.image) else { return Ok(()) };
        let is_there = image.strip_prefix(target.repository.as_str()).is_some_and(|rest| rest.starts_with('@'));
        if is_there {
            return Ok(());
        }
        let said = if running.pipeline.source == "merge_request_event" {
            "Not pushed: the image of a merge request stays here until it is merged".to_owned()
        } else {
            let _ = lines.send(format!("Pushing {}", target.whole)).await;
            let login = self.own_logins.of(target);
            let digest = self.builder.push(image, target, login, lines).await.map_err(|error| {
                let missing = login.is_none();
                let error = Error::from(error);
                if missing {
                    error.hint(format!("give the project the variables {}", REGISTRY.join(", ")))
                } else {
                    error
                }
            })?;
            release.image = Some(format!("{}@{digest}", target.repository));
            format!("Pushed {}, {digest}", target.whole)
        };
        // Nobody listens any more: what was done counts.
        let _ = lines.send(said).await;
        Ok(())
    }
}

fn masked_values(variables: &[Variable]) -> impl Iterator<Item = &str> {
    let masked = variables.iter().filter(|variable| variable.masked && !variable.value.is_empty());
    masked.map(|variable| variable.value.as_str())
}

fn check(image: &Image, variables: &[Variable]) -> Result<()> {
    let long = |(_, value): &&(String, String)| value.len() > VALUE_BYTES_MAX;
    if let Some((key, _)) = image.args.iter().chain(&image.secrets).find(long) {
        return Err(Error::invalid(format!("`service.image`: `{key}` has more than {VALUE_BYTES_MAX} bytes")));
    }
    for (key, value) in &image.args {
        let shown = variables
            .iter()
            .find(|variable| variable.masked && !variable.value.is_empty() && value.contains(variable.value.as_str()));
        if let Some(variable) = shown {
            let message = format!(
                "build argument `{key}` holds the masked variable `{}`, and arguments stand in the image's history",
                variable.key
            );
            return Err(Error::invalid(message)
                .hint("give it under `secrets:`, and read it with `RUN --mount=type=secret,id=…`"));
        }
    }
    if let Some((id, _)) = image.secrets.iter().find(|(_, value)| value.is_empty()) {
        return Err(Error::invalid(format!("secret `{id}` of `service.image` is empty in this pipeline"))
            .hint("set the variable that it names; a protected one is there on protected branches alone"));
    }
    Ok(())
}

/// The name that an image is pushed by: the repository's, with the commit as its tag.
fn target(repository: &str, commit: &str) -> Result<ImageName> {
    let wrong = |reason: String| {
        Error::invalid(format!("`service.image.repository`: {reason}"))
            .hint("write it without a tag, as `registry.example/team/shop`")
    };
    let name = ImageName::parse(repository).map_err(wrong)?;
    if name.repository != repository {
        return Err(wrong(format!("`{repository}` has a tag or digest")));
    }
    ImageName::parse(&format!("{repository}:{commit}")).map_err(wrong)
}

/// The project's logins that this pipeline may use: that of its registry, then those of `DOCKER_AUTH_CONFIG`.
async fn logins(running: &Running, variables: &[Variable]) -> Result<Logins> {
    let app = &running.app;
    let is_protected = create::context_of(app, &running.project, &running.pipeline).await?.protected;
    let settings = projects::project_variable_list(&mut *app.store.read().await?, running.project.id).await?;
    let mut logins = Logins::default();
    let setting = |key: &str| {
        let fits = |row: &&projects::ProjectVariable| {
            row.key == key && row.environment_scope == "*" && (is_protected || !row.protected)
        };
        settings.iter().find(fits).map(|row| row.value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    if let [Some(registry), Some(user), Some(password)] = REGISTRY.map(setting) {
        logins.add(&registry, Login { user, password: Secret::new(password) });
    }
    if let Some(config) = variables.iter().find(|variable| variable.key == LOGINS && !variable.value.is_empty()) {
        let wrong = |reason| Error::invalid(format!("the variable `{LOGINS}` is not understood: {reason}"));
        logins = logins.or(&Logins::parse(&config.value).map_err(wrong)?);
    }
    Ok(logins)
}

/// Annotations of the image (OCI image specification, "Pre-Defined Annotation Keys").
async fn labels(running: &Running, release: &Release) -> Result<Vec<(String, String)>> {
    let oci = |key: &str, value: String| (format!("org.opencontainers.image.{key}"), value);
    let repository = running.app.repository(running.project.id)?;
    let commit = repository.git.commit(&CommitId(running.pipeline.commit_id.clone())).await?;
    Ok(vec![
        oci("revision", running.pipeline.commit_id.clone()),
        oci("source", format!("{}/{}", running.app.url(), running.project.path)),
        oci("title", running.project.path.clone()),
        // The commit's time: the same commit gives the same labels.
        oci("created", crate::api::view::time(commit.author.time_ms)),
        ("serin.tree".to_owned(), running.pipeline.tree_id.clone()),
        ("serin.release".to_owned(), release.digest.clone()),
    ])
}

/// A name for people, which no other release has.
fn tag(service: &str, release: &Release) -> String {
    let tree = &release.tree_id[..12.min(release.tree_id.len())];
    let inputs = release.inputs.get(..8).map(|inputs| format!("-{inputs}")).unwrap_or_default();
    format!("serin/{}:{tree}{inputs}", word(service))
}

/// A service's name as an image's name may be written.
fn word(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "service".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_plain() {
        assert_eq!(word("Shop Front_2"), "shop-front-2");
        assert_eq!(word("--商店--"), "service");
    }

    #[test]
    fn a_repository_is_a_name_without_a_tag() {
        let commit = "c".repeat(40);
        assert_eq!(target("127.0.0.1:5000/team/shop", &commit).unwrap().version, commit);
        for wrong in ["shop:1", "--flag", "a b", "", "r.example/a@sha256:0", "r.example/../a"] {
            assert!(target(wrong, &commit).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masked_values_are_no_arguments() {
        let image = |value: &str| Image { args: vec![("A".into(), value.into())], ..Image::default() };
        let token = Variable { masked: true, ..Variable::plain("TOKEN", "geheim") };
        let empty = Variable { masked: true, ..Variable::plain("NONE", "") };
        let variables = [token, empty];
        assert!(check(&image("plain \"quoted\"\n=x"), &variables).is_ok());
        let said = check(&image("x-geheim-y"), &variables).unwrap_err().to_string();
        assert!(said.contains("`TOKEN`") && !said.contains("geheim"), "{said}");
        assert!(check(&image(&"a".repeat(VALUE_BYTES_MAX + 1)), &variables).is_err());
        let secret = Image { secrets: vec![("s".into(), String::new())], ..Image::default() };
        assert!(check(&secret, &variables).unwrap_err().to_string().contains("is empty"));
    }
}
