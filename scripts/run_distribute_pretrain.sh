#!/bin/sh
# Train on several devices of one server:
#   sh scripts/run_distribute_pretrain.sh DEVICE_NUM EPOCH_SIZE DATA_DIR SCHEMA_DIR RANK_TABLE_FILE
#
# One process per device; process i works in LOGi/ and writes env.log and log.txt there. Checkpoints and the run itself are in LOG0/. Waits
# for the end; if one process fails, the others are stopped. DEVICE_TARGET=CPU trains with DEVICE_NUM processes on the CPU, without rank table.
# PYTHON names the interpreter; BERT_THOR_OPTIONS has options for the run, such as "--recipe demo"; ENABLE_LOSSSCALE=true scales the loss.
set -u

if [ $# -ne 5 ] && { [ $# -ne 4 ] || [ "${DEVICE_TARGET:-Ascend}" != CPU ]; }; then
    echo "usage: sh scripts/run_distribute_pretrain.sh DEVICE_NUM EPOCH_SIZE DATA_DIR SCHEMA_DIR RANK_TABLE_FILE" >&2
    exit 2
fi
project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$project/scripts/common.sh"

devices=$(number DEVICE_NUM "$1" 1) || exit 2
epochs=$(number EPOCH_SIZE "$2" 1) || exit 2
data=$(existing DATA_DIR "$3") || exit 2
schema=$(existing SCHEMA_DIR "$4") || exit 2
if [ "${DEVICE_TARGET:-Ascend}" = CPU ]; then
    # MindSpore's own cluster: a scheduler process and the workers find each other at this address.
    MS_SCHED_PORT=${MS_SCHED_PORT:-$("$PYTHON" -m bert_thor.parallel.free_port)}
    export MS_SCHED_HOST=127.0.0.1 MS_SCHED_PORT MS_WORKER_NUM="$devices"
    OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((($(nproc) + devices - 1) / devices))}
    export OMP_NUM_THREADS
else
    RANK_TABLE_FILE=$(existing RANK_TABLE_FILE "$5") || exit 2
    "$PYTHON" -m bert_thor.cli ranktable --check "$RANK_TABLE_FILE" || exit 2
    export RANK_TABLE_FILE HCCL_CONNECT_TIMEOUT="${HCCL_CONNECT_TIMEOUT:-300}"
fi
export RANK_SIZE="$devices"
ulimit -u unlimited 2> /dev/null || true

new_log_folder LOG0 || exit 1
checkpoints=$PWD/LOG0

# train FOLDER: one process; leaves its exit status in FOLDER/status.
train() {
    mkdir -p "$1" && cd "$1" || exit 1
    rm -f status
    env > env.log
    "$PYTHON" "$project/run_pretrain.py" --distribute=true --epoch_size="$epochs" --device_id="$DEVICE_ID" --device_num="$devices" \
        --enable_save_ckpt=true --enable_lossscale="${ENABLE_LOSSSCALE:-false}" --do_shuffle=false --enable_data_sink=true --data_sink_steps=1000 \
        --save_checkpoint_path="$checkpoints" --load_checkpoint_path="" --save_checkpoint_steps=1000 --save_checkpoint_num=30 \
        --train_steps=3000 --data_dir="$data" --schema_dir="$schema" > log.txt 2>&1 &
    child=$!
    trap 'kill $child 2> /dev/null' TERM INT
    wait $child
    status=$?
    kill -0 $child 2> /dev/null && { wait $child; status=$?; }  # a signal ended the first wait, not the child
    echo $status > status
}

pids=
start() {
    (train "$1") &
    pids="$pids $!"
}

if [ "${DEVICE_TARGET:-Ascend}" = CPU ]; then
    export DEVICE_ID=0 MS_ROLE=MS_SCHED
    start LOG_scheduler
    export MS_ROLE=MS_WORKER
fi
rank=0
while [ "$rank" -lt "$devices" ]; do
    export DEVICE_ID="$rank" RANK_ID="$rank" MS_NODE_ID="$rank"
    start "LOG$rank"
    rank=$((rank + 1))
done
echo "$devices processes train; their logs are $PWD/LOG*/log.txt"
trap 'kill $pids 2> /dev/null' TERM INT

# failed: the number of a process that has ended with an error; rather one that failed by itself than one that followed another.
failed() {
    rank=0
    found=
    while [ "$rank" -lt "$devices" ]; do
        if [ -f "LOG$rank/status" ] && [ "$(cat "LOG$rank/status")" != 0 ]; then
            found=$rank
            grep -q ' has failed, so rank ' "LOG$rank/log.txt" || break
        fi
        rank=$((rank + 1))
    done
    [ -n "$found" ] && echo "$found"
}

# running: whether a training process is still there.
running() {
    rank=0
    while [ "$rank" -lt "$devices" ]; do
        [ -f "LOG$rank/status" ] || return 0
        rank=$((rank + 1))
    done
    return 1
}

while running; do
    if failed > /dev/null; then
        sleep 3 # the others notice by themselves and say so in their logs
        break
    fi
    sleep 1
done
if first=$(failed); then
    kill $pids 2> /dev/null
    wait
    echo "error: process $first failed, all were stopped" >&2
    last_words "$PWD/LOG$first/log.txt"
    exit "$(cat "LOG$first/status")"
fi
wait
