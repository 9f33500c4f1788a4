//! The machine check of a line of `msr sim`, and what of it does not arrive.

use super::sim::number;
use msr_dsl::interpret::Machine;
use msr_dsl::words::suggest;
use msr_runtime::{ErrorRecord, MachineCheckEvent};

/// `RIPV=1 EIPV=1 LMCE_S=1 STATUS=... ADDR=... MISC=...`; without STATUS the vCPU is only told.
pub fn event(parts: &[&str]) -> Result<MachineCheckEvent, String> {
    const FIELDS: &[&str] = &["RIPV", "EIPV", "LMCE_S", "STATUS", "ADDR", "MISC"];
    let mut event = MachineCheckEvent {
        restart_ip_valid: false,
        error_ip_valid: false,
        local: false,
        record: None,
    };
    let mut record = ErrorRecord {
        status: 0,
        address: 0,
        misc: 0,
    };
    let mut has_status = false;
    let mut said: Vec<&str> = Vec::new();
    for part in parts {
        let (field, value) = part
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is not FIELD=VALUE"))?;
        if said.contains(&field) {
            return Err(format!("`{field}` is there twice: leave one out"));
        }
        said.push(field);
        let value = number(value)?;
        let bit = || match value {
            0 | 1 => Ok(value == 1),
            _ => Err(format!("`{part}`: {field} is a bit, 0 or 1")),
        };
        match field {
            "RIPV" => event.restart_ip_valid = bit()?,
            "EIPV" => event.error_ip_valid = bit()?,
            "LMCE_S" => event.local = bit()?,
            "STATUS" => (record.status, has_status) = (value, true),
            "ADDR" => record.address = value,
            "MISC" => record.misc = value,
            "MCIP" => return Err("a machine check sets MCIP always: leave it out".to_owned()),
            other => {
                return Err(format!(
                    "unknown field `{other}`: {}",
                    suggest(other, FIELDS)
                ));
            }
        }
    }
    if has_status {
        event.record = Some(record);
    } else if record
        != (ErrorRecord {
            status: 0,
            address: 0,
            misc: 0,
        })
    {
        return Err("ADDR and MISC without STATUS: a record has all three".to_owned());
    }
    Ok(event)
}

/// What the interface gives no injection, so that it is left out, as the generated types do; and what no engine injects.
pub fn left_out(machine: &Machine, event: &MachineCheckEvent) -> Vec<String> {
    let view = machine.view();
    let Some(injection) = &view.injection else {
        return Vec::new();
    };
    let (bits, given) = (&injection.bits, injection.global.1);
    let flags = [
        ("RIPV", event.restart_ip_valid, bits.ripv),
        ("EIPV", event.error_ip_valid, bits.eipv),
        ("LMCE_S", event.local, bits.lmce_s),
    ];
    let flags = flags.map(|(name, set, bit)| (name, u64::from(set && bit & given == 0)));
    let record = event.record.map_or([0; 3], |record| {
        [
            record.status & !injection.status.1,
            record.address & !injection.address.1,
            record.misc & !injection.misc.1,
        ]
    });
    let words = [
        ("STATUS", record[0]),
        ("ADDR", record[1]),
        ("MISC", record[2]),
    ];
    let version = format!("version {} of `{}`", view.version, view.name);
    let flags = flags.into_iter().filter(|(_, left)| *left != 0);
    let flags =
        flags.map(|(name, _)| format!("{version} gives an injection no {name}: it is left out"));
    let words = words.into_iter().filter(|(_, left)| *left != 0);
    let words = words.map(|(name, left)| {
        format!("{version} gives an injection no bits {left:#x} of {name}: they are left out")
    });
    let unasked = event.local && bits.lmce_s & given != 0 && !machine.local_enabled();
    let unasked = unasked.then(|| {
        "this vCPU has not enabled local machine checks (`deliver`): an engine would not set LMCE_S"
            .to_owned()
    });
    flags.chain(words).chain(unasked).collect()
}
