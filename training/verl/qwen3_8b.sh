#!/usr/bin/env bash
# The paper's recipe with verl 0.9.1 (as its metadata wants: vllm 0.24.0, torch 2.11, Python < 3.13).
#
# NOT RUN: written from verl's documentation and its own example run_qwen3_8b_fsdp.sh. What is tested
# here is the reward and the layout of the data (tests/training/test_verl.py). The decaying clip
# bound needs a policy loss of one's own in verl and is left out.
#
#   python -m training.verl.prepare --config training/configs/qwen3-8b-full-8gpu.yaml --out verl-data
#   MODEL=/path/to/Qwen3-8B bash training/verl/qwen3_8b.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

python -m verl.trainer.main_ppo \
  algorithm.adv_estimator=grpo \
  algorithm.use_kl_in_reward=False \
  data.train_files="${DATA:-verl-data}/train.parquet" \
  data.val_files="${DATA:-verl-data}/test.parquet" \
  data.train_batch_size=32 \
  data.max_prompt_length=30720 \
  data.max_response_length=2048 \
  data.filter_overlong_prompts=True \
  actor_rollout_ref.model.path="${MODEL:?the folder of Qwen3-8B}" \
  actor_rollout_ref.model.use_remove_padding=True \
  actor_rollout_ref.actor.optim.lr=1e-6 \
  actor_rollout_ref.actor.ppo_mini_batch_size=16 \
  actor_rollout_ref.actor.use_kl_loss=False \
  actor_rollout_ref.actor.use_dynamic_bsz=True \
  actor_rollout_ref.actor.ppo_max_token_len_per_gpu=36864 \
  actor_rollout_ref.rollout.name=vllm \
  actor_rollout_ref.rollout.n=8 \
  actor_rollout_ref.rollout.gpu_memory_utilization=0.5 \
  custom_reward_function.path="$root/training/verl/reward.py" \
  custom_reward_function.name=compute_score \
  trainer.n_gpus_per_node=8 \
  trainer.nnodes="${NODES:-1}" \
  trainer.project_name=agentracer \
  trainer.experiment_name=qwen3-8b-grpo \
  trainer.total_epochs=1
