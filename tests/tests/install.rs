//! Install and Remove on a machine with PCP: one line of pmcd.conf changes, and changes back.

use pmbridge_tests::{PMCD, STOCK, Sandbox, eventually, has, pmbridge, skip};

/// A sandbox with pmbridge's directory in its place and a source for the stock PMDA.
fn sandbox(test: &str) -> Option<Sandbox> {
    if !has(test, &[PMCD, STOCK, "/usr/lib/python3/dist-packages/requests/__init__.py", "/usr/bin/nsenter"]) {
        return None;
    }
    let sandbox = Sandbox::start(test)?;
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../host-linux/pcp");
    sandbox.ok(&format!("cp -r {files} {OURS}"));
    sandbox.ok("printf 'a{x=\"y\"} 42\n' >/etc/pcp/openmetrics/page
        echo file:///etc/pcp/openmetrics/page >/etc/pcp/openmetrics/one.url
        ln -s /etc/pcp/openmetrics/one.url /var/lib/pcp/pmdas/openmetrics/config.d/");
    Some(sandbox)
}

fn start_pmcd(sandbox: &Sandbox) {
    // Where pmcd starts, its agents log.
    sandbox.ok(&format!("cd /var/log/pcp/pmcd && {PMCD} -A && /usr/lib/pcp/bin/pmcd_wait -t 60"));
}

/// Runs one of our scripts; its exit code and all that it prints.
fn script(sandbox: &Sandbox, words: &str) -> (i32, String) {
    let finished = sandbox.sh(&format!("cd {OURS} && PMBRIDGE={} ./{words} 2>&1", pmbridge().display()));
    (finished.code, finished.out)
}

/// The stock PMDA with a line that a site has changed: comments, options, spaces, a continued line.
fn install_stock(sandbox: &Sandbox) {
    sandbox.ok(STOCK_INSTALL);
    sandbox.ok(&format!(
        "sed -i -e '/^openmetrics/s/.*/# ours: not openmetrics\\n\\n&-t 3 \\\\\\n   -n/' -e 's/^\\[access/# the end\\n\\t[ access/' {CONF}
         sed -i 's/access\\]/access ]/' {CONF}
         echo '# no line feed' | tr -d '\\n' >>{CONF}
         kill -HUP $(cat /run/pcp/pmcd.pid)"
    ));
    eventually("the stock PMDA again", || shows(sandbox, "-t 3 -n", "pmdaopenmetrics").then_some(()));
}

/// Whether the source's value is there, from a PMDA with these words in its command.
fn shows(sandbox: &Sandbox, options: &str, command: &str) -> bool {
    let shown = sandbox.sh("pminfo -f openmetrics.one.a");
    // The brackets keep the shell that has this script from being found too.
    let running = sandbox.sh(&format!("pgrep -fa '[p]{}.*{options}'", &command[1..])).out;
    shown.out.contains("inst [0 or \"0 x:y\"] value 42") && running.contains(command)
}

/// The lines that two files do not share, each behind `<` or `>`.
fn differences(sandbox: &Sandbox, one: &str, other: &str) -> Vec<String> {
    let diff = sandbox.sh(&format!("diff {one} {other}")).out;
    diff.lines().filter(|line| line.starts_with(['<', '>', '\\'])).map(str::to_owned).collect()
}

/// The processes of the other agents.
fn others(sandbox: &Sandbox) -> String {
    sandbox.ok("pgrep -fa '/[p]mda(root|linux)'; cat /run/pcp/pmcd.pid")
}

#[test]
fn the_stock_pmda_is_replaced_and_given_back() {
    let Some(sandbox) = sandbox("the_stock_pmda_is_replaced_and_given_back") else { return };
    start_pmcd(&sandbox);
    install_stock(&sandbox);
    sandbox.ok(&format!("cp -p {CONF} /tmp/../run/before"));
    let (identity, agents) = (sandbox.ok("pminfo -dmf openmetrics.one"), others(&sandbox));
    sandbox.ok("cd /run && echo 'log mandatory on 1 sec { openmetrics.one.a kernel.all.load }' >config
        pmlogger -c config -l pmlogger.log archive >/dev/null 2>&1 &
        sleep 2");

    let (code, said) = script(&sandbox, "Install --replace-openmetrics");
    assert!(code == 0 && said.contains("pmbridge is in the place of openmetrics"), "{said}");
    assert!(shows(&sandbox, "-d 144 -t 3 -n", "pmdapmbridge"), "{}", sandbox.ok("ps -ef"));
    let differ = differences(&sandbox, "/run/before", CONF);
    let [old, continued, new] = &differ[..] else { panic!("{differ:?}") };
    assert!(old.contains("pmdaopenmetrics.python") && continued.contains("-n"), "{differ:?}");
    assert_eq!(
        new,
        &format!("> openmetrics\t144\tpipe\tbinary notready\t{OURS}/pmdapmbridge -d 144 -t 3 -n")
    );
    assert_eq!(sandbox.ok("stat -c %a%U /run/before"), sandbox.ok(&format!("stat -c %a%U {CONF}")));
    assert_eq!(others(&sandbox), agents);
    assert_eq!(sandbox.sh("pgrep -f [p]mdaopenmetrics.python").out, "");
    assert_eq!(sandbox.ok("pminfo -dmf openmetrics.one"), identity);
    sandbox.ok(&format!("cp {CONF} /run/with"));
    let (code, said) = script(&sandbox, "Install --replace-openmetrics");
    assert!(code == 0 && said.contains("already"), "{said}");
    sandbox.ok(&format!("cmp {CONF} /run/with"));

    let (code, said) = script(&sandbox, "Remove");
    assert!(code == 0 && said.contains("PCP's openmetrics PMDA is back"), "{said}");
    sandbox.ok(&format!("cmp {CONF} /run/before"));
    assert!(shows(&sandbox, "-t 3 -n", "pmdaopenmetrics"), "{}", sandbox.ok("ps -ef"));
    assert_eq!(sandbox.sh("pgrep -f [p]mdapmbridge").out, "");
    assert_eq!((others(&sandbox), sandbox.ok("pminfo -dmf openmetrics.one")), (agents, identity));
    let (code, said) = script(&sandbox, "Remove");
    assert!(code == 0 && said.contains("nothing to do"), "{said}");
    sandbox.ok(&format!("cmp {CONF} /run/before; ls /var/tmp | grep . && exit 1 || :"));

    sandbox.ok("cd /run && sleep 2 && { pkill -x pmlogger || { cat pmlogger.log >&2; exit 1; }; }
        while pgrep -x pmlogger >/dev/null; do sleep 0.1; done
        pmlogcheck archive");
    let logged = sandbox.ok("cd /run && pmdumplog archive openmetrics.one.a");
    assert!(logged.matches("value 42").count() > 2, "{logged}");
}

#[test]
fn ids_go_on_there_and_back() {
    let Some(sandbox) = sandbox("ids_go_on_there_and_back") else { return };
    if sandbox.sh(&format!("{} help ids", pmbridge().display())).code != 0 {
        skip("ids_go_on_there_and_back", "this pmbridge keeps no ids");
        return;
    }
    start_pmcd(&sandbox);
    sandbox.ok(STOCK_INSTALL);
    // The ids of a page's metrics and instances, once the last name is there. New ones stand in front, so that
    // numbers by place would be others.
    let ids = |page: &str, last: &str| {
        sandbox.ok(&format!("printf '{page}' >/etc/pcp/openmetrics/page"));
        eventually(last, || {
            let shown = sandbox.sh("pminfo -f openmetrics.one.a; pminfo -m openmetrics.one").out;
            shown.contains(last).then_some(shown)
        })
    };
    let (old, new) = ("b 1\na{x=\"z\"} 2\na{x=\"y\"} 1\n", "c 1\na{x=\"w\"} 3\n");
    let both = format!("{new}{old}");
    let stock = ids(old, "x:z");
    let (code, said) = script(&sandbox, "Install --replace-openmetrics");
    assert!(code == 0, "{said}");
    assert_eq!(ids(old, "x:z"), stock);
    let ours = ids(&both, "x:w");
    let (code, said) = script(&sandbox, "Remove");
    assert!(code == 0 && !said.contains("Warning"), "{said}");
    assert_eq!(ids(&both, "x:w"), ours);
    // And there again, with what the stock PMDA has numbered meanwhile.
    let third = format!("d 1\n{both}");
    let stock = ids(&third, "one.d ");
    let (code, said) = script(&sandbox, "Install --replace-openmetrics");
    assert!(code == 0, "{said}");
    assert_eq!(ids(&third, "one.d "), stock);
}

#[test]
fn what_cannot_be_replaced_stays_and_is_told() {
    let Some(sandbox) = sandbox("what_cannot_be_replaced_stays_and_is_told") else { return };
    let line = |text: &str| {
        sandbox.ok(&format!("sed -i -e '1i {text}' -e '/^openmetrics/d' {CONF} && cp {CONF} /run/before"));
    };
    let refused = |why: &str| {
        let (code, said) = script(&sandbox, "Install --replace-openmetrics");
        assert!(code > 0 && said.contains(why), "{why}: {said}");
        sandbox.ok(&format!("cmp {CONF} /run/before"));
    };
    line("# openmetrics is not here");
    refused("has no line for openmetrics");
    line("openmetrics 144 pipe binary /opt/my-own-wrapper");
    refused("by hand");
    line("openmetrics 144 pipe binary python3 /x/pmdaopenmetrics.python --no-such-option");
    refused("no-such-option");
    line("openmetrics 144 socket inet 4444 python3 /x/pmdaopenmetrics.python");
    refused("by hand");
    line("openmetrics 144 pipe binary notready python3 /x/pmdaopenmetrics.python -R 30");
    let finished = sandbox
        .sh(&format!("cd {OURS} && rm -f pmdapmbridge && PMBRIDGE=/no/such ./Install --replace-openmetrics"));
    assert!(finished.code > 0 && finished.err.contains("cannot be run"), "{finished:?}");
    sandbox.ok(&format!("cmp {CONF} /run/before"));

    // No pmcd runs: the files change, and that is said. So is what PCP's user cannot read.
    let secret = "/var/lib/pcp/pmdas/openmetrics/config.d/secret.url";
    sandbox.ok(&format!("echo http://user:password@localhost/ >{secret} && chmod 600 {secret}"));
    let (code, said) = script(&sandbox, "Install --replace-openmetrics");
    assert!(code == 0 && said.contains("pmcd does not run") && said.contains(secret), "{said}");
    assert!(!said.contains("one.url"), "{said}");
    assert!(sandbox.ok(&format!("cat {CONF}")).contains("pmdapmbridge -d 144 -R 30\n"));
    // A stop between taking out and putting in is made good by the next run.
    let mark = "# pmbridge keeps this place for the line of openmetrics: run Install or Remove again";
    sandbox.ok(&format!("sed -i 's/^openmetrics.*/{mark}/' {CONF}"));
    let (code, said) = script(&sandbox, "Install --replace-openmetrics");
    assert!(code == 0, "{said}");
    assert!(sandbox.ok(&format!("cat {CONF}")).contains("pmdapmbridge -d 144 -R 30\n"));
    let (code, said) = script(&sandbox, "Remove");
    assert!(code == 0 && said.contains("is back"), "{said}");
    sandbox.ok(&format!("cmp {CONF} /run/before"));
}

#[test]
fn a_pmbridge_that_does_not_run_leaves_the_stock_pmda_in_place() {
    let Some(sandbox) = sandbox("a_pmbridge_that_does_not_run_leaves_the_stock_pmda_in_place") else {
        return;
    };
    start_pmcd(&sandbox);
    install_stock(&sandbox);
    sandbox.ok(&format!("cp -p {CONF} /run/before
        printf '#!/bin/sh\ncase \"$*\" in *--version*|*--help*) ;; *) exit 1;; esac\n' >/run/broken; chmod +x /run/broken"));
    let finished = sandbox.sh(&format!("cd {OURS} && PMBRIDGE=/run/broken ./Install --replace-openmetrics"));
    assert!(finished.code > 0 && finished.err.contains("PCP's PMDA is back in its place"), "{finished:?}");
    sandbox.ok(&format!("cmp {CONF} /run/before"));
    eventually("the stock PMDA", || shows(&sandbox, "-t 3 -n", "pmdaopenmetrics").then_some(()));
}

#[test]
fn it_is_installed_beside_the_stock_pmda() {
    let Some(sandbox) = sandbox("it_is_installed_beside_the_stock_pmda") else { return };
    start_pmcd(&sandbox);
    // PCP's Install sorts pmcd.conf line by line, so this one has no continued lines.
    sandbox.ok(STOCK_INSTALL);
    sandbox.ok(&format!("mkdir {OURS}/config.d && cp /etc/pcp/openmetrics/one.url {OURS}/config.d/two.url"));
    for _ in 0..2 {
        let (code, said) = script(&sandbox, "Install");
        assert!(code == 0 && said.contains("Check pmbridge metrics have appeared"), "{said}");
        eventually("its metrics", || {
            sandbox.sh("pminfo -f pmbridge.two.a").out.contains("value 42").then_some(())
        });
        let conf = sandbox.ok(&format!("grep '^pmbridge' {CONF}"));
        let line: Vec<_> = conf.split_whitespace().collect();
        let command = format!("{OURS}/pmdapmbridge");
        assert_eq!(
            line,
            ["pmbridge", "444", "pipe", "binary", "notready", &command, "-d", "444", "-r", "pmbridge"]
        );
    }
    assert!(shows(&sandbox, "", "pmdaopenmetrics"), "{}", sandbox.ok("ps -ef"));
    let (code, said) = script(&sandbox, "Remove");
    assert!(code == 0 && said.contains("Check pmbridge metrics have gone away ... OK"), "{said}");
    assert!(shows(&sandbox, "", "pmdaopenmetrics"), "{}", sandbox.ok("ps -ef"));
    assert!(sandbox.sh(&format!("grep pmbridge {CONF}")).out.is_empty());
    let (code, said) = script(&sandbox, "Remove");
    assert!(code == 0 && said.contains("nothing to do"), "{said}");
}

const CONF: &str = "/etc/pcp/pmcd/pmcd.conf";
const STOCK_INSTALL: &str = "cd /var/lib/pcp/pmdas/openmetrics && ./Install </dev/null";
const OURS: &str = "/var/lib/pcp/pmdas/pmbridge";
