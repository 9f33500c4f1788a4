//! Why a fault command was refused. Part of the table of events in every image.

use super::event::words;

words! {
    /// Why a command was refused.
    Refused {
        /// The line is longer than 200 bytes.
        TooLong = "line-too-long",
        /// There is no such command.
        UnknownCommand = "unknown-command",
        /// A word that no command has.
        UnknownWord = "unknown-word",
        /// A key is there twice.
        Twice = "key-twice",
        /// A value is not a number, or too great.
        BadNumber = "bad-number",
        /// A key is missing.
        MissingKey = "missing-key",
        /// There is no such processor.
        NoProcessor = "no-such-processor",
        /// The processor keeps house for all others, and stays in use: the last one, if need be.
        KeepsHouse = "keeps-house",
        /// There is no such bank.
        NoBank = "no-such-bank",
        /// The page is the hypervisor's, which cannot do without it.
        HypervisorPage = "hypervisor-page",
        /// The memory map does not leave that page to the hypervisor.
        NoMemory = "no-memory",
        /// The page or processor is out of use already.
        OutOfUse = "out-of-use",
        /// The page or processor is in use.
        InUse = "in-use",
        /// A processor has still to flush its translations of pages that went out of use.
        Unflushed = "unflushed",
        /// There is no such guest, or nothing at that guest-physical address.
        NoGuestMemory = "no-such-guest-memory",
        /// No vCPU of the guest that is to meet the error runs on that processor, or none came to run there in time.
        NoConsumer = "no-consumer",
        /// Another error waits for the guest that is to meet it.
        AnotherWaits = "another-waits",
    }
}
