#!/usr/bin/env bash
# Tests of `--swarm` with real NATS servers: scripts/swarm.sh [KILLS] ends each kind of process KILLS times (2) by SIGKILL.
# The servers are `nats-server` of the path and those that $STEPLADDER_NATS_SERVERS names, divided by colons. All listen on
# loopback, each with a port and a store of its own. Without any server it says so and is no failure.
# scripts/swarm.sh --servers only prints the servers, one a line, and fails where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

IFS=: read -r -a servers <<<"${STEPLADDER_NATS_SERVERS:-}"
# Debian puts it where only root's path leads.
if found=$(PATH=$PATH:/usr/sbin command -v nats-server); then
    servers+=("$found")
fi
if [ "${1:-}" = --servers ]; then
    [ "${#servers[@]}" -gt 0 ] && printf '%s\n' "${servers[@]}"
    exit
fi
if [ "${#servers[@]}" -eq 0 ]; then
    echo "NOT CHECKED: --swarm, since there is no nats-server (apt-get install nats-server, or name some in STEPLADDER_NATS_SERVERS)"
    exit 0
fi
status=0
for server in "${servers[@]}"; do
    "$server" --version
    STEPLADDER_NATS_SERVER=$server SWARM_KILLS=${1:-2} RUST_TEST_THREADS=1 \
        cargo test --locked --features swarm --test swarm </dev/null || status=$?
done
exit "$status"
