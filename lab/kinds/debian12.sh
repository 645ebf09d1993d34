# What most tests run on.
# suite: bookworm
