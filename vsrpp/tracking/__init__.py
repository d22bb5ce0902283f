"""Uploads a run's record to MLflow and writes it for TensorBoard, in a separate process; `restore` gets it back.

Importing this package imports neither mlflow nor torch.
"""

from vsrpp.tracking.backlog import Backlog, Report, backlog
from vsrpp.tracking.process import ConnectionChange, Delivery, uri_of

__all__ = ["Backlog", "ConnectionChange", "Delivery", "Report", "backlog", "uri_of"]
