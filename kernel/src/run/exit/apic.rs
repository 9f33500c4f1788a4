//! The part of a local APIC that acts: NMI, INIT and SIPI to vCPUs (SDM vol. 3, 11.6 and 11.12). Its registers are the spec's.

use specs::platform::v1::{X2apicIcr, X2apicIcrMode, X2apicIcrTo};

use crate::guests::vcpu::{Shared, Startup};

/// The interrupt command register was written, with a value that the spec allows.
pub fn send(value: u64, sender: &Shared) {
    let command = X2apicIcr::from_bits(value);
    let startup = match command.mode() {
        X2apicIcrMode::Nmi => None,
        X2apicIcrMode::Startup => Some(Startup::Sipi(command.vector())),
        X2apicIcrMode::Init if command.assert() => Some(Startup::Init),
        // INIT level de-assert does nothing on today's processors; the spec allows no other mode.
        X2apicIcrMode::Init | X2apicIcrMode::Unnamed(_) => return,
    };
    let vcpus = sender.guest.vcpus().map(|vcpu| vcpu.shared);
    for vcpu in vcpus.filter(|vcpu| is_meant(vcpu, command, sender)) {
        match startup {
            Some(startup) => vcpu.send(startup),
            None => vcpu.send_nmi(),
        }
    }
}

fn is_meant(vcpu: &Shared, command: X2apicIcr, sender: &Shared) -> bool {
    let (id, destination) = (u32::from(vcpu.id.index), command.destination());
    match command.to() {
        X2apicIcrTo::Destination if command.logical() => {
            let (cluster, bits) = (destination >> 16, destination & 0xffff);
            cluster == id >> 4 && bits >> (id & 0xf) & 1 == 1
        }
        X2apicIcrTo::Destination => id == destination,
        X2apicIcrTo::Others => vcpu.id != sender.id,
        X2apicIcrTo::Unnamed(_) => false,
    }
}
