//! What the probe sees and is let do, as JSON.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::Command,
    time::Duration,
};

use nix::{errno::Errno, net::if_::if_nameindex};
use serde_json::{Value, json};

use crate::{device, syscall, trouble::IDLE};

/// How long a connection or an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(700);

/// Does what `{"act": …}` asks for; `null` if it is no act that can be answered.
pub(crate) fn act(arguments: &Value) -> Value {
    let text = |field: &str| arguments[field].as_str().unwrap_or_default();
    match text("act") {
        "interfaces" => interfaces(),
        "environment" => json!(env::vars().collect::<BTreeMap<_, _>>()),
        "connect" => outcome(connect(text("to")).map(|()| json!(true))),
        "datagram" => outcome(datagram(text("to"))),
        "syscall" => called(arguments),
        "read" => outcome(fs::read_to_string(text("path")).map(Value::from)),
        "list" => outcome(list(text("path"))),
        "mode" => outcome(fs::metadata(text("path")).map(|found| json!(found.permissions().mode() & 0o7777))),
        "write" => outcome(fs::write(text("path"), text("text")).map(|()| json!(true))),
        "fill" => fill(text("path"), arguments["bytes"].as_u64().unwrap_or(0)),
        "make_files" => make_files(text("path"), arguments["count"].as_u64().unwrap_or(0)),
        "device_number" => outcome(device::number(text("path"))),
        "device_write" => outcome(device::write(text("path"), text("text"))),
        "device_read" => outcome(device::read(text("path"), arguments["bytes"].as_u64().unwrap_or(0))),
        "device_make" => outcome(device::make(text("path"), &arguments["number"])),
        "run_copy" => outcome(run_copy(text("path"))),
        _ => Value::Null,
    }
}

/// `{"done": …}`, or `{"error": name of the kernel's error}`.
fn outcome(result: io::Result<Value>) -> Value {
    match result {
        Ok(done) => json!({ "done": done }),
        Err(error) => {
            let name = error.raw_os_error().map_or(error.to_string(), |code| format!("{:?}", Errno::from_raw(code)));
            json!({ "error": name })
        }
    }
}

fn interfaces() -> Value {
    match if_nameindex() {
        Ok(all) => all.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect(),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

/// Makes so many empty files, until the file system refuses one; how many, and why not more.
fn make_files(dir: &str, count: u64) -> Value {
    let refused = (0..count).find_map(|number| match fs::File::create(format!("{dir}/{number}")) {
        Ok(_) => None,
        Err(error) => Some((number, error)),
    });
    match refused {
        Some((made, error)) => json!({ "made": made, "ended": outcome(Err(error)) }),
        None => json!({ "made": count }),
    }
}

fn address(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(io::Error::other)
}

fn connect(to: &str) -> io::Result<()> {
    TcpStream::connect_timeout(&address(to)?, PATIENCE).map(drop)
}

/// Asks a name server for `a.`, and tells whether it answered.
fn datagram(to: &str) -> io::Result<Value> {
    const QUERY: [u8; 19] = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address(to)?)?;
    socket.send(&QUERY)?;
    let mut answer = [0; 512];
    Ok(json!(socket.recv(&mut answer)?))
}

fn called(arguments: &Value) -> Value {
    let mut four = [0; 4];
    for (place, value) in four.iter_mut().zip(arguments["arguments"].as_array().into_iter().flatten()) {
        *place = value.as_i64().unwrap_or(0);
    }
    match syscall::call(arguments["number"].as_i64().unwrap_or(-1), four) {
        Some(error) => json!({ "error": error }),
        None => json!({ "done": true }),
    }
}

fn list(path: &str) -> io::Result<Value> {
    let names: io::Result<Vec<_>> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    Ok(json!(names?))
}

/// Writes so many bytes, or as many as there is room for.
fn fill(path: &str, bytes: u64) -> Value {
    let chunk = vec![7_u8; 1 << 16];
    let mut written = 0;
    let mut write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        while written < bytes {
            written += file.write(&chunk)? as u64;
        }
        file.sync_all()
    };
    let ended = write();
    json!({ "written": written, "ended": outcome(ended.map(|()| json!(true))) })
}

/// Copies this program and starts the copy, which a file system mounted `noexec` refuses.
fn run_copy(path: &str) -> io::Result<Value> {
    let mut copy = File::create(path)?;
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    copy.set_permissions(fs::Permissions::from_mode(0o755))?;
    drop(copy);
    Command::new(path).env(IDLE, "1").spawn().map(|_| json!(true))
}
