//! The port's rows over a connection; each table's statements are in its own file.

use std::sync::{Arc, Mutex, mpsc};

use jiff::Timestamp;
use rusqlite::Connection;
use selena_core::{
    ModuleRecord, PublisherKey,
    ports::{Commit, DeviceChange, EventPage, EventQuery, ReadJob, Rows, StoreError, TableBytes, Tx, VaultCounters},
};
use selena_types::{AuditRecord, Device, DeviceId, Event, EventType, ModuleName, StateAt, TokenHash};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    audit, devices, events, module_config, modules, oauth_sessions, publishers, settings, table_bytes, tokens,
    vault_counters,
};

/// Reading over a connection.
pub(crate) struct SqliteRows<'a>(pub(crate) &'a Connection);

/// Writing over a connection, within a transaction; collects what it changed.
pub(crate) struct SqliteTx<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) changes: &'a mut Vec<Commit>,
}

/// A reader's thread: works until the store is dropped.
pub(crate) fn read_loop(connection: &Connection, inbox: &Arc<Mutex<mpsc::Receiver<ReadJob>>>) {
    loop {
        let job = inbox.lock().expect("nothing panics while it receives").recv();
        match job {
            Ok(job) => job(Ok(&SqliteRows(connection))),
            Err(mpsc::RecvError) => return,
        }
    }
}

/// The reading half of the port is the same over a connection and within a transaction.
macro_rules! rows {
    ($for:ty, $connection:ident) => {
        impl Rows for $for {
            fn modules(&self) -> Result<Vec<ModuleRecord>, StoreError> {
                modules::all(self.$connection())
            }
            fn devices(&self) -> Result<Vec<Device>, StoreError> {
                devices::all(self.$connection())
            }
            fn device_count(&self, module: &ModuleName) -> Result<usize, StoreError> {
                devices::count(self.$connection(), module)
            }
            fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
                devices::get(self.$connection(), id)
            }
            fn history(&self, id: DeviceId, since: Option<f64>, limit: usize) -> Result<Vec<StateAt>, StoreError> {
                devices::history(self.$connection(), id, since, limit)
            }
            fn events_page(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
                events::page(self.$connection(), query)
            }
            fn last_seq(&self) -> Result<i64, StoreError> {
                events::last_seq(self.$connection())
            }
            fn token_owner(&self, hash: &TokenHash) -> Result<Option<String>, StoreError> {
                tokens::owner(self.$connection(), hash)
            }
            fn audit(&self, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
                audit::newest(self.$connection(), limit)
            }
            fn module_config(&self, module: &ModuleName) -> Result<Map<String, Value>, StoreError> {
                module_config::all(self.$connection(), module)
            }
            fn publisher_keys(&self) -> Result<Vec<PublisherKey>, StoreError> {
                publishers::all(self.$connection())
            }
            fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
                settings::get(self.$connection(), key)
            }
            fn vault_counters(&self, module: &ModuleName, provider: &str) -> Result<VaultCounters, StoreError> {
                vault_counters::get(self.$connection(), module, provider)
            }
            fn table_bytes(&self) -> Result<TableBytes, StoreError> {
                table_bytes::read(self.$connection())
            }
            fn oauth_sessions(&self) -> Result<Vec<(ModuleName, String, Vec<u8>)>, StoreError> {
                oauth_sessions::all(self.$connection())
            }
        }
    };
}

impl SqliteRows<'_> {
    fn connection(&self) -> &Connection {
        self.0
    }
}

impl SqliteTx<'_> {
    fn connection(&self) -> &Connection {
        self.connection
    }

    fn put(&mut self, device: Device) -> Arc<Device> {
        let device = Arc::new(device);
        self.changes.push(Commit::Device(DeviceChange::Put(device.clone())));
        device
    }
}

rows!(SqliteRows<'_>, connection);
rows!(SqliteTx<'_>, connection);

impl Tx for SqliteTx<'_> {
    fn put_module(&mut self, module: &ModuleRecord) -> Result<(), StoreError> {
        modules::put(self.connection, module)
    }

    fn delete_module(&mut self, name: &ModuleName) -> Result<(), StoreError> {
        module_config::delete(self.connection, name)?;
        modules::delete(self.connection, name)
    }

    fn put_device(&mut self, device: Device) -> Result<Arc<Device>, StoreError> {
        devices::put(self.connection, &device)?;
        Ok(self.put(device))
    }

    fn set_state(&mut self, mut device: Device, state: Map<String, Value>, at: f64) -> Result<Arc<Device>, StoreError> {
        device.state = state;
        device.last_seen = Some(at);
        devices::set_state(self.connection, &device, at)?;
        Ok(self.put(device))
    }

    fn delete_device(&mut self, id: DeviceId) -> Result<(), StoreError> {
        devices::delete(self.connection, id)?;
        self.changes.push(Commit::Device(DeviceChange::Deleted(id)));
        Ok(())
    }

    fn delete_devices(&mut self, module: &ModuleName) -> Result<(), StoreError> {
        for device in devices::of(self.connection, module)? {
            self.delete_device(device.device_id)?;
        }
        Ok(())
    }

    fn orphan_devices(&mut self, module: &ModuleName) -> Result<(), StoreError> {
        for mut device in devices::of(self.connection, module)? {
            device.module_id = None;
            self.put_device(device)?;
        }
        Ok(())
    }

    fn append_event(
        &mut self,
        id: Uuid,
        event_type: &EventType,
        source: &str,
        at: Timestamp,
        payload: Value,
    ) -> Result<Arc<Event>, StoreError> {
        let event = Arc::new(events::append(self.connection, id, event_type, source, at, payload)?);
        self.changes.push(Commit::Event(event.clone()));
        Ok(event)
    }

    fn put_token(&mut self, hash: &TokenHash, module: &ModuleName, at: Timestamp) -> Result<(), StoreError> {
        tokens::put(self.connection, hash, module, at)
    }

    fn append_audit(&mut self, record: &AuditRecord) -> Result<(), StoreError> {
        audit::append(self.connection, record)
    }

    fn put_module_config(&mut self, module: &ModuleName, key: &str, value: &Value) -> Result<(), StoreError> {
        module_config::put(self.connection, module, key, value)
    }

    fn put_publisher_key(&mut self, key: &PublisherKey) -> Result<(), StoreError> {
        publishers::put(self.connection, key)
    }

    fn put_setting(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        settings::put(self.connection, key, value)
    }

    fn put_vault_counters(
        &mut self,
        module: &ModuleName,
        provider: &str,
        counters: VaultCounters,
    ) -> Result<(), StoreError> {
        vault_counters::put(self.connection, module, provider, counters)
    }

    fn outdate_vault_counters(&mut self, module: &ModuleName) -> Result<(), StoreError> {
        vault_counters::outdate(self.connection, module)
    }

    fn put_oauth_session(&mut self, module: &ModuleName, provider: &str, sealed: &[u8]) -> Result<(), StoreError> {
        oauth_sessions::put(self.connection, module, provider, sealed)
    }

    fn delete_oauth_session(&mut self, module: &ModuleName, provider: &str) -> Result<(), StoreError> {
        oauth_sessions::delete(self.connection, module, provider)
    }
}
