//! Settings of modules (protocol, sections 5 and 12).
//!
//! What people set lies in the store; under it lie the settings of the hub's own file, `[modules.config.<name>]`.

use selena_types::{Manifest, ModuleName, Problems, fields::Object};
use serde_json::{Map, Value, json};

use super::Modules;
use crate::{
    ApiError,
    identity::Caller,
    transact::{read, write},
};

/// Largest value, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Most keys of one module.
const MAX_KEYS: usize = 256;
/// Most bytes of all settings of one module: they are part of its environment.
const MAX_BYTES: usize = 256 * 1024;
/// Most problems that are told.
const MAX_PROBLEMS: usize = 20;
/// Most characters of one problem.
const MAX_MESSAGE_CHARS: usize = 200;
/// Most characters of a key.
const MAX_KEY_CHARS: usize = 128;

impl Modules {
    /// A module's settings.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or 403 `not_your_module` for another module.
    pub async fn config(&self, caller: &Caller, name: &ModuleName) -> Result<Map<String, Value>, ApiError> {
        if let Caller::Module(run) = caller
            && run.name != *name
            && !caller.is_system()
        {
            let detail = "a module reads its own settings only".to_owned();
            return Err(ApiError::Forbidden { code: "not_your_module", detail });
        }
        self.record(name)?;
        self.settings_of(name).await
    }

    /// Sets one of a module's settings, given as `{"key","value"}`; event `core.config_changed`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; [`ApiError::Invalid`] if the settings then break the module's `config_schema`.
    pub async fn set_config(&self, name: &ModuleName, body: &Value, who: &str) -> Result<Map<String, Value>, ApiError> {
        let (key, value) = parse(body)?;
        let slot = self.slot(name)?;
        // Held over reading, checking and writing, so that two changes cannot break the schema together.
        let live = slot.live.lock().await;
        if live.removed {
            return Err(ApiError::NotFound("module"));
        }
        let mut config = self.settings_of(name).await?;
        if let Some(other) = config.keys().find(|other| other.eq_ignore_ascii_case(&key) && **other != key) {
            return Err(invalid("key", format!("`{other}` differs only in case: a module could not tell them apart")));
        }
        config.insert(key.clone(), value.clone());
        if config.len() > MAX_KEYS || json!(config).to_string().len() > MAX_BYTES {
            let detail = format!("a module has at most {MAX_KEYS} settings and {MAX_BYTES} bytes of them");
            return Err(ApiError::limit("limit_settings", detail));
        }
        let (manifest, checked) = (self.manifest(&slot.record())?, config.clone());
        let fits = tokio::task::spawn_blocking(move || check(&manifest, &checked)).await;
        fits.map_err(ApiError::internal)??;
        self.parts.api.record("module_config_set", who, &format!("{name} {key}"));
        let module = name.clone();
        write(self.parts.api.store(), move |tx| {
            tx.put_module_config(&module, &key, &value)?;
            crate::api::append(tx, "core.config_changed", "core", json!({ "name": module, "key": key }))?;
            Ok(())
        })
        .await?;
        Ok(config)
    }

    /// The settings as the module sees them.
    pub(super) async fn settings_of(&self, name: &ModuleName) -> Result<Map<String, Value>, ApiError> {
        let mut config = self.parts.config.module_config.get(name).cloned().unwrap_or_default();
        let module = name.clone();
        config.extend(read(self.parts.api.store(), move |rows| rows.module_config(&module)).await?);
        Ok(config)
    }
}

fn parse(body: &Value) -> Result<(String, Value), ApiError> {
    let mut problems = Problems::default();
    let mut object = Object::body(body, &mut problems);
    let key = object.text("key", 1..=MAX_KEY_CHARS);
    let value = body.get("value").cloned();
    if value.is_none() {
        object.problem("value", "missing", "field required");
    }
    let (Some(key), Some(value), true) = (key, value, problems.is_empty()) else { return Err(problems.into()) };
    if value.to_string().len() > MAX_VALUE_BYTES {
        return Err(invalid("too_long", format!("a setting is at most {MAX_VALUE_BYTES} bytes of JSON")));
    }
    Ok((key, value))
}

/// Refuses settings that break the module's schema.
fn check(manifest: &Manifest, config: &Map<String, Value>) -> Result<(), ApiError> {
    let Some(schema) = &manifest.config_schema else { return Ok(()) };
    let mut schema = schema.clone();
    // Settings come one by one: what is not there yet is no problem of the one that comes.
    for waits_for_others in ["required", "minProperties", "dependentRequired", "dependentSchemas", "dependencies"] {
        schema.remove(waits_for_others);
    }
    let (schema, config) = (Value::Object(schema), Value::Object(config.clone()));
    // The linear engine: a module's pattern must not hold up the hub.
    let options = jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex());
    let validator = options.build(&schema).map_err(|error| {
        invalid("config_schema", format!("the module's config_schema is not usable: {}", short(&error)))
    })?;
    if validator.is_valid(&config) {
        return Ok(());
    }
    // A schema that refers to itself can have as many errors as it likes: then it is told only that it does not fit.
    if schema.to_string().contains("\"$ref\"") || schema.to_string().contains("Ref\"") {
        return Err(invalid("config_schema", "the settings do not fit the module's config_schema".to_owned()));
    }
    let mut problems = Problems::default();
    for error in validator.iter_errors(&config).take(MAX_PROBLEMS) {
        let at = error.instance_path().to_string();
        let place = if at.is_empty() { String::new() } else { format!("{at}: ") };
        problems.add(["body".into(), "value".into()], "config_schema", format!("{place}{}", short(&error)));
    }
    Err(problems.into())
}

/// The beginning of an error's text: it may quote a whole setting.
fn short(error: &impl std::fmt::Display) -> String {
    error.to_string().chars().take(MAX_MESSAGE_CHARS).collect()
}

fn invalid(code: &str, msg: String) -> ApiError {
    Problems::one(["body".into(), "value".into()], code, msg).into()
}

#[cfg(test)]
mod tests {
    use selena_types::ResourceLimits;

    use super::*;

    fn manifest(schema: &Value) -> Manifest {
        let text = json!({
            "name": "m1", "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": 8100, "permissions": [],
            "config_schema": schema,
        });
        let limits = ResourceLimits { memory_mb: 1024, cpu: 2.0, data_mb: 1024 };
        let core = semver::Version::new(1, 0, 0);
        Manifest::parse(text.to_string().as_bytes(), &core, &limits).expect("a good manifest").manifest
    }

    fn problems(schema: &Value, config: &Value) -> usize {
        match check(&manifest(schema), config.as_object().expect("an object")) {
            Ok(()) => 0,
            Err(ApiError::Invalid(problems)) => problems.0.len(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn settings_are_checked_by_the_schema_and_all_problems_told() {
        let schema = json!({
            "type": "object",
            "properties": { "host": { "type": "string", "pattern": "^[a-z]+$" }, "every": { "type": "integer", "minimum": 1 } },
            "additionalProperties": false,
        });
        assert_eq!(problems(&schema, &json!({ "host": "abc", "every": 5 })), 0);
        assert_eq!(problems(&schema, &json!({ "host": "ABC", "every": 0 })), 2);
        assert_eq!(problems(&schema, &json!({ "other": 1 })), 1);
        assert_eq!(problems(&json!({ "type": 5 }), &json!({})), 1, "a broken schema refuses with a reason");
    }

    #[test]
    fn a_schema_that_multiplies_its_errors_holds_up_nobody() {
        let mut defs = Map::new();
        for n in 0..30 {
            let next = json!({ "$ref": format!("#/$defs/a{}", n + 1) });
            defs.insert(format!("a{n}"), json!({ "allOf": [next, next] }));
        }
        defs.insert("a30".to_owned(), json!(false));
        assert_eq!(problems(&json!({ "$ref": "#/$defs/a0", "$defs": defs }), &json!({})), 1);
    }

    #[test]
    fn a_schema_cannot_reach_outside() {
        let remote = json!({ "$ref": "https://schema.example/x.json" });
        assert_eq!(problems(&remote, &json!({})), 1);
        assert_eq!(problems(&json!({ "$ref": "file:///etc/passwd" }), &json!({})), 1);
    }
}
