//! Commands to modules (protocol, section 6): delivered to `POST /webhook/commands`, signed as events are.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use selena_types::{ModuleName, Problems, fields::Object};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Modules;
use crate::{
    ApiError,
    identity::ModuleRun,
    ports::{CallError, ModuleAddress, ModuleAnswer, ModuleRequest},
    signature,
};

/// How long a module may take to answer a command.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

impl Modules {
    /// Sends `{"command","args"}` to a module, which is started first if it runs on demand, and gives its JSON answer.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; 409 `not_running`; 502 or 504 for what the module did.
    pub async fn command(self: &Arc<Self>, name: &ModuleName, body: &Value, who: &str) -> Result<Value, ApiError> {
        let mut problems = Problems::default();
        let command = Object::body(body, &mut problems).text("command", 1..=128);
        let Some(command) = command else { return Err(problems.into()) };
        let args = body.get("args").cloned().unwrap_or_else(|| json!({}));
        self.parts.api.record("module_command", who, &format!("{name} {command}"));
        let run = self.run_for_call(name).await?;
        let id = Uuid::new_v4();
        let body = json!({ "id": id, "command": command, "args": args, "timestamp": Timestamp::now() });
        let answer = self.post_command(&run, body.to_string().into(), id).await;
        self.touch(name);
        parse(answer)
    }

    async fn post_command(&self, run: &ModuleRun, body: Bytes, id: Uuid) -> Result<ModuleAnswer, CallError> {
        let port = run.port.map(selena_types::ModulePort::get).unwrap_or_default();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-selena-signature", signature::sign(&run.webhook_secret, &body)),
            ("x-event-id", id.to_string()),
            ("x-selena-timestamp", Timestamp::now().as_second().to_string()),
            ("x-selena-delivery", "1".to_owned()),
        ];
        let request = ModuleRequest {
            path: "/webhook/commands",
            headers: &headers,
            body: Some(body),
            timeout: TIMEOUT,
            max_answer_bytes: MAX_ANSWER_BYTES,
        };
        self.parts.calls.call(&ModuleAddress::Run { run: run.run.clone(), port }, request).await
    }
}

fn parse(answer: Result<ModuleAnswer, CallError>) -> Result<Value, ApiError> {
    let upstream = |code, detail: String| ApiError::Upstream { code, detail };
    let answer = match answer {
        Ok(answer) => answer,
        Err(CallError::Timeout) => {
            return Err(upstream("module_timeout", "the module did not answer in 30 s".to_owned()));
        }
        Err(error) => return Err(upstream("module_unreachable", crate::error::chain(&error))),
    };
    if !(200..300).contains(&answer.status) {
        return Err(upstream("module_refused", format!("the module answered {}", answer.status)));
    }
    let body = answer.body.ok_or_else(|| {
        let detail = format!("the module's answer is longer than {MAX_ANSWER_BYTES} bytes, or broke off");
        upstream("module_answer", detail)
    })?;
    selena_types::json::parse(&body)
        .map_err(|error| upstream("module_answer", format!("the module's answer is unusable: {error}")))
}
