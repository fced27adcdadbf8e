//! `backup`: makes, checks and restores backups. They pass through as streams; nothing of them is kept in memory.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::Outcome;
use crate::{
    cli::{BackupCommand, BackupKey, BackupLock},
    client::{Body, Client, Upload},
    error::CtlError,
    screen::Screen,
    value::plain,
};

/// Largest file that is read as a key or passphrase.
const MAX_KEY_BYTES: u64 = 8 * 1024;

pub(super) async fn run(command: BackupCommand, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    match command {
        BackupCommand::Create { module, lock, output } => {
            let mut body = json!({ "module": module });
            match lock {
                BackupLock { recipient: Some(recipient), .. } => body["recipient"] = json!(recipient),
                BackupLock { passphrase_file: Some(file), .. } => body["passphrase"] = json!(*key_text(&file)?),
                BackupLock { .. } => return Err(CtlError::Usage("name --recipient or --passphrase-file".to_owned())),
            }
            create(body, output, client, screen).await
        }
        BackupCommand::Check { file, key } => send("/backup/check", file, &key, client, screen).await,
        BackupCommand::Restore { file, key, replace } => {
            let path = if replace { "/restore?replace=true" } else { "/restore" };
            send(path, file, &key, client, screen).await
        }
        BackupCommand::Cancel => {
            let answer = client.send(Method::DELETE, "/backup", Body::None, &[]).await?;
            screen.answer(&answer.body, |screen| screen.line("the backup or restore that went on is cancelled"))?;
            Ok(Outcome::Done)
        }
    }
}

fn key_text(file: &Path) -> Result<Zeroizing<String>, CtlError> {
    let failed = |source| CtlError::File { file: file.to_owned(), source };
    let open = fs::File::open(file).map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut io::Read::take(open, MAX_KEY_BYTES), &mut text).map_err(failed)?;
    Ok(text)
}

/// Writes the backup beside its name, and gives it its name when it is whole.
async fn create(body: Value, output: PathBuf, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let failed = |source| CtlError::Written { file: output.clone(), source };
    if output.symlink_metadata().is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let mut part = output.clone().into_os_string();
    part.push(".part");
    let part = Partial(part.into());
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part.0).map_err(failed)?;
    let mut pieces = client.download(Method::POST, "/backup", Body::Json(body)).await?;
    let mut steps = client.stream("/backup/status/stream").await?;
    let (mut bytes, mut telling) = (0, true);
    loop {
        tokio::select! {
            piece = pieces.next() => match piece? {
                Some(piece) => {
                    bytes += piece.len() as u64;
                    file.write_all(&piece).map_err(failed)?;
                }
                None => break,
            },
            step = steps.next(), if telling => match step {
                Ok(Some(step)) => tell(&step, screen),
                _ => telling = false,
            },
        }
    }
    file.sync_all().and_then(|()| fs::rename(&part.0, &output)).map_err(failed)?;
    let answer = json!({ "file": output, "bytes": bytes });
    screen.answer(&answer, |screen| screen.line(&format!("{} holds the backup: {bytes} bytes", output.display())))?;
    Ok(Outcome::Done)
}

/// A file that goes unless it was given its name.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already if it has its name.
        let _ = fs::remove_file(&self.0);
    }
}

fn tell(step: &Value, screen: &mut Screen) {
    let [message, percent] = ["message", "progress"].map(|key| plain(&step[key]));
    screen.note(&format!("{percent:>3} %  {message}"));
}

/// Sends a backup, and tells what the hub says of it.
async fn send(
    path: &str,
    file: PathBuf,
    key: &BackupKey,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let (field, key_file) = match (&key.identity, &key.passphrase_file) {
        (Some(identity), _) => ("identity", identity),
        (None, Some(passphrase)) => ("passphrase", passphrase),
        (None, None) => return Err(CtlError::Usage("name --identity or --passphrase-file".to_owned())),
    };
    let text = key_text(key_file)?;
    let opened = tokio::fs::File::open(&file).await.map_err(|source| CtlError::File { file: file.clone(), source })?;
    let (sent, mut progress) = watch::channel(0);
    let upload = Upload { field, key: text, file: opened, sent };
    let answer = client.upload(path, upload);
    tokio::pin!(answer);
    let mut telling = true;
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer?,
            changed = progress.changed(), if telling => match changed {
                Ok(()) => {
                    let percent = *progress.borrow_and_update();
                    screen.note(&format!("{percent:>3} %  sent"));
                }
                Err(_) => telling = false,
            },
        }
    };
    screen.answer(&answer.body, |screen| report(&answer.body, screen))?;
    Ok(Outcome::Done)
}

fn report(answer: &Value, screen: &mut Screen) -> io::Result<()> {
    let scope = answer["scope"]["module"].as_str().map_or("the whole hub".to_owned(), |name| format!("module {name}"));
    let (hub, at) = (plain(&answer["hub_version"]), plain(&answer["created_at"]));
    screen.line(&format!("backup of {scope}, made by hub {hub} at {at}"))?;
    for module in answer["modules"].as_array().into_iter().flatten() {
        screen.line(&format!("  {} {}", plain(&module["name"]), plain(&module["version"])))?;
        for note in module["notes"].as_array().into_iter().flatten() {
            screen.line(&format!("    {}", plain(note)))?;
        }
    }
    screen.line(match answer["status"].as_str() {
        Some("GOOD") => "It is good: all of it was read, and nothing was changed.",
        Some("RESTARTING") => {
            "The hub starts again now with what was restored: `selenactl module list` shows how it stands."
        }
        _ => "It is restored.",
    })
}
