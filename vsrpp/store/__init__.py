"""The run's durable store: a hash chain of events, metrics, the command inbox, delivery marks. Imports no torch."""

from vsrpp.store.chain import ChainCheck, verify_chain
from vsrpp.store.environment import environment_fault
from vsrpp.store.events import EVENT_TYPES, Event
from vsrpp.store.inbox import Answer, Command, Inbox, UnreadableCommand
from vsrpp.store.marks import Marks
from vsrpp.store.run_store import STORE_VERSION, MetricRow, RunReader, RunWriter, Unwritten

__all__ = [
    "EVENT_TYPES",
    "STORE_VERSION",
    "Answer",
    "ChainCheck",
    "Command",
    "Event",
    "Inbox",
    "Marks",
    "MetricRow",
    "RunReader",
    "RunWriter",
    "UnreadableCommand",
    "Unwritten",
    "environment_fault",
    "verify_chain",
]
