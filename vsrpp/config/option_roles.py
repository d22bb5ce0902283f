"""Where BasicSR and mmagic write what VSR++ has parameters for, and why the rest of their options has none: tables only."""

from __future__ import annotations

from vsrpp.config.option_files import BASICSR, MMAGIC

_MM_NET = ("model.generator",)
_MM_TRAIN = ("train_dataloader.dataset", "data.train.dataset", "data.train")
_MM_OPTIMIZER = ("optim_wrapper.optimizer", "optim_wrapper.generator.optimizer", "optimizers.generator", "optimizer")
_MM_SCHEDULER = ("param_scheduler", "lr_config")


def _in(blocks: tuple[str, ...], *names: str) -> tuple[str, ...]:
    return tuple(f"{block}.{name}" for block in blocks for name in names)


ROLES: dict[str, dict[str, tuple[str, ...]]] = {
    BASICSR: {
        "name": ("name",), "seed": ("manual_seed",), "scale": ("scale",), "gpus": ("num_gpu",),
        "network": ("network_g.type",), "n_feats": ("network_g.num_feat", "network_g.mid_channels"),
        "n_blocks": ("network_g.num_block", "network_g.num_blocks"),
        "flow_weights": ("network_g.spynet_path",), "weights": ("path.pretrain_network_g", "path.pretrain_model_g"),
        "strict": ("path.strict_load_g",),
        "dataset": ("datasets.train.type",), "gt": ("datasets.train.dataroot_gt",), "lq": ("datasets.train.dataroot_lq",),
        "val_gt": ("datasets.val.dataroot_gt",), "val_lq": ("datasets.val.dataroot_lq",),
        "num_frames": ("datasets.train.num_frame",), "crop_size": ("datasets.train.gt_size",),
        "frame_interval": ("datasets.train.interval_list",), "reverse_time": ("datasets.train.random_reverse",),
        "flip": ("datasets.train.use_hflip", "datasets.train.use_flip"), "transpose": ("datasets.train.use_rot",),
        "mirror": ("datasets.train.flip_sequence",),
        "num_workers": ("datasets.train.num_worker_per_gpu",), "batch_size": ("datasets.train.batch_size_per_gpu",),
        "max_steps": ("train.total_iter",), "warmup": ("train.warmup_iter",),
        "optimizer": ("train.optim_g.type",), "lr": ("train.optim_g.lr",), "betas": ("train.optim_g.betas",),
        "weight_decay": ("train.optim_g.weight_decay",), "ema_decay": ("train.ema_decay",),
        "flow_freeze": ("train.fix_flow", "train.fix_iter"), "flow_lr": ("train.flow_lr_mul",),
        "scheduler": ("train.scheduler",), "pixel_loss": ("train.pixel_opt",), "perceptual": ("train.perceptual_opt",),
        "validate_every": ("val.val_freq",), "checkpoint_every": ("logger.save_checkpoint_freq",),
        "log_every": ("logger.print_freq",),
    },
    MMAGIC: {
        "name": ("experiment_name", "exp_name"), "seed": ("randomness.seed",), "scale": ("scale",),
        "network": _in(_MM_NET, "type"), "n_feats": _in(_MM_NET, "mid_channels"), "n_blocks": _in(_MM_NET, "num_blocks"),
        "flow_weights": _in(_MM_NET, "spynet_pretrained"), "weights": ("load_from",),
        "dataset": _in(_MM_TRAIN, "metainfo.dataset_type", "type"),
        "data_root": _in(_MM_TRAIN, "data_root"), "gt": _in(_MM_TRAIN, "data_prefix.gt", "gt_folder"),
        "lq": _in(_MM_TRAIN, "data_prefix.img", "lq_folder"),
        "val_root": ("val_dataloader.dataset.data_root",),
        "val_gt": ("val_dataloader.dataset.data_prefix.gt", "data.val.gt_folder"),
        "val_lq": ("val_dataloader.dataset.data_prefix.img", "data.val.lq_folder"),
        "num_frames": _in(_MM_TRAIN, "num_input_frames", "fixed_seq_len"), "pipeline": _in(_MM_TRAIN, "pipeline"),
        "num_workers": ("train_dataloader.num_workers", "data.workers_per_gpu"),
        "batch_size": ("train_dataloader.batch_size", "data.train_dataloader.samples_per_gpu", "data.samples_per_gpu"),
        "max_steps": ("train_cfg.max_iters", "total_iters"),
        "optimizer": _in(_MM_OPTIMIZER, "type"), "lr": _in(_MM_OPTIMIZER, "lr"), "betas": _in(_MM_OPTIMIZER, "betas"),
        "weight_decay": _in(_MM_OPTIMIZER, "weight_decay"), "amp": ("optim_wrapper.type",),
        "accumulate": ("optim_wrapper.accumulative_counts",), "grad_clip": ("optim_wrapper.clip_grad.max_norm",),
        "flow_freeze": ("model.train_cfg.fix_iter", "train_cfg.fix_iter"),
        "flow_lr": _in(("optim_wrapper", *_MM_OPTIMIZER), "paramwise_cfg.custom_keys.spynet.lr_mult"),
        "scheduler": _MM_SCHEDULER, "hooks": ("custom_hooks",),
        "pixel_loss": ("model.pixel_loss",), "perceptual": ("model.perceptual_loss",),
        "validate_every": ("train_cfg.val_interval", "evaluation.interval"),
        "checkpoint_every": ("default_hooks.checkpoint.interval", "checkpoint_config.interval"),
        "keep_last": ("default_hooks.checkpoint.max_keep_ckpts",),
        "log_every": ("default_hooks.logger.interval", "log_config.interval"),
    },
}  # fmt: skip
"""What an option means -> where each project writes it; the first place that is there counts."""

NETWORKS = {
    "BasicVSR": "basicvsr", "BasicVSRNet": "basicvsr", "BasicVSRPlusPlus": "basicvsrpp", "BasicVSRPlusPlusNet": "basicvsrpp",
}  # fmt: skip
"""Their networks -> ours; only those of the run config's choices are used."""
NETWORK_DEFAULTS = {
    "BasicVSR": {"n_feats": 64, "n_blocks": 15}, "BasicVSRNet": {"n_feats": 64, "n_blocks": 30},
    "BasicVSRPlusPlus": {"n_feats": 64, "n_blocks": 7}, "BasicVSRPlusPlusNet": {"n_feats": 64, "n_blocks": 7},
}  # fmt: skip
"""What their code takes if the option file does not say."""
OPTIMIZERS = {"Adam": "adam", "AdamW": "adamw", "NAdam": "nadam", "RAdam": "radam"}
PIXEL_LOSSES = {"L1Loss": "l1", "CharbonnierLoss": "charbonnier"}
DEGRADATIONS = {"BIX4": "bicubic", "X4": "bicubic", "BDX4": "bd"}
"""The last folder of the small frames, in capitals -> ours."""

_GAN = "there is no adversarial training: no discriminator, no GAN loss"
_DRAWN = "samples are drawn step by step, from all clips, in an order that depends on the seed alone"
_METRICS = "a validation always measures PSNR and SSIM in Y, and more; `vsrpp evaluate` prints both in RGB, too"
_RECORD = "every run has its own folder, TensorBoard files and an MLflow run"
_SPREAD = "processes are started by `vsrpp train --devices N` (docs/scaling.md)"
_CLIPS = "the clips are found in the folder, or in the dataset's own lists beside them"
_SYNTHETIC = "the parameters of degradations are fixed; degradation: realistic draws blur, resizing, noise and JPEG"
_OF_NETWORK = "the networks here have no such option"
_RUNTIME = "part of that project's runtime"

REASONS: tuple[tuple[str, str], ...] = (
    ("model_type", "the training loop is one for all networks"),
    ("model.type", "the training loop is one for all networks"),
    ("network_d.*", _GAN), ("model.discriminator.*", _GAN), ("train.optim_d.*", _GAN), ("train.gan_opt.*", _GAN),
    ("model.gan_loss.*", _GAN), ("optim_wrapper.discriminator.*", _GAN), ("optimizers.discriminator.*", _GAN),
    ("train.net_d_*", _GAN), ("path.pretrain_network_d", _GAN), ("path.strict_load_d", _GAN), ("path.*_d", _GAN),
    ("model.cleaning_loss.*", "there is no network with an image-cleaning part"),
    ("model.is_use_sharpened*", "the ground truth is used as it is"),
    ("*.is_use_ema", "said by ema_decay"),
    ("model.data_preprocessor.*", "frames are in [0, 1] everywhere"),
    ("*.param_key*", "averaged weights (params_ema) are preferred by themselves"),
    ("path.resume_state", "another project's training state cannot be continued; start from its weights: pretrained"),
    ("resume*", "another project's training state cannot be continued; start from its weights: pretrained"),
    ("datasets.*.meta_info_file", _CLIPS), ("*.ann_file", _CLIPS), ("*.load_frames_list*", _CLIPS), ("*.depth", _CLIPS),
    ("*.metainfo.*", _CLIPS), ("*.filename_tmpl", _CLIPS),
    ("*.io_backend.*", "frames are read from folders and videos, cached once (reading: cache); LMDB is not read"),
    ("*.val_partition", "REDS4 validates, as in val_partition: REDS4; the official partition cannot be chosen"),
    ("*.dataset_enlarge_ratio", _DRAWN), ("*.use_shuffle", _DRAWN), ("*.sampler.*", _DRAWN), ("*.times", _DRAWN),
    ("*.persistent_workers", _DRAWN), ("*.prefetch_mode", _DRAWN), ("*.drop_last", _DRAWN),
    ("*.test_mode", "what trains and what validates follows from the data"), ("*.scale", "said by scale"),
    ("datasets.*.name", "a label"),
    ("datasets.train.*", _SYNTHETIC), ("degradations.*", _SYNTHETIC),
    ("datasets.*", "validation reads whole clips of val_data"), ("val_dataloader.*", "validation reads whole clips of val_data"),
    ("data.val*", "validation reads whole clips of val_data"), ("data.test*", "testing is `vsrpp evaluate`"),
    ("test_*", "testing is `vsrpp evaluate`"),
    ("train.manual_seed", "said by seed"), ("train.*_opt.*", "there is no such loss; the terms are l1, ms, grad and perceptual"),
    ("model.*_loss.*", "there is no such loss; the terms are l1, ms, grad and perceptual"),
    ("network_g.*", _OF_NETWORK), ("model.generator.*", _OF_NETWORK), ("model.*", "that project's training loop"),
    ("val.metrics.*", _METRICS), ("val_evaluator*", _METRICS), ("test_evaluator*", _METRICS), ("evaluation.*", _METRICS),
    ("val.*", "a validation always runs with the averaged weights and saves figures and example frames"),
    ("val_cfg.*", _METRICS),
    ("logger.*", _RECORD), ("work_dir", _RECORD), ("save_dir", _RECORD), ("vis_backends", _RECORD), ("visual*", _RECORD),
    ("log_*", _RECORD), ("default_hooks.*", _RECORD), ("checkpoint_config.*", _RECORD), ("custom_hooks*", _RECORD),
    ("path.*", _RECORD),
    ("dist_params.*", _SPREAD), ("env_cfg.*", _SPREAD), ("model_wrapper_cfg.*", _SPREAD), ("find_unused_parameters", _SPREAD),
    ("use_static_graph", _SPREAD), ("launcher", _SPREAD),
    ("train.tsa_iter", _OF_NETWORK), ("train.dcn_lr_mul", _OF_NETWORK),
    ("train.lr_flow", "set flow_lr_ratio to this, divided by the rate of the rest"),
    ("*_gt_usm", "the ground truth is used as it is"), ("queue_size", _DRAWN), ("gt_size", "said by the dataset"),
    ("*_prob*", _SYNTHETIC), ("*_range*", _SYNTHETIC),
    ("default_scope", _RUNTIME), ("workflow", _RUNTIME), ("log_level", _RUNTIME), ("*_cfg.type", _RUNTIME),
    ("*.constructor", _RUNTIME), ("*.by_epoch", "everything is counted in steps"),
    ("train.optim_g.*", "the optimizers have no such option"), ("optim*", "the optimizers have no such option"),
    ("train_dataloader.*", _DRAWN), ("data.*", _DRAWN),
)  # fmt: skip
"""Pattern of a dotted key (`fnmatch`) -> why it has no counterpart; the first that matches counts."""

PIPELINE_REASONS = {
    "UnsharpMasking": "the ground truth is used as it is",
    "RandomVideoCompression": "no degradation encodes video",
}
"""Steps of a data pipeline with a reason of their own."""
PIPELINE_ALIKE = frozenset(
    {"LoadImageFromFile", "LoadImageFromFileList", "SetValues", "PackEditInputs", "PackInputs", "ToTensor", "FramesToTensor",
     "Collect", "RescaleToZeroOne", "Clip", "CopyValues", "Quantize", "Normalize"}
)  # fmt: skip
"""Steps that reading data always contains."""
HELPERS = ("*_pipeline", "*file_list", "*data_root", "*_dataset_type", "*_dataloader", "*_evaluator", "*_url")
"""Variables at the top of a Python config whose values are used elsewhere in it."""
NO_HELPERS = frozenset({"train_dataloader", "val_dataloader", "val_evaluator"})
