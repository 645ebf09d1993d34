//! `status --watch`: nothing that it shows is older than it looks. Power cuts, a host that freezes, and their return.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::harness::{Lab, wait_until};

/// An answer counts for five seconds; the rest is this machine's, which may be busy.
const NOTICED: Duration = Duration::from_secs(10);

/// What one who watches has been told last.
struct Watched<'a> {
    lab: &'a Lab,
}

impl Watched<'_> {
    fn told(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.lab.dir().join("watched")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    fn health(&self, name: &str) -> Option<bool> {
        let told = self.told();
        let members = told.last()?["members"].as_array()?.clone();
        members.iter().find(|member| member["name"] == name)?["healthy"].as_bool()
    }

    /// Waits until everybody is shown as well by answers that are new, and not by the last ones before something befell.
    fn all_well(&self) {
        wait_until("everybody to be shown as well", Duration::from_secs(60), || {
            let told = self.told();
            let Some(glance) = told.last().filter(|glance| glance["healthy"] == true) else {
                return false;
            };
            let at: Timestamp = glance["at"].as_str().expect("a time").parse().expect("a time");
            let members = glance["members"].as_array().expect("members");
            let new = members
                .iter()
                .all(|member| member["seconds_since_answer"].as_u64() < Some(2));
            // Else it would have been told by now that they are too old.
            new || Timestamp::now().duration_since(at) > SignedDuration::from_secs(6)
        });
    }

    /// Waits until a member is not shown as well any more, and says how long that took.
    fn until_gone(&self, name: &str) -> Duration {
        let since = Instant::now();
        wait_until("it to be noticed", Duration::from_secs(60), || {
            self.health(name) != Some(true)
        });
        since.elapsed()
    }
}

#[test]
fn whoever_watches_sees_within_seconds_who_does_not_answer_and_all_the_others_meanwhile() {
    let lab = Lab::cluster(3);
    let out = File::create(lab.dir().join("watched")).expect("a file");
    let running = lab.spawn_with(&["status", "--watch", "--output", "json"], |command| {
        command.stdout(out);
    });
    let watched = Watched { lab: &lab };
    watched.all_well();

    // No power, a host that stops in the middle of everything, and a cable: none of them closes a connection.
    let n3 = lab.host("n3");
    type Happens<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());
    let happens: [Happens<'_>; 3] = [
        ("power cut", &|| n3.crash(), &|| n3.boot()),
        ("frozen", &|| n3.freeze(), &|| n3.thaw()),
        ("cable", &|| n3.cut(), &|| n3.mend()),
    ];
    for (what, befalls, mends) in happens {
        befalls();
        let took = watched.until_gone("n3");
        println!("{what}: shown after {:.1} s", took.as_secs_f64());
        assert!(took < NOTICED, "{what}: it was shown as well for {took:?}");
        // The leader hears nothing from it, and says so.
        wait_until("the others to tell", Duration::from_secs(60), || {
            watched.health("n3") == Some(false) || what == "cable"
        });
        for name in ["n1", "n2"] {
            assert_eq!(watched.health(name), Some(true), "{what}: {:?}", watched.told().last());
        }
        mends();
        watched.all_well();
    }

    // A member that hangs on a host that answers is down, and nothing else in between.
    let since = watched.told().len();
    n3.sh("systemctl kill --signal=STOP etcd");
    wait_until("it to be shown as down", Duration::from_secs(30), || {
        watched.health("n3") == Some(false)
    });
    let down = Instant::now();
    wait_until("some rounds to go by", Duration::from_secs(30), || {
        down.elapsed() > Duration::from_secs(12)
    });
    let told = watched.told();
    let health = |glance: &Value| {
        let members = glance["members"].as_array().expect("members").clone();
        let member = members.into_iter().find(|member| member["name"] == "n3").expect("n3");
        member["healthy"].clone()
    };
    let wavering: Vec<_> = told[since..].iter().map(health).filter(Value::is_null).collect();
    assert!(wavering.is_empty(), "{told:#?}");
    n3.sh("systemctl kill --signal=CONT etcd");
    watched.all_well();

    // The operator's own cable: then nobody is known to be well, and nobody is said to be down.
    lab.cut_operator();
    for name in ["n1", "n2", "n3"] {
        watched.until_gone(name);
        assert_eq!(watched.health(name), None);
    }
    lab.mend_operator();
    watched.all_well();

    running.interrupt();
    running.wait().code(130);
}
