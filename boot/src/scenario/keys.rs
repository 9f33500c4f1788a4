//! Every key of a scenario file: the one table behind the errors and behind docs/scenarios.md.

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds, in words.
    pub holds: &'static str,
    /// What holds where it is missing; `None` where it must not be.
    pub default: Option<&'static str>,
    /// What it means.
    pub about: &'static str,
}

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// As it is written, such as `[machine]`.
    pub header: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

const fn must(name: &'static str, holds: &'static str, about: &'static str) -> Key {
    Key {
        name,
        holds,
        default: None,
        about,
    }
}

const fn may(
    name: &'static str,
    holds: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key {
        name,
        holds,
        default: Some(default),
        about,
    }
}

/// The file itself.
pub static TOP: Section = Section {
    header: "the file",
    about: "What stands before the first table, and the tables.",
    keys: &[
        must("title", "text", "One line, shown by `cargo boot list`."),
        may(
            "about",
            "text",
            "empty",
            "What the scenario shows, for a reader.",
        ),
        may(
            "command_line",
            "text",
            "empty",
            "The hypervisor's command line (docs/boot-protocol.md).",
        ),
        must("machine", "table", "The emulated machine."),
        may(
            "guest",
            "tables",
            "none",
            "The guests, in order: the first is guest 0.",
        ),
        may("fault", "tables", "none", "The errors to raise."),
        may("expect", "tables", "none", "What must happen."),
        may("exit", "table", "empty", "How the guests must end."),
    ],
};

/// `[machine]`
pub static MACHINE: Section = Section {
    header: "[machine]",
    about: "The machine that is emulated.",
    keys: &[
        must("processors", "1 to 15", "How many processors."),
        may("memory", "MiB, 64 to 2048", "128", "How much memory."),
        may(
            "banks",
            "1 to 32",
            "4",
            "Machine-check banks of each processor.",
        ),
        may(
            "mcg_cap",
            "number",
            "the banks, CMCI_P, TES_P and SER_P",
            "The host's IA32_MCG_CAP; its bits 7:0 must equal `banks`. Bits that the SDM does not define are refused. With LMCE_P an error whose `mcg_status` has LMCE_S (bit 3) is a local machine check.",
        ),
        may(
            "strict_banks",
            "true or false",
            "false",
            "Whether the banks fault on every value but zero, as hardware's. Otherwise they take any, and an injected error survives a reset.",
        ),
        may(
            "production",
            "true or false",
            "false",
            "Whether the image is the one for production, without the fault injector: then there is nothing to raise a `fault`.",
        ),
    ],
};

/// `[[guest]]`
pub static GUEST: Section = Section {
    header: "[[guest]]",
    about: "A guest.",
    keys: &[
        may(
            "name",
            "word",
            "g and its number",
            "What it is called here and in the log.",
        ),
        must("image", "word", "A program under tests/guests/src/bin."),
        may("vcpus", "1 to 16", "1", "How many virtual processors."),
        may(
            "memory",
            "MiB, 2 to 1024",
            "16",
            "How much memory; a multiple of 2.",
        ),
        may(
            "interface",
            "NAME@VERSION[+FEATURE...]",
            "vmce@2",
            "What it sees of machine checks: an interface under specs, a version that guests can start under, and features such as LMCE (`vmce@3+LMCE`).",
        ),
        may("delivery", "inject", "inject", "How it gets an error."),
        may(
            "privileged",
            "true or false",
            "false",
            "Whether it is the administrator's: it may read records of errors, and take pages and processors out of use. One guest at most.",
        ),
        may("args", "text", "empty", "Its own command line."),
        may(
            "vectors",
            "platform, or as interface",
            "none",
            "The conformance vectors that the program `vectors` executes: those of the platform, or of an interface. `$vectors_NAME` is how many the guest NAME has.",
        ),
    ],
};

/// `[[fault]]`
pub static FAULT: Section = Section {
    header: "[[fault]]",
    about: "An error that the injector raises. Exactly one of `at` and `after` says when.",
    keys: &[
        may(
            "at",
            "number",
            "-",
            "When: time stamp counter of processor 0.",
        ),
        may(
            "after",
            "table",
            "-",
            "When: once a guest's console shows a certain line.",
        ),
        must(
            "processor",
            "number",
            "The processor whose bank holds the error.",
        ),
        must("bank", "number", "The bank."),
        must("status", "number", "MCi_STATUS."),
        must("mcg_status", "number", "MCG_STATUS."),
        may(
            "host_physical",
            "number or \"$name\"",
            "-",
            "MCi_ADDR, as the host counts.",
        ),
        may(
            "guest_physical",
            "number or \"$name\"",
            "-",
            "The page, as the guest named by `guest` counts: MCi_ADDR is where that is in the host.",
        ),
        may("guest", "name", "-", "Whose `guest_physical` it is."),
        may("misc", "number", "0", "MCi_MISC."),
        may(
            "broadcast",
            "true or false",
            "false",
            "Whether every processor gets the #MC, or only the one.",
        ),
        may(
            "at_copy",
            "true or false",
            "false",
            "Whether it waits until its processor copies a guest's memory (a hypercall's buffer) and comes in the middle of that.",
        ),
        may(
            "commands",
            "text",
            "none",
            "Commands about pages and processors (docs/boot-protocol.md), a line each, that go before it; `$name` stands for what was captured.",
        ),
        may(
            "boot",
            "1 to 9",
            "1",
            "From which boot of the machine on, for one that an earlier fault resets. Goes with `after`.",
        ),
    ],
};

/// `after` of a fault.
pub static AFTER: Section = Section {
    header: "after = { ... }",
    about: "A console line. Its regular expression's named groups are captured and can be used as \"$name\" from then on.",
    keys: &[
        must(
            "console",
            "regular expression",
            "What the line must match, anywhere in it.",
        ),
        may("guest", "name", "any", "Whose console."),
    ],
};

/// `[[expect]]`
pub static EXPECT: Section = Section {
    header: "[[expect]]",
    about: "An event that must come. Expectations are met one after the other, in the order of the file and of the time stamps; \
            events between them do not matter.",
    keys: &[
        must("event", "kind", "Its kind (docs/events.md)."),
        may("where", "table", "empty", "Fields and what they must hold."),
        may(
            "count",
            "number",
            "1",
            "How many such events, each met in its turn.",
        ),
        may(
            "group",
            "word",
            "-",
            "Expectations next to each other with the same group may be met in any order.",
        ),
        may(
            "anywhere",
            "true or false",
            "false",
            "The order does not matter at all.",
        ),
        may(
            "absent",
            "true or false",
            "false",
            "No such event may come, in the whole run.",
        ),
    ],
};

/// A value in `where`, as a table.
pub static WANT: Section = Section {
    header: "where = { FIELD = ... }",
    about: "A number or a text means that very value; in a text `$name` stands for what was captured. A guest may be given by its name. A table says more:",
    keys: &[
        may("least", "number", "-", "No less than this."),
        may("most", "number", "-", "No more than this."),
        may(
            "matches",
            "regular expression",
            "-",
            "The text matches, anywhere in it.",
        ),
    ],
};

/// `[exit]`: its keys are the guests' names.
pub static EXIT: Section = Section {
    header: "[exit]",
    about: "`NAME = CODE` for each guest that must shut down by itself, and its exit code.",
    keys: &[],
};

/// All of them, in the order of the manual.
pub static SECTIONS: [&Section; 8] = [
    &TOP, &MACHINE, &GUEST, &FAULT, &AFTER, &EXPECT, &WANT, &EXIT,
];

impl Section {
    /// The names of its keys.
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}
