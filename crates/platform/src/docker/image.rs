//! Images: built of a folder and a Dockerfile by the engine.

use super::Engine;
use crate::Error;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::path::Path;
use tokio_util::io::ReaderStream;

/// What an image is built of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageBuild {
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// Labels, such as `org.opencontainers.image.revision`.
    pub labels: Vec<(String, String)>,
    /// A name for people, such as `serin/shop:1a2b3c4d`.
    pub tag: String,
}

impl Engine {
    /// Builds an image out of the tar archive `context`, the build's context; tells each line of progress, gives the image's id,
    /// `sha256:…`.
    ///
    /// # Errors
    /// Where the build fails: the step that failed and what it said.
    pub async fn build_image(
        &self,
        build: &ImageBuild,
        context: &Path,
        mut progress: impl FnMut(String),
    ) -> Result<String, Error> {
        let attempt = "build the image";
        let labels: HashMap<String, String> = build.labels.iter().cloned().collect();
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(&build.dockerfile)
            .labels(&labels)
            .t(&build.tag)
            .rm(true)
            .forcerm(true)
            .build();
        let file = tokio::fs::File::open(context).await.map_err(Error::io("open", context))?;
        let body = bollard::body_try_stream(ReaderStream::new(file));
        let mut steps = Box::pin(self.api().build_image(options, None, Some(body)));
        let mut id = None;
        while let Some(step) = steps.next().await {
            let step = step.map_err(Error::docker(attempt))?;
            for line in step.stream.iter().chain(&step.status).flat_map(|text| text.lines()) {
                if !line.trim().is_empty() {
                    progress(line.to_owned());
                }
            }
            if let Some(detail) = step.error_detail {
                return Err(Error::Docker { attempt, reason: detail.message.unwrap_or_default() });
            }
            id = step.aux.and_then(|aux| aux.id).or(id);
        }
        id.ok_or_else(|| Error::Docker { attempt, reason: "it named no image at the end".to_owned() })
    }

    /// Removes the images that carry a label of that value.
    ///
    /// # Errors
    /// Where the engine does not answer, or a container still uses one.
    pub async fn remove_images(&self, label: &str, value: &str) -> Result<(), Error> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.api().list_images(Some(options)).await.map_err(Error::docker("list images"))?;
        for image in images {
            let options = RemoveImageOptionsBuilder::default().force(true).build();
            self.api().remove_image(&image.id, Some(options), None).await.map_err(Error::docker("remove an image"))?;
        }
        Ok(())
    }

    /// Brings an image of this engine to another one, as it is.
    ///
    /// # Errors
    /// Where one of them fails, or the image is not here.
    pub async fn copy_image(&self, image: &str, to: &Self) -> Result<(), Error> {
        let attempt = "take the image over";
        let saved = self.api().export_image(image).map_err(std::io::Error::other);
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut told = Box::pin(to.api().import_image(options, bollard::body_try_stream(saved), None));
        while let Some(step) = told.next().await {
            let step = step.map_err(Error::docker(attempt))?;
            if let Some(reason) = step.error_detail.and_then(|detail| detail.message) {
                return Err(Error::Docker { attempt, reason });
            }
        }
        Ok(())
    }

    /// The id of an image of that id or name.
    ///
    /// # Errors
    /// Where it is not there, or the engine does not answer.
    pub async fn image_id(&self, image: &str) -> Result<String, Error> {
        let found = self.api().inspect_image(image).await.map_err(Error::docker("find the image"))?;
        Ok(found.id.unwrap_or_else(|| image.to_owned()))
    }

    /// Whether an image of that id or name is there.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool, Error> {
        match self.api().inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(Error::docker("look for an image")(error)),
        }
    }
}
