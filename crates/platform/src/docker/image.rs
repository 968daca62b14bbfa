//! Images that an engine has: found, removed, brought to another engine.

use super::Engine;
use crate::Error;
use bollard::query_parameters::{ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;

impl Engine {
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
