//! What needs several of etcd's minor releases, 3.4 to 3.7, for real. Where a machine cannot build the later ones, `lab/test`
//! leaves these tests out and says so in its last line.

mod air_gapped;
mod down;
mod down_table;
mod patroni;
mod quiet;
mod trial;
mod way_up;
