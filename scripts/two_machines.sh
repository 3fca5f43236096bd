#!/usr/bin/env bash
# Runs a training on two machines, which are network namespaces of this one, joined by a cable. They share its disk.
#   scripts/two_machines.sh -m desert_seg_train.cli train --config config/smoke.yaml --sources FOLDER falcon7 1 --out runs/two
# What follows the name is for torchrun. Needs root, or a kernel that lets a user make namespaces; then nothing else.
set -euo pipefail
if [ "${1:-}" != --inside ]; then
    exec unshare --map-root-user --net --mount "$0" --inside "$@"
fi
shift
python=${PYTHON:-python3}

# This shell is on the first machine; the second is there as long as a process is.
unshare --net sleep infinity &
second=$!
trap 'kill "$second"' EXIT
until [ "$(readlink "/proc/$second/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
there() { nsenter --target "$second" --net "$@"; }
ip link add cable type veth peer name cable netns "$second"
ip address add 10.0.0.1/24 dev cable
there ip address add 10.0.0.2/24 dev cable
for device in lo cable; do
    ip link set "$device" up
    there ip link set "$device" up
done

mount --bind /dev/null /etc/resolv.conf # nobody is there to be asked for names, and asking takes long to fail
export GLOO_SOCKET_IFNAME=cable
torchrun=("$python" -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --master-addr 10.0.0.1 --master-port 29500)
there "${torchrun[@]}" --node-rank 1 "$@" &
other=$!
"${torchrun[@]}" --node-rank 0 "$@"
wait "$other"
