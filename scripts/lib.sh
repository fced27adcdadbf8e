# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this read the variables
# Functions the scripts share. Sourcing it does nothing but set variables and functions.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN_DIR=$ROOT/.run
# What the scripts make lies here, wherever cargo puts its own files.
OUT_DIR=$ROOT/target
CARGO_OUT_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
SELENA_DOCKER_SOCKET=${SELENA_DOCKER_SOCKET:-/var/run/docker.sock}
export SELENA_DOCKER_SOCKET
# Daemons and mkfs lie where plain users do not look; rustup does not change the PATH of a running shell.
PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin

say() { printf '==> %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        fail "this needs root: $*"
    fi
}

# Docker's client, on our socket, as root where the socket is not ours to write.
engine() {
    if [ -w "$SELENA_DOCKER_SOCKET" ]; then
        docker -H "unix://$SELENA_DOCKER_SOCKET" "$@"
    else
        as_root docker -H "unix://$SELENA_DOCKER_SOCKET" "$@"
    fi
}

engine_answers() { engine version >/dev/null 2>&1; }

# wait_for SECONDS COMMAND...: polls until the command succeeds; fails after the deadline.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_source_lines SUITE: lines of apt's sources for it, from the host's own mirrors. An Ubuntu host has none of
# Debian's: it gets no line, and mmdebstrap then uses the mirror built into it. SELENA_DEBIAN_MIRROR names another one.
debian_source_lines() {
    if [ -n "${SELENA_DEBIAN_MIRROR:-}" ]; then
        echo "deb $SELENA_DEBIAN_MIRROR $1 main"
        return
    fi
    # shellcheck disable=SC2016 # these are apt's own variables
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
        while read -r label uri; do
            case $label in
            Debian) echo "deb $uri $1 main" ;;
            Debian-Security) echo "deb $uri $1-security main" ;;
            esac
        done
}

# mmdebstrap's apt does not read the host's configuration, but must take the same way out.
apt_proxy_options() {
    local proxy
    proxy=$(apt-config --format '%v' dump Acquire::http::Proxy)
    [ -z "$proxy" ] || echo "--aptopt=Acquire::http::Proxy \"$proxy\""
}

# Tools of cargo's that the checkout keeps for itself.
TOOLS=$OUT_DIR/tools

# install_cargo_tool NAME VERSION: does nothing if that version is there.
install_cargo_tool() {
    grep -qs "^\"$1 $2 " "$TOOLS/.crates.toml" && return 0
    CARGO_TARGET_DIR=$TOOLS/build cargo install --quiet --locked --root "$TOOLS" "$1@$2"
    rm -rf "$TOOLS/build"
}

# one_at_a_time NAME: the rest of this script waits for another run of it.
one_at_a_time() {
    mkdir -p "$OUT_DIR"
    exec 9>"$OUT_DIR/$1.lock"
    flock 9
}

host_triple() { rustc -vV | sed -n 's/^host: //p'; }

# The development hub that scripts/run starts and scripts/stop ends.
# Its containers have a prefix: those that the hub of another checkout left are not this one's to remove.
NAME_PREFIX=dev-$(cksum <<<"$ROOT" | cut -d' ' -f1)-
HUB_DATA=$RUN_DIR/hub
HUB_LOG=$RUN_DIR/hub.log
HUB_PID_FILE=$RUN_DIR/hub.pid

hub_pid() { cat "$HUB_PID_FILE" 2>/dev/null; }

# The name guards against another process that got the number after a reboot.
hub_lives() { [ "$(cat "/proc/$(hub_pid)/comm" 2>/dev/null)" = selenad ]; }

hub_is_gone() { ! hub_lives; }
