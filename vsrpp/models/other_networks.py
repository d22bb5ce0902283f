"""Recognises weight files of well-known networks that VSR++ does not have, by the names of their layers.

The names are those of the authors' code, of BasicSR and of mmagic. Remove a network's line when VSR++ gets it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OtherNetwork:
    """A network of another project."""

    name: str
    layers: tuple[str, ...]
    """Regular expressions; each matches the beginning of a key of its weights."""
    only: bool = False
    """Whether no key of its weights is without a match."""


OTHER_NETWORKS = (
    OtherNetwork("VRT", (r"stage1\.residual_group1\.",)),
    OtherNetwork("RVRT", (r"deform_align\.backward_1\.proj_q\.",)),
    OtherNetwork("RealBasicVSR", (r"image_cleaning\.", r"basicvsr\.")),
    OtherNetwork("IconVSR", (r"edvr\.", r"backward_fusion\.")),
    OtherNetwork("EDVR", (r"pcd_align(ment)?\.",)),
    OtherNetwork("TTVSR", (r"LTAM\.",)),
    OtherNetwork("MIA-VSR", (r"patch_align\.\w+\..*\.predmask\.",)),
    OtherNetwork("IART", (r"implicit_warp\.", r"swin_backbone\.")),
    OtherNetwork("PSRT or a network derived from it", (r"patch_align\.backward_1\.",)),
    OtherNetwork("DUF", (r"dense_block1\.dense_blocks\.", r"conv3d_r1\.")),
    OtherNetwork("TOFlow", (r"spynet\.basic_module\.3\.", r"conv_?1\.weight", r"conv_?4\.weight")),
    OtherNetwork("TDAN", (r"feat_aggregate\.", r"align_1\.")),
    OtherNetwork("RSDN", (r"(.+\.)?SD1\.conv_d1\.",)),
    OtherNetwork("ESRGAN or Real-ESRGAN (RRDBNet)", (r"(RRDB_trunk|body|(model\.)?1\.sub)\.0\.(rdb1|RDB1)\.conv1\.",)),
    OtherNetwork("Real-ESRGAN's compact network (SRVGGNetCompact)", (r"body\.\d+\.(weight|bias)",), only=True),
    OtherNetwork("HAT", (r"layers\.0\.residual_group\.overlap_attn\.",)),
    OtherNetwork("Swin2SR", (r"layers\.0\.residual_group\.blocks\.0\.attn\.logit_scale",)),
    OtherNetwork("SwinIR", (r"layers\.0\.residual_group\.blocks\.0\.attn\.relative_position_bias_table",)),
    OtherNetwork("RCAN", (r"body\.0\.(residual_group\.0\.rcab|body\.0\.body\.3\.conv_du)\.",)),
    OtherNetwork("EDSR", (r"body\.0\.conv1\.", r"conv_after_body\.")),
    OtherNetwork("EDSR", (r"head\.0\.", r"body\.0\.body\.0\.", r"tail\.")),
    OtherNetwork("SRResNet or SRGAN (MSRResNet)", (r"conv_first\.", r"(body|trunk_net)\.0\.conv1\.", r"conv_hr\.")),
    OtherNetwork("RDN", (r"sfe1\.", r"rdbs\.0\.")),
    OtherNetwork("SPAN", (r"block_1\.c1_r\.",)),
    OtherNetwork("ECBSR", (r"backbone\.0\.conv1x1_3x3\.",)),
)  # fmt: skip
"""The first one that matches counts: where one contains the layers of another, it comes first."""


def recognise(keys: Collection[str], ours: Collection[str]) -> str | None:
    """The name of the network that weights with these keys belong to; None if it is not known.

    `ours`: the keys of the network they were meant for. If that has the same layers, its weights are of that kind, too, and
    the answer is None.
    """
    found = _first(keys)
    return None if found is None or found == _first(ours) else found


def _first(keys: Collection[str]) -> str | None:
    return next((other.name for other in OTHER_NETWORKS if _matches(other, keys)), None)


def _matches(other: OtherNetwork, keys: Collection[str]) -> bool:
    layers = [re.compile(layer) for layer in other.layers]
    if other.only and not all(any(layer.match(key) for layer in layers) for key in keys):
        return False
    return bool(keys) and all(any(layer.match(key) for key in keys) for layer in layers)
