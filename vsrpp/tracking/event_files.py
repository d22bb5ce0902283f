"""TensorBoard's event files, written with TensorBoard's own protocol buffers and its own file writer.

tensorboardX is not used: importing it imports torch if that is installed (3.1 s, in a process that does not need it).
TensorBoard's writer takes 0.5 s, imports neither torch nor TensorFlow, and TensorBoard's reader is tested against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, histogram_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class EventFiles:
    """One folder of event files, appended to. Times are seconds since 1970."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)  # not the run folder, if that was moved
        self._writer = EventFileWriter(str(folder), max_queue_size=1000, flush_secs=3600)

    def flush(self) -> None:
        """When this returns, all data has been passed to the operating system."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def scalars(self, values: Mapping[str, float], step: int, at: float) -> None:
        """All values of one step as one record, because the cost is per record."""
        summary = summary_pb2.Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=value)
        self._add(summary, step, at)

    def text(self, tag: str, markdown: str, step: int, at: float) -> None:
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING,
            string_val=[markdown.encode()],
            tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]),
        )
        metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text"))
        value = summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        self._add(summary_pb2.Summary(value=[value]), step, at)

    def histogram(self, tag: str, values: Iterable[float], step: int, at: float) -> None:
        """One bucket per distinct value: for a few values, not for a tensor."""
        ordered = sorted(values)
        limits = sorted(set(ordered))
        histogram = histogram_pb2.HistogramProto(
            min=ordered[0], max=ordered[-1], num=len(ordered), sum=sum(ordered),
            sum_squares=sum(value * value for value in ordered),
            bucket_limit=limits, bucket=[ordered.count(limit) for limit in limits],
        )  # fmt: skip
        self._add(summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, histo=histogram)]), step, at)

    def image(self, tag: str, encoded: bytes, width: int, height: int, step: int, at: float) -> None:
        picture = summary_pb2.Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=encoded)
        self._add(summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, image=picture)]), step, at)

    def hparams(self, values: Mapping[str, Any], metric_tags: Iterable[str], name: str, at: float) -> None:
        """The data of the HParams page: the values, and which tags are results."""
        experiment = api_pb2.Experiment()
        session = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=at)
        for tag in metric_tags:
            experiment.metric_infos.add(name=api_pb2.MetricName(tag=tag))
        for key, value in values.items():
            info = experiment.hparam_infos.add(name=key)
            if isinstance(value, bool):
                info.type, session.hparams[key].bool_value = api_pb2.DATA_TYPE_BOOL, value
            elif isinstance(value, (int, float)):
                info.type, session.hparams[key].number_value = api_pb2.DATA_TYPE_FLOAT64, value
            else:
                info.type, session.hparams[key].string_value = api_pb2.DATA_TYPE_STRING, str(value)
        self._hparams_data("experiment", plugin_data_pb2.HParamsPluginData(experiment=experiment), at)
        self._hparams_data("session_start_info", plugin_data_pb2.HParamsPluginData(session_start_info=session), at)

    def hparams_end(self, ok: bool, at: float) -> None:
        status = api_pb2.STATUS_SUCCESS if ok else api_pb2.STATUS_FAILURE
        ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at)
        self._hparams_data("session_end_info", plugin_data_pb2.HParamsPluginData(session_end_info=ended), at)

    def purge_from(self, step: int, at: float) -> None:
        """Make readers discard all earlier records with this step or a later one."""
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._writer.add_event(event_pb2.Event(wall_time=at, step=step, session_log=start))

    def _hparams_data(self, name: str, data: plugin_data_pb2.HParamsPluginData, at: float) -> None:
        plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
        metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
        shape = tensor_shape_pb2.TensorShapeProto()
        empty = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.0], tensor_shape=shape)
        value = summary_pb2.Summary.Value(tag=f"_hparams_/{name}", metadata=metadata, tensor=empty)
        self._add(summary_pb2.Summary(value=[value]), 0, at)

    def _add(self, summary: summary_pb2.Summary, step: int, at: float) -> None:
        self._writer.add_event(event_pb2.Event(wall_time=at, step=step, summary=summary))
