//! Docker, as the tests look at it: its API over its socket.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::http::{Answer, Client, Door, Request};

/// Docker's usual socket.
const SOCKET: &str = "/var/run/docker.sock";

/// A Docker daemon.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
    client: Client,
}

impl Default for Engine {
    fn default() -> Self {
        let socket = std::env::var_os("SELENA_DOCKER_SOCKET").map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
        Self::at(&socket)
    }
}

impl Engine {
    /// The daemon with that socket.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        let client = Client::new(Door::Socket(socket.to_owned()), "docker", "");
        Self { socket: socket.to_owned(), client }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.client.try_send(&Request::new("GET", "/_ping")).is_ok_and(|answer| answer.status == 200)
    }

    /// The containers whose names begin so, also those that ended.
    #[must_use]
    pub fn containers(&self, prefix: &str) -> Vec<Value> {
        self.list("/containers/json?all=1&filters=", &json!({ "name": [format!("^/{prefix}")] }))
    }

    /// The containers with that label.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Vec<Value> {
        self.list("/containers/json?all=1&filters=", &json!({ "label": [label] }))
    }

    /// The images whose names begin so.
    #[must_use]
    pub fn images(&self, prefix: &str) -> Vec<Value> {
        self.list("/images/json?filters=", &json!({ "reference": [format!("{prefix}*")] }))
    }

    /// The images with that label, also those that have lost their name.
    #[must_use]
    pub fn labelled_images(&self, label: &str) -> Vec<Value> {
        self.list("/images/json?filters=", &json!({ "label": [label] }))
    }

    /// The names of the images that begin so, in order: one image may have several.
    #[must_use]
    pub fn tags(&self, prefix: &str) -> Vec<String> {
        let images = self.images(prefix);
        let all = images.iter().flat_map(|image| image["RepoTags"].as_array().into_iter().flatten());
        let mut tags: Vec<_> = all.filter_map(|tag| Some(tag.as_str()?.to_owned())).collect();
        tags.retain(|tag| tag.starts_with(prefix));
        tags.sort();
        tags
    }

    /// The volumes with that label.
    #[must_use]
    pub fn volumes(&self, label: &str) -> Vec<Value> {
        let path = format!("/volumes?filters={}", escaped(&json!({ "label": [label] })));
        self.client.get(&path).json()["Volumes"].as_array().cloned().unwrap_or_default()
    }

    /// All that `docker inspect` says of a container; `null` if there is none, or no answer.
    #[must_use]
    pub fn inspect(&self, container: &str) -> Value {
        let answer = self.client.try_send(&Request::new("GET", &format!("/containers/{container}/json")));
        answer.ok().filter(|answer| answer.status == 200).map_or(Value::Null, |answer| answer.json())
    }

    /// All that `docker inspect` says of an image.
    #[must_use]
    pub fn inspect_image(&self, image: &str) -> Value {
        self.client.get(&format!("/images/{image}/json")).expect(200).json()
    }

    /// The processes of a container.
    #[must_use]
    pub fn top(&self, container: &str) -> Vec<Value> {
        let answer = self.client.get(&format!("/containers/{container}/top")).json();
        answer["Processes"].as_array().cloned().unwrap_or_default()
    }

    /// `docker stop --time 5`, as the integrity agent does.
    #[track_caller]
    pub fn stop(&self, container: &str) -> Answer {
        self.client.send(&Request::new("POST", &format!("/containers/{container}/stop?t=5")))
    }

    /// `docker kill`; fine if it has ended.
    pub fn kill(&self, container: &str) {
        let _ended_already = self.client.try_send(&Request::new("POST", &format!("/containers/{container}/kill")));
    }

    /// `docker rm -f -v`.
    #[track_caller]
    pub fn remove(&self, container: &str) -> Answer {
        self.client.send(&removal(container))
    }

    /// `docker rmi -f`.
    #[track_caller]
    pub fn remove_image(&self, image: &str) -> Answer {
        self.client.send(&Request::new("DELETE", &format!("/images/{image}?force=1")))
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn root_dir(&self) -> PathBuf {
        let info = self.client.get("/info").expect(200).json();
        PathBuf::from(info["DockerRootDir"].as_str().expect("Docker says where its files are"))
    }

    /// Removes all containers and images whose names begin so, if the daemon answers.
    pub fn clean(&self, prefix: &str) {
        for container in self.containers(prefix) {
            let _gone_already = self.client.try_send(&removal(container["Id"].as_str().unwrap_or_default()));
        }
        for tag in
            self.images(prefix).iter().flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default())
        {
            let path = format!("/images/{}?force=1", tag.as_str().unwrap_or_default());
            let _gone_already = self.client.try_send(&Request::new("DELETE", &path));
        }
    }

    fn list(&self, path: &str, filters: &Value) -> Vec<Value> {
        let answer = self.client.try_send(&Request::new("GET", &format!("{path}{}", escaped(filters))));
        answer.ok().and_then(|answer| answer.json().as_array().cloned()).unwrap_or_default()
    }
}

fn removal(container: &str) -> Request {
    Request::new("DELETE", &format!("/containers/{container}?force=1&v=1"))
}

fn escaped(filters: &Value) -> String {
    let escape =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    filters.to_string().bytes().map(escape).collect()
}
