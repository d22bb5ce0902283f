"""Option files of BasicSR and mmagic: every option maps, differs or has no counterpart, and the config is one that starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.reasons import raises
from vsrpp import config
from vsrpp.config import messages
from vsrpp.config.importing import Imported, import_options

BASICSR = """\
name: "it's: #1 📼"
model_type: VideoRecurrentModel
scale: 4
num_gpu: 2
manual_seed: 10
datasets:
  train: &train
    name: REDS
    type: REDSRecurrentDataset
    dataroot_gt: /data/REDS/train_sharp
    dataroot_lq: /data/REDS/train_sharp_bicubic/X4
    val_partition: REDS4
    io_backend: {type: disk}
    num_frame: 15
    gt_size: 256
    interval_list: [1, 2]
    random_reverse: false
    use_hflip: true
    use_rot: true
    num_worker_per_gpu: 6
    batch_size_per_gpu: 4
    prefetch_mode: ~
  val: {name: REDS4, dataroot_gt: /data/REDS4/GT, dataroot_lq: /data/REDS4/sharp_bicubic, num_frame: -1}
network_g: {type: BasicVSR, num_feat: 64, num_block: 30, spynet_path: spynet.pth}
path: {pretrain_network_g: ~, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: !!float 2e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: CosineAnnealingRestartLR, periods: [300000], restart_weights: [1], eta_min: !!float 1e-7}
  total_iter: 3e5
  warmup_iter: -1
  fix_flow: 5000
  flow_lr_mul: 0.125
  pixel_opt: {type: CharbonnierLoss, loss_weight: 1.0, reduction: mean}
val: {val_freq: !!float 5e3, save_img: false, metrics: {psnr: {type: calculate_psnr, test_y_channel: false}}}
logger: {print_freq: 100, save_checkpoint_freq: !!float 5e3, use_tb_logger: true}
dist_params: {backend: nccl}
find_unused_parameters: true
made_up: 3
"""

RUNTIME = """\
default_scope = 'mmagic'
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=100),
    checkpoint=dict(type='CheckpointHook', interval=5000, max_keep_ckpts=7))
load_from = None
"""

MMAGIC = """\
_base_ = ['runtime.py', 'missing.py']
experiment_name = 'mine'
work_dir = f'./work_dirs/{experiment_name}'
scale = 4
model = dict(
    type='BasicVSR',
    generator=dict(type='BasicVSRNet', mid_channels=64, num_blocks=30, spynet_pretrained='https://example.com/' 'spynet.pth'),
    pixel_loss=dict(type='CharbonnierLoss', loss_weight=0.5, reduction='sum'),
    gan_loss=dict(type='GANLoss', loss_weight=5e-2),
    train_cfg=dict(fix_iter=5000),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0., 0., 0.]))
train_pipeline = [
    dict(type='LoadImageFromFile', key='img'),
    dict(type='SetValues', dictionary=dict(scale=scale)),
    dict(type='PairedRandomCrop', gt_patch_size=64 * scale),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='MirrorSequence', keys=['img', 'gt']),
]
root = 'data'
train_dataloader = dict(num_workers=6, batch_size=4, dataset=dict(
    type='BasicFramesDataset', metainfo=dict(dataset_type='vimeo90k_seq'), data_root=f'{root}/vimeo',
    data_prefix=dict(img='BDx4', gt='GT'), fixed_seq_len=7, pipeline=train_pipeline))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=300_000, val_interval=5000)
optim_wrapper = dict(
    type='AmpOptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.9, 0.99)), accumulative_counts=2,
    clip_grad=dict(max_norm=1.5), paramwise_cfg=dict(custom_keys={'spynet': dict(lr_mult=0.25)}))
param_scheduler = [dict(type='MultiStepLR', milestones=[100000, 200000], gamma=0.5, by_epoch=False)]
custom_hooks = [dict(type='ExponentialMovingAverageHook', interp_cfg=dict(momentum=0.001)), dict(type='Other')]
secret = open('/etc/passwd').read()
"""


def imported(folder: Path, name: str, text: str, **changes: Any) -> tuple[Imported, dict[str, Any]]:
    """An option file's import, and the configs that a run starts with from the file it writes."""
    (folder / name).write_text(text, encoding="utf-8")
    result = import_options(folder / name, **changes)
    written = folder / "written.yaml"
    written.write_text(result.text(), encoding="utf-8")
    run_config, live = config.resolve(None, written, {})
    values = {**run_config, **live}
    assert {key: values[key] for key in result.config} == result.config
    return result, values


def test_an_option_file_of_basicsr_becomes_the_config_of_the_recipe(tmp_path: Path) -> None:
    _, values = imported(tmp_path, "reds.yml", BASICSR)
    recipe = {**(both := config.resolve(None, config.config_file("basicvsr_reds"), {}))[0], **both[1]}
    different = {key for key in values if values[key] != recipe[key]}
    assert different == {
        "name", "seed", "data", "decode_cache_gib", "pretrained", "frame_interval", "reverse_time", "num_workers", "optimizer",
    }  # fmt: skip
    assert (values["data"], values["pretrained"], values["frame_interval"]) == ("/data/REDS", "spynet.pth", "1, 2")
    assert values["name"] == "it's: #1 📼"
    assert values["batch_size"] == 8


def test_every_option_of_a_file_is_told_once(tmp_path: Path) -> None:
    result, _ = imported(tmp_path, "reds.yml", BASICSR)
    options = [row.theirs for row in result.rows if row.place]
    assert len(options) == len(set(options))
    assert {"made_up", "datasets.train.prefetch_mode", "datasets.val.num_frame", "path.resume_state"} <= set(options)
    assert [row.theirs for row in result.rows if row.note == "unknown to this import"] == ["made_up"]
    assert all(row.note for row in result.of("none") + result.of("differs"))


def test_each_line_of_the_config_says_where_it_came_from(tmp_path: Path) -> None:
    result, _ = imported(tmp_path, "reds.yml", BASICSR)
    lines = [line for line in result.text().splitlines() if line and not line.startswith(("#", "preset"))]
    assert all("  # reds.yml:" in line or "  # not set: " in line for line in lines)
    assert any(line.startswith("max_lr: 0.0002") and "reds.yml:28 train.optim_g.lr" in line for line in lines)


def test_a_python_config_is_read_with_its_bases_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "runtime.py").write_text(RUNTIME)
    result, values = imported(tmp_path, "mine_2xb4_vimeo.py", MMAGIC)
    expected = {
        "name": "mine", "network": "basicvsr", "n_feats": 64, "n_blocks": 30, "data": "data/vimeo", "degradation": "bd",
        "num_frames": 14, "crop_size": 256, "flip": True, "transpose": False, "reverse_time": False,
        "batch_size": 16, "accumulate": 2, "num_workers": 6, "max_steps": 300000, "max_lr": 2e-4, "beta2": 0.99,
        "precision": "fp16", "grad_clip": 1.5, "lr_schedule": "multi_step", "lr_milestones": "100000, 200000", "lr_gamma": 0.5,
        "flow_lr_ratio": 0.25, "flow_freeze_steps": 5000, "ema_decay": 0.999, "pixel_loss": "charbonnier", "l1_weight": 1.0,
        "ms_weight": 0.0, "validate_every": 5000, "checkpoint_every": 5000, "keep_last": 7, "log_every": 100, "adaptive": False,
        "pretrained": None,
    }  # fmt: skip
    assert {key: values[key] for key in expected} == expected
    assert result.bases == ["runtime.py"]
    assert [line.split(":")[1] for line in result.not_read] == ["1", "30"]
    none = {row.theirs: row.note for row in result.of("none")}
    assert "download" in none["model.generator.spynet_pretrained"]
    assert "adversarial" in none["model.gan_loss.loss_weight"]
    assert "custom_hooks.Other" in none
    assert "secret" not in result.text()


@pytest.mark.parametrize(
    ("gpus", "name", "batch"), [(None, "my_8xb4.py", 64), (3, "my_8xb4.py", 24), (None, "my.py", 8)]
)
def test_the_batch_counts_all_gpus(gpus: int | None, name: str, batch: int, tmp_path: Path) -> None:
    assert imported(tmp_path, name, MMAGIC, gpus=gpus)[1]["batch_size"] == batch


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("periods: [300000], restart_weights: [1]", "periods: [100000, 200000], restart_weights: [1, 0.5]",
         {"lr_schedule": "cosine_restarts", "lr_periods": "100000, 200000", "lr_restart_weights": "1, 0.5"}),
        ("eta_min: !!float 1e-7", "eta_min: 0", {"min_lr": 1e-8}),
        ("CosineAnnealingRestartLR", "WarpLR", {"lr_schedule": "cosine"}),
        ("warmup_iter: -1", "warmup_iter: 500", {"warmup_steps": 500}),
        ("  ema_decay: 0.999\n", "", {"ema_decay": 0.0}),
        ("strict_load_g: true", "strict_load_g: false", {"pretrained_partial": True}),
        ("use_rot: true", "use_rot: false", {"flip": True, "transpose": False}),
        ("type: BasicVSR,", "type: IconVSR,", {"network": "vsrpp", "pretrained": None}),
        ("type: Adam,", "type: Lion,", {"optimizer": "adamw"}),
        ("lr: !!float 2e-4", "lr: 1", {"max_lr": 1.5e-4}),
        ("gt_size: 256", "gt_size: nothing", {"crop_size": 256}),
        ("dataroot_gt: /data/REDS/train_sharp", "dataroot_gt: '/a b/HR'", {"data": "/a b/HR"}),
        ("CharbonnierLoss", "MSELoss", {"pixel_loss": "l1"}),
        ("num_gpu: 2", "num_gpu: 0", {"device": "cpu", "batch_size": 4}),
        ("*none", "", {}),
    ],
)  # fmt: skip
def test_what_maps_and_what_is_not_possible_here(old: str, new: str, expected: dict[str, Any], tmp_path: Path) -> None:
    result, values = imported(tmp_path, "reds.yml", BASICSR.replace(old, new))
    assert {key: values[key] for key in expected} == expected
    assert all(row.note for row in result.of("none"))


def test_a_value_out_of_range_is_told_with_the_refusal(tmp_path: Path) -> None:
    result, _ = imported(tmp_path, "reds.yml", BASICSR.replace("lr: !!float 2e-4", "lr: 1"))
    (row,) = [row for row in result.rows if row.theirs == "train.optim_g.lr"]
    assert row.fate == "none"
    assert "max_lr = 1 refused: must be between 1e-05 and 0.001" in row.note


def test_pairs_of_frames_become_a_data_block(tmp_path: Path) -> None:
    text = BASICSR.replace("/data/REDS/train_sharp_bicubic/X4", "/mine/LR").replace(
        "/data/REDS/train_sharp", "/mine/HR"
    )
    _, values = imported(tmp_path, "mine.yml", text.replace("REDSRecurrentDataset", "MyDataset"))
    assert values["data"] == {"train": [{"path": "/mine/HR", "lq": "/mine/LR"}]}
    assert values["val_data"] == "/data/REDS4"


def test_a_tag_of_python_in_yaml_is_not_followed(tmp_path: Path) -> None:
    text = BASICSR.replace("made_up: 3", "made_up: !!python/object/apply:os.mkdir ['made']")
    result, _ = imported(tmp_path, "reds.yml", text)
    assert [row.value for row in result.rows if row.theirs == "made_up"] == [["made"]]
    assert not Path("made").exists()


BOMB = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else 1}]\n" for n in range(12))
PYTHON_BOMB = "".join(f"x{n} = dict(a={f'x{n - 1}' if n else 1}, b={f'x{n - 1}' if n else 1})\n" for n in range(40))
HOSTILE: list[tuple[str, str]] = [
    ("bomb.yml", BASICSR + BOMB), ("bomb.py", MMAGIC + PYTHON_BOMB), ("cycle.yml", BASICSR + "a: &a [*a]\n"),
    ("deep.py", MMAGIC + "x = " + "[" * 150 + "]" * 150 + "\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_a_hostile_file_is_refused_or_read_in_little_time(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    try:
        import_options(tmp_path / name)
    except messages.FILE_SYNTAX.error as error:
        assert len(str(error)) < 400 + len(str(tmp_path))


def test_bases_that_lead_in_a_ring_end(tmp_path: Path) -> None:
    (tmp_path / "runtime.py").write_text("_base_ = 'mine.py'\nresume = False\n")
    result, _ = imported(tmp_path, "mine.py", MMAGIC)
    assert any("leads back to itself" in line for line in result.not_read)


def test_a_new_style_config_is_read_with_its_bases(tmp_path: Path) -> None:
    (tmp_path / "runtime.py").write_text(RUNTIME)
    lazy = MMAGIC.replace(
        "_base_ = ['runtime.py', 'missing.py']", "with read_base():\n    from .runtime import *"
    ).replace("type='BasicVSRNet'", "type=BasicVSRNet")
    result, values = imported(tmp_path, "mine.py", "from mmagic.models import BasicVSRNet\n" + lazy)
    assert result.bases == ["runtime.py"]
    assert (values["network"], values["keep_last"]) == ("basicvsr", 7)


@pytest.mark.parametrize(("name", "text"), [("x.yml", BASICSR + "a: [1\n"), ("x.py", MMAGIC + "a = [1\n")])
def test_a_mistake_in_an_option_file_is_told(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with raises(messages.FILE_SYNTAX, file=str(tmp_path / name)) as refused:
        import_options(tmp_path / name)
    assert "line " in str(refused.value)


@pytest.mark.parametrize("text", ["max_lr: 2e-4\n", "- 1\n", "x = 1\n", "{{", ""])
def test_what_is_no_option_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text(text)
    with raises(messages.NO_OPTION_FILE, file=str(tmp_path / "other")):
        import_options(tmp_path / "other")
    with raises(messages.NO_CONFIG_FILE):
        import_options(tmp_path / "none")
    with raises(messages.FILE_FOLDER):
        import_options(tmp_path)
