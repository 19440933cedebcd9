#!/usr/bin/env bash
# Everything that only a GPU can tell, in one command of under nine minutes on an H100:
#
#     benchmarks/gpu_visit.sh OUT              # the tests marked gpu, both benchmarks, a training of 40,000 steps
#     benchmarks/gpu_visit.sh OUT --rehearse   # the same commands on any machine, with tiny numbers, in a minute
#
# STYLE_TRANSFER_VGG_WEIGHTS names the VGG-19 weights, STYLE_TRANSFER_PHOTOS a folder of photographs, and STYLE the
# painting (default: styles/swirls.jpg), STYLE_FLAGS further flags of its training, such as those that docs/gallery.md
# has for it. OUT receives logs with the tables, pictures and the trained model. A step that fails does
# not keep the others from running; the exit status tells.
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { echo "usage: benchmarks/gpu_visit.sh OUT [--rehearse]" >&2; exit 2; }
: "${STYLE_TRANSFER_VGG_WEIGHTS:?set it to a file of VGG-19 weights}" "${STYLE_TRANSFER_PHOTOS:?set it to a folder of photographs}"
out=$1
mkdir -p "$out"
if [ "${2:-}" = --rehearse ]; then
    rounds=1 sizes="32 64" bench_size=64 compile=
    training=(--total_steps 4 --image_size 64 --monitor_every_steps 2 --overwrite)
else
    rounds=20 sizes="256 512 1024 2048" bench_size=256 compile=--compile
    # Enough passes for 40,000 steps of 4 whatever the number of photographs.
    training=(--total_steps 40000 --num_epochs 1000000 --batch_size 4 --image_size 256 --monitor_every_steps 5000
              --checkpoint_every_steps 0)
fi
status=0
run() {
    echo "== $1"
    local log=$out/$1.log start=$SECONDS
    shift
    "$@" >"$log" 2>&1 || { status=1; echo "   failed, see $log"; }
    tail -n 12 "$log"
    echo "   $((SECONDS - start)) s"
}
python=${PYTHON:-python3}
run tests "$python" -m pytest -q -m gpu
run benchmark_training "$python" -m benchmarks.training --vgg_weights "$STYLE_TRANSFER_VGG_WEIGHTS" \
    --rounds "$rounds" --image_size "$bench_size" $compile
run benchmark_inference "$python" -m benchmarks.inference --rounds "$rounds" --sizes $sizes
run training "$python" begin_training.py --style_image "${STYLE:-styles/swirls.jpg}" \
    --dataset_dir "$STYLE_TRANSFER_PHOTOS" --vgg_weights "$STYLE_TRANSFER_VGG_WEIGHTS" --output_dir "$out" \
    "${training[@]}" ${STYLE_FLAGS:-}
exit $status
