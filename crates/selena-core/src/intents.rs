//! Intents of modules, as programs for earlier cores register them (protocol, section 11).
//!
//! In memory only: a module registers at each of its starts, and what it registered ends with its run.

use std::{collections::BTreeMap, sync::Mutex};

use selena_types::{ModuleName, Problems, fields::Object};
use serde_json::{Value, json};

use crate::{ApiError, identity::Caller};

/// Most intents of one module.
const MAX_INTENTS: usize = 256;

/// All registered intents, by module.
#[derive(Debug, Default)]
pub(crate) struct Intents {
    by_module: Mutex<BTreeMap<String, (u16, Vec<Value>)>>,
}

impl Intents {
    /// Takes `{"module","port","intents":[{"patterns","description","endpoint"}]}`; replaces what the module had.
    ///
    /// # Errors
    /// [`ApiError::Invalid`]; 403 if it is for another module or port than the caller's own.
    pub(crate) fn register(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let mut problems = Problems::default();
        let mut object = Object::body(body, &mut problems);
        let module = object.text("module", 1..=64);
        let port = object.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        if port.is_none() {
            object.problem("port", "int_range", "must be a port number");
        }
        let intents = object.list("intents").unwrap_or_default();
        if intents.len() > MAX_INTENTS {
            object.problem("intents", "list_length", format!("at most {MAX_INTENTS} intents"));
        }
        for (place, intent) in intents.iter().enumerate() {
            check(intent, place, &mut problems);
        }
        let (Some(module), Some(port), true) = (module, port, problems.is_empty()) else { return Err(problems.into()) };
        own(caller, &module, Some(port))?;
        let count = intents.len();
        let mut by_module = self.by_module.lock().expect("nothing panics while it holds the intents");
        // A run that ended while its request was on the way has no intents any more.
        if matches!(caller, Caller::Module(run) if !run.is_live()) {
            return Err(ApiError::Unauthenticated);
        }
        by_module.insert(module.clone(), (port, intents));
        Ok(json!({ "registered": true, "module": module, "intent_count": count }))
    }

    /// `{"modules":[{module,port,intents}],"total"}`.
    pub(crate) fn list(&self) -> Value {
        let by_module = self.by_module.lock().expect("nothing panics while it holds the intents");
        let entry = |(module, (port, intents)): (&String, &(u16, Vec<Value>))| json!({ "module": module, "port": port, "intents": intents });
        json!({ "modules": by_module.iter().map(entry).collect::<Vec<_>>(), "total": by_module.len() })
    }

    /// Deletes what a module registered.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; 403 for another module than the caller.
    pub(crate) fn delete(&self, caller: &Caller, module: &str) -> Result<(), ApiError> {
        own(caller, module, None)?;
        let mut by_module = self.by_module.lock().expect("nothing panics while it holds the intents");
        by_module.remove(module).map(|_| ()).ok_or(ApiError::NotFound("intents of this module"))
    }

    /// Forgets a module whose run ended.
    pub(crate) fn forget(&self, module: &ModuleName) {
        self.by_module.lock().expect("nothing panics while it holds the intents").remove(module.as_str());
    }
}

/// A module speaks for itself; the development token, parts of the hub and people for any.
fn own(caller: &Caller, module: &str, port: Option<u16>) -> Result<(), ApiError> {
    match caller {
        Caller::Module(run) if caller.is_system() || run.name.as_str() == module => {
            let own_port = run.port.map(selena_types::ModulePort::get);
            if caller.is_system() || port.is_none() || port == own_port {
                return Ok(());
            }
            let detail = "the port must be the module's own".to_owned();
            Err(ApiError::Forbidden { code: "not_your_port", detail })
        }
        Caller::Module(_) | Caller::Anonymous => {
            let detail = "a module registers intents for itself only".to_owned();
            Err(ApiError::Forbidden { code: "not_your_module", detail })
        }
        Caller::Development | Caller::Person { .. } => Ok(()),
    }
}

fn check(intent: &Value, place: usize, problems: &mut Problems) {
    let at = vec!["body".into(), "intents".into(), place.into()];
    let mut object = Object::at(intent, at, problems);
    if let Some(patterns) = object.map("patterns") {
        let texts = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if !patterns.values().all(texts) {
            object.problem("patterns", "patterns", "must be a list of regular expressions for each language");
        }
    }
}
