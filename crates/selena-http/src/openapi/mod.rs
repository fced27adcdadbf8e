//! The API described for programs: OpenAPI 3.1, made from the route table, the permission table and the schemas.

mod backup;
mod operations;

use selena_core::{Operation, Right, Rule};
use serde_json::{Map, Value, json};

use crate::router::{PREFIX, table};
use operations::{Body, Described, describe};

/// The bodies' schemas.
const SCHEMAS: &str = include_str!("schemas.json");

/// The document of `GET /api/v1/openapi.json`.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in
        table().iter().filter(|route| route.path != "/modules/install" || route.operation == Operation::ModuleInstall)
    {
        let path = paths.entry(format!("{PREFIX}{}", route.path)).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route.operation, route.path);
    }
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("the schemas are JSON: a test reads them");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Selena hub",
            "version": "1.0",
            "description": "What modules and people ask of the hub. In a module it listens on http://localhost:7070.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://localhost:7070" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "module_token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(operation: Operation, path: &str) -> Value {
    let described = describe(operation);
    let rule = operation.rule();
    let mut document = json!({
        "operationId": format!("{operation:?}"),
        "summary": described.summary,
        "x-who": who(rule),
        "responses": responses(&described, rule),
    });
    let parameters: Vec<_> = path_parameters(path).chain(described.query.iter().map(query_parameter)).collect();
    if !parameters.is_empty() {
        document["parameters"] = json!(parameters);
    }
    if let Some(body) = described.request {
        document["requestBody"] = json!({ "required": true, "content": content(body) });
    }
    if !rule.public {
        document["security"] = json!([{ "module_token": [] }]);
    }
    document
}

/// Who may do it, by module type: a permission, `own`, or `no`.
fn who(rule: Rule) -> Value {
    let right = |right| match right {
        Right::No => "no",
        Right::With(permission) => selena_types::Permission::as_str(permission),
        Right::Own => "own",
    };
    json!({
        "INTEGRATION": right(rule.integration),
        "DRIVER": right(rule.driver),
        "IMPORT_SOURCE": right(rule.driver),
        "AUTOMATION": right(rule.automation),
        "UI": right(rule.automation),
        "SYSTEM": rule.system,
        "people": rule.people,
        "without_token": rule.public,
    })
}

fn responses(described: &Described, rule: Rule) -> Value {
    let mut responses = Map::new();
    for (status, what, body) in described.answers {
        let mut response = json!({ "description": what });
        if let Some(body) = body {
            response["content"] = content(*body);
        }
        responses.insert(status.to_string(), response);
    }
    let common = [
        (401, "No valid token.", !rule.public),
        (403, "Not granted.", !rule.public),
        (429, "Too many requests.", true),
    ];
    let errors = described.errors.iter().map(|(status, what)| (*status, *what, true)).chain(common);
    for (status, what, _) in errors.filter(|(_, _, applies)| *applies) {
        let content = content(Body::Json("Error"));
        responses.entry(status.to_string()).or_insert_with(|| json!({ "description": what, "content": content }));
    }
    Value::Object(responses)
}

fn content(body: Body) -> Value {
    let json = |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    match body {
        Body::Json(name) => json!({ "application/json": json(name) }),
        Body::Stream(name) => json!({ "text/event-stream": json(name) }),
        Body::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Body::Environment => json!({ "application/octet-stream": { "schema": { "type": "string" } } }),
        Body::Backup => json!({ "application/age": { "schema": { "type": "string", "format": "binary" } } }),
        Body::BackupForm => {
            json!({ "multipart/form-data": { "schema": { "$ref": "#/components/schemas/BackupForm" } } })
        }
        Body::Package => json!({
            "multipart/form-data": { "schema": { "$ref": "#/components/schemas/PackageForm" } },
            "application/zip": { "schema": { "type": "string", "format": "binary" } },
        }),
    }
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
}

fn query_parameter((name, kind, what): &(&str, &str, &str)) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": what, "schema": { "type": kind } })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKED_IN: &str = include_str!("../../openapi.json");

    #[test]
    fn the_checked_in_document_is_this_one() {
        let checked_in: Value = serde_json::from_str(CHECKED_IN).expect("it is JSON");
        assert!(checked_in == document(), "openapi.json is not up to date: see examples/openapi.rs");
    }

    #[test]
    fn every_schema_named_is_there_and_every_one_there_is_named() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().expect("an object");
        for name in schemas.keys() {
            assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name} is used nowhere");
        }
        for named in text.split("#/components/schemas/").skip(1) {
            let name = named.split('"').next().expect("a quote ends it");
            assert!(schemas.contains_key(name), "{name} is not described");
        }
    }
}
