"""Delivery of the run's record to MLflow and TensorBoard, by a process of its own; and the way back, `restore`.

Importing this package imports neither mlflow nor torch.
"""

from vsrpp.tracking.backlog import Backlog, Report, backlog
from vsrpp.tracking.process import ConnectionChange, Delivery, uri_of

__all__ = ["Backlog", "ConnectionChange", "Delivery", "Report", "backlog", "uri_of"]
