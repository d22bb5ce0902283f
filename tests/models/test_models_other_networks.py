"""A weight file of a network that VSR++ does not have is refused with its name, and no network of ours is taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.reasons import raises
from vsrpp import models
from vsrpp.models import messages
from vsrpp.models.other_networks import OTHER_NETWORKS, recognise

SMALL: dict[str, Any] = {"scale": 4, "n_feats": 8, "n_blocks": 2}
SWIN = "layers.0.residual_group.blocks.0.attn"
UPSAMPLING = ("conv_hr.weight", "conv_last.weight")
FLOW = tuple(f"spynet.basic_module.{level}.basic_module.0.weight" for level in range(6))

FILES: list[tuple[str, Sequence[str]]] = [
    ("VRT", (*FLOW, "conv_first.weight", "stage1.residual_group1.blocks.0.attn.qkv_self.weight", "stage1.pa_deform.weight")),
    ("RVRT", (*FLOW, "feat_extract.main.0.weight", "backbone.backward_1.main.0.weight", "deform_align.backward_1.proj_q.1.weight",
              "deform_align.backward_1.conv_offset.0.weight")),
    ("RealBasicVSR", ("image_cleaning.0.main.0.weight", "basicvsr.spynet.basic_module.0.basic_module.0.conv.weight",
                      "basicvsr.backward_resblocks.main.0.weight", "basicvsr.fusion.weight")),
    ("IconVSR", (*FLOW, "edvr.conv_first.weight", "edvr.pcd_align.cas_dcnpack.weight", "backward_fusion.weight",
                 "backward_trunk.main.0.weight", *UPSAMPLING)),
    ("IconVSR", (*FLOW, "edvr.pcd_alignment.cas_dcnpack.weight", "backward_fusion.weight", "backward_resblocks.main.0.weight")),
    ("EDVR", ("conv_first.weight", "feature_extraction.0.conv1.weight", "pcd_align.dcn_pack.l3.weight", "fusion.weight",
              "reconstruction.0.conv1.weight", *UPSAMPLING)),
    ("EDVR", ("conv_first.weight", "pcd_alignment.dcn_pack.l3.weight", "fusion.temporal_attn1.weight")),
    ("TTVSR", (*FLOW, "feat_extractor.main.0.weight", "LTAM.fusion.weight", "resblocks.main.0.weight", "fusion.weight")),
    ("MIA-VSR", (*FLOW, f"patch_align.backward_1.{SWIN}.predmask.rnn.weight", f"patch_align.backward_1.{SWIN}.qkv.weight")),
    ("IART", (*FLOW, f"swin_backbone.backward_1.{SWIN}.qkv.weight", "implicit_warp.q.weight")),
    ("PSRT or a network derived from it", (*FLOW, f"patch_align.backward_1.{SWIN}.qkv.weight", "conv_before_upsample.weight")),
    ("DUF", ("conv3d1.weight", "dense_block1.dense_blocks.0.0.weight", "conv3d_r1.weight", "conv3d_f1.weight")),
    ("TOFlow", ("mean", "std", *FLOW[:4], "conv_1.weight", "conv_4.weight")),
    ("TOFlow", (*FLOW[:4], "conv1.weight", "conv4.weight")),
    ("TDAN", ("feat_extract.0.weight", "feat_aggregate.0.weight", "align_1.weight", "align_2.weight", "to_rgb.weight")),
    ("RSDN", ("hidden.SD1.conv_d1.weight", "hidden.conv_hd.weight")),
    ("ESRGAN or Real-ESRGAN (RRDBNet)", ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight", *UPSAMPLING)),
    ("ESRGAN or Real-ESRGAN (RRDBNet)", ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight", "model.10.weight")),
    ("ESRGAN or Real-ESRGAN (RRDBNet)", ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight")),
    ("Real-ESRGAN's compact network (SRVGGNetCompact)", ("body.0.weight", "body.0.bias", "body.1.weight", "body.2.weight")),
    ("HAT", ("relative_position_index_OCA", f"{SWIN}.relative_position_bias_table",
             "layers.0.residual_group.overlap_attn.qkv.weight")),
    ("Swin2SR", (f"{SWIN}.logit_scale", f"{SWIN}.cpb_mlp.0.weight")),
    ("SwinIR", ("conv_first.weight", f"{SWIN}.relative_position_bias_table", f"{SWIN}.qkv.weight")),
    ("RCAN", ("conv_first.weight", "body.0.residual_group.0.rcab.0.weight", "conv_after_body.weight")),
    ("RCAN", ("head.0.weight", "body.0.body.0.body.0.weight", "body.0.body.0.body.3.conv_du.0.weight", "tail.1.weight")),
    ("EDSR", ("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "upsample.0.weight", "conv_last.weight")),
    ("EDSR", ("sub_mean.weight", "head.0.weight", "body.0.body.0.weight", "tail.0.0.weight")),
    ("SRResNet or SRGAN (MSRResNet)", ("conv_first.weight", "body.0.conv1.weight", "upconv1.weight", *UPSAMPLING)),
    ("RDN", ("sfe1.weight", "sfe2.weight", "rdbs.0.layers.0.conv.weight", "gff.0.weight")),
    ("SPAN", ("conv_1.sk.weight", "block_1.c1_r.sk.weight", "conv_cat.weight", "upsampler.0.weight")),
    ("ECBSR", ("backbone.0.conv3x3.weight", "backbone.0.conv1x1_3x3.k0")),
]  # fmt: skip


@pytest.mark.parametrize("container", ["params", "state_dict", None])
@pytest.mark.parametrize(("other", "keys"), FILES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_network_of_a_file_is_named(other: str, keys: Sequence[str], container: str | None, tmp_path: Path) -> None:
    prefix = "generator." if container == "state_dict" else ""
    weights: dict[str, Any] = {prefix + key: torch.zeros(2) for key in keys}
    file = tmp_path / "other.pth"
    torch.save(weights if container is None else {container: weights}, file)
    for network in models.names():
        for partial in (False, True):
            with raises(messages.OTHER_NETWORK, path=file, other=other, networks=" and ".join(models.names())):
                models.load_pretrained(models.build({**SMALL, "network": network}), file, partial=partial)


def test_every_network_of_the_table_has_a_file_here() -> None:
    assert {other.name for other in OTHER_NETWORKS} == {name for name, _ in FILES}


@pytest.mark.parametrize("network", models.names())
@pytest.mark.parametrize("changes", [{}, {"scale": 2}, {"gated_fusion": True}, {"network_version": 2}], ids=str)
def test_no_network_of_ours_is_taken_for_another(network: str, changes: dict[str, Any]) -> None:
    keys = models.build({**SMALL, **changes, "network": network}).state_dict().keys()
    assert recognise(keys, ()) is None


def test_a_misfit_of_our_own_network_is_still_told_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "wide.pth"
    torch.save(models.build({**SMALL, "network": "basicvsr", "n_feats": 16}).state_dict(), file)
    with raises(messages.WEIGHTS_DO_NOT_FIT, path=file):
        models.load_pretrained(models.build({**SMALL, "network": "basicvsr"}), file)


class Rrdb(torch.nn.Module):
    """A plug-in's network with the layers of RRDBNet."""

    def __init__(self, width: int) -> None:
        super().__init__()
        block = torch.nn.ModuleDict({"rdb1": torch.nn.ModuleDict({"conv1": torch.nn.Conv2d(width, width, 1)})})
        self.body = torch.nn.ModuleList([block])


def test_a_plug_in_that_is_such_a_network_is_told_what_does_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "wide.pth"
    torch.save(Rrdb(4).state_dict(), file)
    assert models.load_pretrained(Rrdb(4), file).loaded
    for partial, reason in ((False, messages.WEIGHTS_DO_NOT_FIT), (True, messages.NOTHING_FITS)):
        with raises(reason, path=file):
            models.load_pretrained(Rrdb(2), file, partial=partial)


def test_what_an_other_network_shares_with_ours_can_still_be_loaded(tmp_path: Path) -> None:
    ours = models.build({**SMALL, "network": "basicvsr"})
    shared = {key: value for key, value in ours.state_dict().items() if key.startswith(("spynet.", "conv_"))}
    file = tmp_path / "icon.pth"
    torch.save({**shared, "edvr.conv_first.weight": torch.zeros(2), "backward_fusion.weight": torch.zeros(2)}, file)
    with raises(messages.OTHER_NETWORK, other="IconVSR", hint=messages.LOAD_WHAT_FITS):
        models.load_pretrained(ours, file)
    assert "conv_hr.weight" in models.load_pretrained(ours, file, partial=True).loaded
