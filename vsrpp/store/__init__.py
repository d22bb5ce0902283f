"""The run's durable store: a hash chain of events, metrics, the command inbox, delivery marks. Imports no torch."""

from vsrpp.store.chain import ChainCheck, verify_chain
from vsrpp.store.db import copy_database, into_one_file, set_aside_if_damaged
from vsrpp.store.environment import environment_fault
from vsrpp.store.events import EVENT_TYPES, Event
from vsrpp.store.faults import StoreDamaged, StoreUnreadable
from vsrpp.store.frame_figures import FrameFigures, read_frame_figures
from vsrpp.store.inbox import Answer, Command, Inbox, UnreadableCommand
from vsrpp.store.marks import Marks, from_marks
from vsrpp.store.run_reader import STORE_VERSION, MetricRow, RunReader
from vsrpp.store.run_writer import RunWriter, Unwritten

__all__ = [
    "EVENT_TYPES",
    "STORE_VERSION",
    "Answer",
    "ChainCheck",
    "Command",
    "Event",
    "FrameFigures",
    "Inbox",
    "Marks",
    "MetricRow",
    "RunReader",
    "RunWriter",
    "StoreDamaged",
    "StoreUnreadable",
    "UnreadableCommand",
    "Unwritten",
    "copy_database",
    "environment_fault",
    "from_marks",
    "into_one_file",
    "read_frame_figures",
    "set_aside_if_damaged",
    "verify_chain",
]
