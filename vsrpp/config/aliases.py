"""Names of our parameters in other projects (BasicSR, mmagic) and in common use, for hints on an unknown name."""

from __future__ import annotations

from collections.abc import Collection

ALIASES: dict[str, str] = {
    **dict.fromkeys(("lr", "learning_rate", "base_lr", "initial_lr", "lr_max"), "max_lr"),
    **dict.fromkeys(("lr_min", "eta_min", "final_lr", "eta_mins"), "min_lr"),
    **dict.fromkeys(
        ("total_iter", "total_iters", "iterations", "iters", "num_iters", "num_iter", "n_iters", "max_iters", "max_iter", "steps",
         "total_steps", "num_steps"),
        "max_steps",
    ),
    **dict.fromkeys(("warmup_iter", "warmup_iters", "warmup"), "warmup_steps"),
    **dict.fromkeys(("gt_size", "patch_size", "crop", "gt_patch_size", "hq_size"), "crop_size"),
    **dict.fromkeys(("num_feat", "mid_channels", "num_features", "channels", "nf"), "n_feats"),
    **dict.fromkeys(("num_block", "num_blocks", "nb", "n_resblocks", "num_res_blocks"), "n_blocks"),
    **dict.fromkeys(("manual_seed", "random_seed"), "seed"),
    **dict.fromkeys(("num_worker_per_gpu", "num_worker", "workers", "n_workers"), "num_workers"),
    **dict.fromkeys(("batch_size_per_gpu", "samples_per_gpu", "bs"), "batch_size"),
    **dict.fromkeys(("dataroot_gt", "dataroot", "gt_folder", "data_root", "dataset"), "data"),
    **dict.fromkeys(("upscale", "upscale_factor", "sf"), "scale"),
    **dict.fromkeys(("num_frame", "n_frames", "num_input_frames", "clip_length"), "num_frames"),
    **dict.fromkeys(("val_freq", "val_interval", "validate_freq"), "validate_every"),
    **dict.fromkeys(("save_checkpoint_freq", "save_freq", "checkpoint_interval"), "checkpoint_every"),
    **dict.fromkeys(("print_freq", "log_interval", "log_freq"), "log_every"),
    **dict.fromkeys(("ema_beta",), "ema_decay"),
    **dict.fromkeys(("grad_clip_norm", "clip_grad", "max_norm", "max_grad_norm", "gradient_clip"), "grad_clip"),
    **dict.fromkeys(("wd",), "weight_decay"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_policy", "lr_config"), "lr_schedule"),
    **dict.fromkeys(("milestones",), "lr_milestones"),
    **dict.fromkeys(("gamma", "lr_decay"), "lr_gamma"),
    **dict.fromkeys(("periods", "restart_periods"), "lr_periods"),
    **dict.fromkeys(("restart_weights",), "lr_restart_weights"),
    **dict.fromkeys(("pct_start",), "lr_peak_at"),
    **dict.fromkeys(("optim_g", "optim", "optimiser", "optimizer_type"), "optimizer"),
    **dict.fromkeys(("betas", "adam_betas"), "beta1"),
    **dict.fromkeys(("pretrain_network_g", "load_from", "weights"), "pretrained"),
    **dict.fromkeys(("use_hflip", "use_flip", "hflip", "vflip", "random_flip"), "flip"),
    **dict.fromkeys(("use_rot", "use_rotation", "rot90", "random_transposition"), "transpose"),
    **dict.fromkeys(("random_reverse", "temporal_reverse"), "reverse_time"),
    **dict.fromkeys(("interval_list", "temporal_interval", "frame_stride"), "frame_interval"),
    **dict.fromkeys(("partial_load",), "pretrained_partial"),
    **dict.fromkeys(("model", "arch", "network_g", "generator"), "network"),
}  # fmt: skip
"""Their name -> ours."""

NOTES = {
    "batch_size": " (the whole batch, of all processes)",
    "beta1": " and beta2",
    "flip": " (left-right and up-down)",
    "frame_interval": " (one number, or several with commas: 1,2,3)",
}
"""Notes on differences despite a similar name."""


def alias_of(name: str, candidates: Collection[str]) -> str | None:
    """Our name for an alias, with a note if necessary; None if it is not among `candidates`."""
    key = ALIASES.get(name.lower().replace("-", "_").rpartition(".")[2], "")
    return f"{key}{NOTES.get(key, '')}" if key in candidates else None
