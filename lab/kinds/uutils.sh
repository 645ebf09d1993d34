# coreutils and sudo in Rust, as Ubuntu ships them from 25.10 on.
# suite: sid
# packages: rust-coreutils,sudo-rs
for program in /usr/lib/cargo/bin/coreutils/*; do
    ln -sf "$program" "/usr/bin/${program##*/}"
done
date --version | grep -q uutils
ln -sf /usr/bin/sudo-rs /usr/bin/sudo
sudo --version | grep -q sudo-rs
