"""Probes measure, findings judge, remedies change; `Doctor` ties them to any loop."""

from trainwell.doctor.doctor import Doctor
from trainwell.doctor.finding import AILMENTS, Finding

__all__ = ["AILMENTS", "Doctor", "Finding"]
