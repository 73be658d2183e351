#!/bin/sh
# Train on one device: sh scripts/run_standalone_pretrain.sh DEVICE_ID EPOCH_SIZE DATA_DIR SCHEMA_DIR
#
# Writes LOG/: env.log, log.txt, checkpoint_bert-*.ckpt and the run itself. DEVICE_TARGET=CPU trains on the CPU, where DEVICE_ID has no meaning.
# PYTHON names the interpreter; BERT_THOR_OPTIONS has options for the run, such as "--recipe demo"; ENABLE_LOSSSCALE=true scales the loss.
set -u

if [ $# -ne 4 ]; then
    echo "usage: sh scripts/run_standalone_pretrain.sh DEVICE_ID EPOCH_SIZE DATA_DIR SCHEMA_DIR" >&2
    exit 2
fi
project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$project/scripts/common.sh"

device=$(number DEVICE_ID "$1" 0) || exit 2
epochs=$(number EPOCH_SIZE "$2" 1) || exit 2
data=$(existing DATA_DIR "$3") || exit 2
schema=$(existing SCHEMA_DIR "$4") || exit 2
new_log_folder LOG || exit 1

export DEVICE_ID="$device"
cd LOG || exit 1
env > env.log
"$PYTHON" "$project/run_pretrain.py" --distribute=false --epoch_size="$epochs" --device_id="$device" \
    --enable_save_ckpt=true --enable_lossscale="${ENABLE_LOSSSCALE:-false}" --do_shuffle=true --enable_data_sink=true --data_sink_steps=100 \
    --save_checkpoint_path="$PWD" --load_checkpoint_path="" --save_checkpoint_steps=5000 --save_checkpoint_num=20 \
    --train_steps=-1 --data_dir="$data" --schema_dir="$schema" > log.txt 2>&1
status=$?
[ $status -eq 0 ] || last_words "$PWD/log.txt"
exit $status
