//! Modules whose package holds a container image: its files for the engine, and what it starts (protocol, section 4).

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use selena_types::{Manifest, ModuleName, Problem, Runtime};

use super::{ModuleRecord, Modules, Upload, staging::blocking};
use crate::{
    ApiError,
    ports::{
        Command, ContainerSpec, ImageCommand, ImageProgram, PackageError, PackageReader, SandboxError, StartedContainer,
    },
};

/// The image in a package whose runtime is `oci`.
pub(super) const IMAGE_FILE: &str = "image.tar";

impl Modules {
    /// Checks the image of a package that arrived, and lays its files ready for the engine; what it lost, as warnings.
    ///
    /// # Errors
    /// 422 `image_<reason>`, or `module_image_error` for another machine's image.
    pub(super) async fn check_image(&self, upload: &Upload) -> Result<Vec<Problem>, ApiError> {
        let (image, root) = (upload.package_dir().join(IMAGE_FILE), upload.image_root());
        self.image_program(image.clone()).await??;
        let lost = self.flatten(image, root).await??;
        let warning = |msg| Problem { loc: vec![IMAGE_FILE.into()], msg, code: "image_warning".to_owned() };
        Ok(lost.into_iter().map(warning).collect())
    }

    /// What a package's container runs.
    ///
    /// # Errors
    /// 400 `module_image_error` if its image is not there or not good any more (fault R04).
    pub(super) async fn container_command(
        &self,
        manifest: &Manifest,
        has_main_py: bool,
        package: &Path,
    ) -> Result<Command, ApiError> {
        let runtime = manifest.runtime_with(has_main_py);
        let entry_point = manifest.entry_point_with(runtime).unwrap_or_default();
        match runtime {
            Runtime::Static => Ok(Command::Static(entry_point)),
            Runtime::Python3 => Ok(Command::Python3(entry_point)),
            Runtime::Oci => {
                let program = self.image_program(package.join(IMAGE_FILE)).await?;
                let program = program.map_err(|error| broken(&manifest.name, error))?;
                Ok(Command::Image(ImageCommand { program, root: None }))
            }
        }
    }

    /// Starts a container. An image that the engine lost is made anew from the package (fault R04).
    pub(super) async fn start_container(&self, mut spec: ContainerSpec) -> Result<StartedContainer, ApiError> {
        let name = spec.module.clone();
        let mut started = self.parts.sandbox.start(spec.clone()).await;
        if let (Err(SandboxError::ImageMissing), Command::Image(image)) = (&started, &mut spec.command) {
            tracing::info!(module = %name, "the container engine does not have its image: it is made anew");
            let place = self.staging_place(None).await?;
            let flattened = self.flatten(spec.package_dir.join(IMAGE_FILE), place.image_root()).await?;
            flattened.map_err(|error| broken(&name, error))?;
            image.root = Some(open_root(place.image_root()).await?);
            started = self.parts.sandbox.start(spec).await;
        }
        started.map_err(|error| ApiError::sandbox(&name, error))
    }

    /// Removes the images of a module, but for that of the version that is installed, that of the one it can go back
    /// to, and of one that is being tried: its import may have been long, and its container may need it in a moment.
    pub(super) async fn prune_images(&self, record: &ModuleRecord) -> Result<(), SandboxError> {
        // An install that begins now waits for the end of this, and so does not find an image that goes.
        let _alone = self.pruning.lock().await;
        let keep: Vec<_> = record.kept_versions().into_iter().chain(self.tried_version(&record.name)).collect();
        self.parts.sandbox.prune_images(&record.name, &keep).await
    }

    async fn image_program(&self, image: PathBuf) -> Result<Result<ImageProgram, PackageError>, ApiError> {
        self.read_image(image, |packages, image| packages.image_program(image)).await
    }

    async fn flatten(&self, image: PathBuf, root: PathBuf) -> Result<Result<Vec<String>, PackageError>, ApiError> {
        let write = move |packages: &dyn PackageReader, image: &File| {
            let into = File::options().write(true).create_new(true).open(&root).map_err(failed)?;
            packages.flatten_image(image, &into)
        };
        self.read_image(image, write).await
    }

    /// The outer error is the hub's own, the inner one that of the image.
    async fn read_image<T: Send + 'static>(
        &self,
        path: PathBuf,
        read: impl FnOnce(&dyn PackageReader, &File) -> Result<T, PackageError> + Send + 'static,
    ) -> Result<Result<T, PackageError>, ApiError> {
        let packages = Arc::clone(&self.parts.packages);
        blocking(move || Ok(File::open(path).map_err(failed).and_then(|image| read(&*packages, &image)))).await
    }
}

/// Opens the files of an image that were laid ready for the engine.
pub(super) async fn open_root(root: PathBuf) -> Result<Arc<File>, ApiError> {
    blocking(move || File::open(root).map(Arc::new)).await
}

fn failed(error: io::Error) -> PackageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PackageError::DiskFull,
        _ => PackageError::Io(error),
    }
}

/// The image of a module that is installed is not what it was.
fn broken(name: &ModuleName, error: PackageError) -> ApiError {
    let detail = match &error {
        PackageError::Refused { message, .. } => format!("{message}. Install the module again"),
        PackageError::Io(source) if source.kind() == io::ErrorKind::NotFound => {
            format!("its {IMAGE_FILE} is not there any more: install the module again")
        }
        PackageError::DiskFull | PackageError::Io(_) => return error.into(),
    };
    ApiError::Container { name: name.clone(), code: "module_image_error", detail }
}
