//! Receiving a package: multipart with the field `module` or `file`, or the ZIP as the body itself.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Multipart, Request},
    http::{StatusCode, header},
};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{LengthLimitError, Limited};
use selena_core::{Modules, Upload};
use selena_types::Problems;
use tokio::{fs::File, io::AsyncWriteExt, time::timeout};

use crate::error::Failure;

/// Largest package in bytes.
const MAX_PACKAGE_BYTES: u64 = 50 * 1024 * 1024;
/// What the multipart form may weigh besides its file.
const FORM_BYTES: u64 = 64 * 1024;
/// How long the next piece may take to arrive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the whole package may take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Writes the package of a request to a staging directory.
pub(crate) async fn receive(modules: &Modules, owner: &str, request: Request) -> Result<Upload, Failure> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > MAX_PACKAGE_BYTES + FORM_BYTES) {
        return Err(too_large());
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let upload = modules.new_upload(owner).await?;
    let arrival = async {
        match kind.as_str() {
            "multipart/form-data" => from_form(&upload, request.map(limited)).await,
            "application/zip" | "application/x-zip-compressed" | "application/octet-stream" => {
                from_body(&upload, request.into_body()).await
            }
            _ => Err(missing("send the ZIP as multipart field `module`, or as an application/zip body")),
        }
    };
    let arrived = upload.until_stopped(timeout(TIMEOUT, arrival)).await?;
    arrived.unwrap_or_else(|_| Err(cut()))?;
    Ok(upload)
}

/// The whole form is limited too: what stands beside its file counts.
fn limited(body: Body) -> Body {
    let most = usize::try_from(MAX_PACKAGE_BYTES + FORM_BYTES).unwrap_or(usize::MAX);
    Body::new(Limited::new(body, most))
}

async fn from_body(upload: &Upload, body: Body) -> Result<(), Failure> {
    let mut pieces = body.into_data_stream();
    let mut writer = PackageFile::create(upload).await?;
    loop {
        match timeout(IDLE_TIMEOUT, pieces.next()).await {
            Ok(None) => return writer.finish().await,
            Ok(Some(Ok(piece))) => writer.append(piece).await?,
            Ok(Some(Err(_))) | Err(_) => return Err(cut()),
        }
    }
}

async fn from_form(upload: &Upload, request: Request) -> Result<(), Failure> {
    let malformed = |error: String| Failure::from(Problems::one(["body".into()], "multipart_invalid", error));
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| malformed(error.body_text()))?;
    loop {
        let next = timeout(IDLE_TIMEOUT, form.next_field()).await.map_err(|_| cut())?;
        let Some(mut field) = next.map_err(|error| broken(&error))? else {
            return Err(missing("the form has no file field `module`"));
        };
        if !matches!(field.name(), Some("module" | "file")) {
            continue;
        }
        let mut writer = PackageFile::create(upload).await?;
        loop {
            let piece = timeout(IDLE_TIMEOUT, field.chunk()).await.map_err(|_| cut())?;
            match piece.map_err(|error| broken(&error))? {
                Some(piece) => writer.append(piece).await?,
                None => return writer.finish().await,
            }
        }
    }
}

/// The file a package is written to, with its limit.
struct PackageFile {
    file: File,
    bytes: u64,
}

impl PackageFile {
    async fn create(upload: &Upload) -> Result<Self, Failure> {
        Ok(Self { file: File::create(upload.zip_path()).await.map_err(disk)?, bytes: 0 })
    }

    async fn append(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.bytes += piece.len() as u64;
        if self.bytes > MAX_PACKAGE_BYTES {
            return Err(too_large());
        }
        self.file.write_all(&piece).await.map_err(disk)
    }

    async fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().await.map_err(disk)
    }
}

fn broken(error: &axum::extract::multipart::MultipartError) -> Failure {
    if caused_by_limit(error) {
        return too_large();
    }
    match error.status() {
        StatusCode::BAD_REQUEST if error.body_text().contains("incomplete") => cut(),
        StatusCode::INTERNAL_SERVER_ERROR => cut(),
        _ => Problems::one(["body".into()], "multipart_invalid", error.body_text()).into(),
    }
}

fn caused_by_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(caused_by_limit)
}

fn missing(msg: &str) -> Failure {
    Problems::one(["body".into(), "module".into()], "missing", msg).into()
}

fn cut() -> Failure {
    Failure::new(StatusCode::REQUEST_TIMEOUT, "upload_cut", "the package did not arrive whole: send it again")
}

fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "package_too_large", "a package is at most 50 MiB")
}

fn disk(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => selena_core::ApiError::DiskFull.into(),
        _ => selena_core::ApiError::internal(error).into(),
    }
}
