//! The image of each module, `selena-module-<name>:<version>`, which is only the root around its package.

use std::{
    io::{self, Seek},
    time::Duration,
};

use bollard::{
    Docker, body_try_stream,
    errors::Error as DockerError,
    query_parameters::{CreateImageOptions, RemoveImageOptions, TagImageOptions},
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use selena_core::ports::{Command, ContainerSpec, ImageCommand, SandboxError};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::{
    config::{LABEL_HUB, LABEL_IMAGE, SandboxConfig, image_tag},
    engine::Engine,
    failure, passwd,
};

/// Label with the user that a static root was made for.
const LABEL_USER: &str = "selena.user";
const MAKING: &str = "making the module's image";
/// How long the engine may take to import the largest image from the slowest card.
const IMPORT_LIMIT: Duration = Duration::from_secs(600);
/// Bytes of it that are read at once.
const CHUNK: usize = 64 * 1024;

/// Makes the image of a module version if it is not there; its reference.
pub(crate) async fn ensure(
    engine: &Engine,
    config: &SandboxConfig,
    spec: &ContainerSpec,
) -> Result<String, SandboxError> {
    match &spec.command {
        Command::Static(_) => ensure_static(engine, config, spec).await,
        Command::Python3(_) => tag_python_base(engine, config, spec).await,
        Command::Image(image) => ensure_imported(engine, config, spec, image).await,
    }
}

async fn ensure_static(engine: &Engine, config: &SandboxConfig, spec: &ContainerSpec) -> Result<String, SandboxError> {
    let image = config.image(&spec.module, &spec.version);
    let user = spec.uid.to_string();
    if is_there(engine, &image, LABEL_USER, &user).await? {
        return Ok(image);
    }
    let root = static_root(spec.uid).map_err(failure::system(MAKING))?;
    let options = import_options(config, spec, LABEL_USER, &user);
    engine.ask(MAKING, |docker| import(docker, options, stream::iter([Ok(root.into())]))).await?;
    Ok(image)
}

/// The files of the package's own image, without anything of its configuration (protocol, section 4).
async fn ensure_imported(
    engine: &Engine,
    config: &SandboxConfig,
    spec: &ContainerSpec,
    command: &ImageCommand,
) -> Result<String, SandboxError> {
    let (image, id) = (config.image(&spec.module, &spec.version), &command.program.id);
    if is_there(engine, &image, LABEL_IMAGE, id).await? {
        return Ok(image);
    }
    let root = command.root.as_deref().ok_or(SandboxError::ImageMissing)?;
    // A copy of the descriptor shares its position, which an attempt before may have moved.
    let from_begin = || root.try_clone().and_then(|mut file| file.rewind().map(|()| file));
    let file = from_begin().map_err(failure::system(MAKING))?;
    let files = ReaderStream::with_capacity(File::from_std(file), CHUNK);
    let options = import_options(config, spec, LABEL_IMAGE, id);
    engine.ask_within(IMPORT_LIMIT, MAKING, |docker| import(docker, options, files)).await?;
    Ok(image)
}

/// Whether the image is there and has that label. One of that name that was made for something else is removed: an
/// image that only loses its tag would stay for ever.
async fn is_there(engine: &Engine, image: &str, label: &str, value: &str) -> Result<bool, SandboxError> {
    let inspect = |docker: Docker| async move { inspect_label(docker, image, label).await };
    match engine.ask_if_there(MAKING, inspect).await? {
        Some(Some(known)) if known == value => Ok(true),
        Some(_) => remove(engine, image).await.map(|()| false),
        None => Ok(false),
    }
}

fn import_options(config: &SandboxConfig, spec: &ContainerSpec, label: &str, value: &str) -> CreateImageOptions {
    CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(config.repository(&spec.module)),
        tag: Some(image_tag(&spec.version)),
        changes: vec![format!("LABEL {LABEL_HUB}={} {label}={value}", config.hub_id)],
        ..CreateImageOptions::default()
    }
}

async fn import(
    docker: Docker,
    options: CreateImageOptions,
    root: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<(), DockerError> {
    docker.create_image(Some(options), Some(body_try_stream(root)), None).try_for_each(|_| async { Ok(()) }).await
}

async fn remove(engine: &Engine, image: &str) -> Result<(), SandboxError> {
    let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
    let remove = |docker: Docker| async move { docker.remove_image(image, Some(options), None).await };
    engine.ask_if_there(MAKING, remove).await.map(|_| ())
}

async fn inspect_label(docker: Docker, image: &str, label: &str) -> Result<Option<String>, DockerError> {
    let labels = docker.inspect_image(image).await?.config.and_then(|config| config.labels);
    Ok(labels.and_then(|mut labels| labels.remove(label)))
}

async fn tag_python_base(
    engine: &Engine,
    config: &SandboxConfig,
    spec: &ContainerSpec,
) -> Result<String, SandboxError> {
    let options = TagImageOptions { repo: Some(config.repository(&spec.module)), tag: Some(image_tag(&spec.version)) };
    let base = &config.python_base_image;
    let tag = |docker: Docker| async move { docker.tag_image(base, Some(options)).await };
    match engine.ask_if_there(MAKING, tag).await? {
        Some(()) => Ok(config.image(&spec.module, &spec.version)),
        None => Err(SandboxError::Image(format!(
            "the image `{base}` for Python modules is not there; make it with the set-up script `scripts/python-base`"
        ))),
    }
}

/// The root of a static module as a tar archive: mount points, and who its user is.
fn static_root(uid: u32) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for directory in ["app", "data", "selena", "proc", "sys", "dev", "etc"] {
        append(&mut archive, tar::EntryType::Directory, directory, 0o755, b"")?;
    }
    // What is mounted at /tmp gets the mode of the directory below it, whatever its own option says.
    append(&mut archive, tar::EntryType::Directory, "tmp", 0o1777, b"")?;
    append(&mut archive, tar::EntryType::Regular, "selena/init", 0o755, b"")?;
    append(&mut archive, tar::EntryType::Regular, "etc/passwd", 0o644, passwd::passwd(uid).as_bytes())?;
    append(&mut archive, tar::EntryType::Regular, "etc/group", 0o644, passwd::group(uid).as_bytes())?;
    archive.into_inner()
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    kind: tar::EntryType,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::static_root;

    #[test]
    fn a_static_root_is_mount_points_and_a_user() {
        let root = static_root(20_001).unwrap();
        let mut archive = tar::Archive::new(root.as_slice());
        let mut files = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            if path == "etc/passwd" {
                assert!(content.contains("module:x:20001:20001::/data:"), "{content}");
            }
            files.push(path);
        }
        assert!(
            ["app", "data", "tmp", "etc/passwd", "etc/group"].iter().all(|path| files.iter().any(|file| file == path))
        );
        assert!(root.len() < 16 * 1024);
    }
}
